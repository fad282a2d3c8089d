"""Schedules in the admin: operators look, and stop one that does harm; people change their own."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts_app.admin_base import ReadOnlyAdmin
from accounts_app.tenancy.context import tenant_context
from workflows_app.models import WorkflowSchedule
from workflows_app.services.schedules import schedule_pause


@admin.register(WorkflowSchedule)
class WorkflowScheduleAdmin(ReadOnlyAdmin):
    list_display = ["name", "organization", "template", "cron", "timezone", "is_active", "next_run_at", "last_run_at"]
    list_filter = ["is_active", "misfire", ("last_error", admin.EmptyFieldListFilter)]
    list_select_related = ["organization"]
    search_fields = ["name", "template", "=id", "=last_run_id", "organization__name"]
    date_hierarchy = "created_at"
    actions = ["pause"]

    @admin.action(description=_("Pause the selected schedules"))
    def pause(self, request: HttpRequest, queryset: QuerySet[WorkflowSchedule]) -> None:
        active = list(queryset.filter(is_active=True))
        for schedule in active:
            with tenant_context(schedule.organization_id, request.user.pk):
                schedule_pause(schedule_id=schedule.pk)
        paused = ngettext("%(count)d schedule was paused.", "%(count)d schedules were paused.", len(active))
        self.message_user(request, paused % {"count": len(active)}, messages.SUCCESS)
