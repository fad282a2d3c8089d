"""Runs, their steps, events and slots in the admin: read-only, with what an operator may do to a run."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts_app.admin_base import ReadOnlyAdmin
from workflows_app.models import RunEvent, StepRun, WorkflowRun, WorkflowSlot
from workflows_app.services.requeue import runs_requeue


class StepRunInline(admin.TabularInline):  # type: ignore[type-arg]
    model = StepRun
    extra = 0
    can_delete = False
    fields = ("position", "key", "via", "attempt", "status", "model", "tokens", "cost_usd", "started_at", "finished_at")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(WorkflowRun)
class WorkflowRunAdmin(ReadOnlyAdmin):
    list_display = ["id", "organization", "workspace_key", "stage", "status", "cursor", "cost_usd", "created_at"]
    list_filter = ["status", "workspace_key", "stage", ("announced_at", admin.EmptyFieldListFilter)]
    list_select_related = ["organization"]
    search_fields = ["=id", "=subject_id", "=trace_id", "organization__name"]
    date_hierarchy = "created_at"
    inlines = [StepRunInline]
    actions = ["requeue"]

    @admin.action(description=_("Send the selected runs to the workers again"))
    def requeue(self, request: HttpRequest, queryset: QuerySet[WorkflowRun]) -> None:
        count = runs_requeue(run_ids=[run.pk for run in queryset])
        sent = ngettext("%(count)d run was sent again.", "%(count)d runs were sent again.", count)
        self.message_user(request, sent % {"count": count}, messages.SUCCESS)


@admin.register(StepRun)
class StepRunAdmin(ReadOnlyAdmin):
    list_display = ["run_id", "key", "via", "attempt", "status", "model", "tokens", "cost_usd", "started_at"]
    list_filter = ["status", "via"]
    search_fields = ["=run__id", "key", "=idempotency_key"]
    date_hierarchy = "started_at"


@admin.register(RunEvent)
class RunEventAdmin(ReadOnlyAdmin):
    list_display = ["run_id", "seq", "type", "step_key", "created_at", "trace_id"]
    list_filter = ["type"]
    search_fields = ["=run__id", "=trace_id", "step_key"]
    date_hierarchy = "created_at"


@admin.register(WorkflowSlot)
class WorkflowSlotAdmin(ReadOnlyAdmin):
    list_display = ["key", "organization", "run_id", "created_at"]
    list_select_related = ["organization"]
    search_fields = ["key", "=run__id"]
