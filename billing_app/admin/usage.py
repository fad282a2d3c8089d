from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import EstimatedPaginator, ReadOnlyAdmin
from billing_app.models import TaskUsage, UsageDaily, UsageRecord


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    """Partitioned by month: no exact count, and no total beside it."""

    list_display = [
        "created_at",
        "model",
        "ending",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "charged_usd",
        "organization",
        "provider",
        "endpoint",
        "trace_id",
    ]
    list_filter = ["ending", "provider", "endpoint", "model"]
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
