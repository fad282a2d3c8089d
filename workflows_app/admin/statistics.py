"""The roll-ups as rows, for whoever wants to see what a chart is made of."""

from django.contrib import admin

from accounts_app.admin_base import ReadOnlyAdmin
from accounts_app.admin_lists import EstimatedPaginator
from workflows_app.models import RunStatistic, StatisticsWatermark, StepStatistic


class FiguresAdmin(ReadOnlyAdmin):
    paginator = EstimatedPaginator
    show_full_result_count = False
    list_filter = ["grain", "status"]
    list_select_related = ["organization"]
    ordering = ["-id"]


@admin.register(RunStatistic)
class RunStatisticAdmin(FiguresAdmin):
    list_display = ["since", "grain", "organization", "config_id", "kind", "status", "error_code", "bucket", "count"]
    search_fields = ["=config_id", "=error_code"]


@admin.register(StepStatistic)
class StepStatisticAdmin(FiguresAdmin):
    list_display = ["since", "grain", "organization", "stage", "key", "handler", "status", "error_code", "count"]
    search_fields = ["=config_id", "=error_code", "=key", "=handler"]


@admin.register(StatisticsWatermark)
class StatisticsWatermarkAdmin(ReadOnlyAdmin):
    list_display = ["name", "at", "counted"]
    search_fields = ["=name"]
