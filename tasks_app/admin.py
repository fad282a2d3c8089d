from django.contrib import admin

from accounts_app.admin_base import ReadOnlyAdmin
from tasks_app.models import Task, TaskEvent, TaskRequest


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    """Tasks move by their services alone: an edit here would have no event."""

    list_display = ("title", "organization", "workspace_key", "status", "current_stage", "cost_usd", "created_at")
    list_filter = ("status", "workspace_key")
    search_fields = ("id", "title", "active_run_id")
    list_select_related = ("organization",)
    date_hierarchy = "created_at"
    show_full_result_count = False


@admin.register(TaskEvent)
class TaskEventAdmin(ReadOnlyAdmin):
    """Append-only, by trigger."""

    list_display = ("task", "seq", "event_key", "model", "cost_usd", "trace_id", "created_at")
    search_fields = ("id", "task__id", "run_id", "trace_id")
    list_select_related = ("task",)
    show_full_result_count = False


@admin.register(TaskRequest)
class TaskRequestAdmin(ReadOnlyAdmin):
    """What came with an Idempotency-Key."""

    list_display = ("key", "organization", "created_at")
    search_fields = ("key",)
    list_select_related = ("organization",)
    show_full_result_count = False
