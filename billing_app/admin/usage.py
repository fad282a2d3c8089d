from django.contrib import admin

from accounts_app.admin_base import ReadOnlyAdmin
from billing_app.models import UsageDaily, UsageRecord


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "organization",
        "model",
        "provider",
        "ending",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "charged_usd",
        "trace_id",
    ]
    list_filter = ["ending", "provider", "model"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=task_id", "=run_id", "=trace_id", "organization__name"]
    date_hierarchy = "created_at"


@admin.register(UsageDaily)
class UsageDailyAdmin(ReadOnlyAdmin):
    list_display = [
        "day",
        "organization",
        "model",
        "calls",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "charged_usd",
    ]
    list_filter = ["model"]
    list_select_related = ["organization"]
    search_fields = ["organization__name", "model"]
    date_hierarchy = "day"
