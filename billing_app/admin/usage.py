from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin
from accounts_app.admin_lists import EstimatedPaginator
from billing_app.endings import ENDINGS
from billing_app.models import TaskUsage, UsageDaily, UsageRecord


class OfEnding(admin.SimpleListFilter):
    """The endings by their words; none of the records is read to find them."""

    title = _("ending")
    parameter_name = "ending"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:
        return list(ENDINGS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        return queryset.filter(ending=self.value()) if self.value() else queryset


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    """Partitioned by month: no exact count, and no total beside it."""

    list_display = [
        "created_at",
        "model",
        "ending_words",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "charged_usd",
        "organization",
        "provider",
        "endpoint",
        "trace_id",
    ]
    list_filter = [OfEnding, "provider", "endpoint", "model"]
    list_select_related = ["organization"]
    search_fields = [
        "=id",
        "=task_id",
        "=run_id",
        "=project_id",
        "=api_key_id",
        "=user_id",
        "=trace_id",
        "organization__name",
    ]
    search_help_text = _("A trace id, the id of a call, task, run, project, key or user, or an organization’s name.")
    date_hierarchy = "created_at"
    paginator = EstimatedPaginator
    show_full_result_count = False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [self.ending_words if name == "ending" else name for name in super().get_fields(request, obj)]

    @admin.display(description=_("ending"), ordering="ending")
    def ending_words(self, record: UsageRecord) -> str:
        """Return how the call ended, in words."""
        return str(ENDINGS.get(record.ending, record.ending))


@admin.register(UsageDaily)
class UsageDailyAdmin(ReadOnlyAdmin):
    list_display = [
        "day",
        "organization",
        "model",
        "project_id",
        "api_key_id",
        "user_id",
        "calls",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "charged_usd",
    ]
    list_filter = ["model"]
    list_select_related = ["organization"]
    search_fields = ["organization__name", "model", "=project_id", "=api_key_id", "=user_id"]
    date_hierarchy = "day"


@admin.register(TaskUsage)
class TaskUsageAdmin(ReadOnlyAdmin):
    list_display = ["task_id", "organization", "calls", "input_tokens", "output_tokens", "cost_usd", "charged_usd"]
    list_select_related = ["organization"]
    search_fields = ["=task_id", "organization__name"]
    ordering = ["-charged_usd"]
