"""The pages of schedules: see them, make and change one with its next times in view, pause, resume, start, remove."""

from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts_app.exceptions import DeepSpaceError
from accounts_app.services.principals import can_write
from accounts_app.web.mixins import OrganizationMixin
from workflows_app.api.executions_input import checked_object
from workflows_app.models import Misfire, WorkflowSchedule
from workflows_app.models.config import STARTABLE
from workflows_app.models.schedule import MOST_AT_ONCE
from workflows_app.reads.schedules import schedule_get, schedule_list, upcoming
from workflows_app.selectors import configs_readable
from workflows_app.services.schedules import (
    ScheduleFields,
    schedule_change,
    schedule_create,
    schedule_pause,
    schedule_remove,
    schedule_resume,
    schedule_start_now,
)


class ScheduleForm(forms.Form):
    """What a schedule is made of; its times are checked with the rest when it is saved."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=120)
    template = forms.ChoiceField(
        label=gettext_lazy("Workflow"),
        help_text=gettext_lazy("Its newest version is started, unless a version is named."),
    )
    cron = forms.CharField(
        label=gettext_lazy("Times"),
        max_length=200,
        initial="0 9 * * 1-5",
        help_text=gettext_lazy("Minute, hour, day of the month, month, day of the week. * is every one of them."),
    )
    timezone = forms.ChoiceField(label=gettext_lazy("Time zone"), initial="UTC")
    input = forms.JSONField(
        label=gettext_lazy("Input"),
        required=False,
        initial=dict,
        help_text=gettext_lazy("A JSON object: what each run begins with."),
        widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}),
    )
    misfire = forms.ChoiceField(
        label=gettext_lazy("Missed times"),
        choices=Misfire.choices,
        help_text=gettext_lazy("Those that passed while the system was away."),
    )
    max_overlap = forms.IntegerField(
        label=gettext_lazy("Runs at once"),
        min_value=1,
        max_value=MOST_AT_ONCE,
        initial=1,
        help_text=gettext_lazy("While so many have not finished, no other is started."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = self.data.get("template") or self.initial.get("template")
        fields: Any = self.fields
        fields["template"].choices = [(name, name) for name in _templates(chosen)]
        fields["timezone"].choices = [(zone, zone) for zone in sorted(available_timezones())]

    def clean_input(self) -> dict[str, Any]:
        """Refuse what the database could not keep."""
        try:
            return checked_object("input", self.cleaned_data["input"] or {})
        except DeepSpaceError as error:
            raise forms.ValidationError(error.message) from error


def _templates(chosen: str | None) -> list[str]:
    startable = configs_readable().filter(status__in=STARTABLE).order_by("name")
    names = list(startable.values_list("name", flat=True).distinct())
    return names if chosen is None or chosen in names else [chosen, *names]


class WriterMixin(OrganizationMixin):
    """Viewers do not get to the forms either."""

    def may_enter(self) -> bool:
        """Whether the caller may change anything."""
        return can_write(self.tenant)


class ListView(OrganizationMixin):
    """There are few, so all are on one page."""

    def get(self, request: HttpRequest) -> HttpResponse:
        context = {"schedules": list(schedule_list()), "may_write": can_write(self.tenant)}
        return render(request, "workflows_app/schedules/list.html", context)


class NewView(WriterMixin):
    def get(self, request: HttpRequest) -> HttpResponse:
        return _page(request, ScheduleForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ScheduleForm(request.POST)
        if not form.is_valid():
            return _page(request, form, status=400)
        try:
            schedule_create(fields=ScheduleFields(**form.cleaned_data))
        except DeepSpaceError as error:
            return _page(request, form, error=error)
        messages.success(request, _("The schedule was saved."))
        return redirect("schedules:list")


class EditView(WriterMixin):
    def get(self, request: HttpRequest, schedule_id: UUID) -> HttpResponse:
        schedule = schedule_get(schedule_id)
        initial = {name: getattr(schedule, name) for name in ScheduleForm.base_fields}
        return _page(request, ScheduleForm(initial=initial), schedule)

    def post(self, request: HttpRequest, schedule_id: UUID) -> HttpResponse:
        schedule, form = schedule_get(schedule_id), ScheduleForm(request.POST)
        if not form.is_valid():
            return _page(request, form, schedule, status=400)
        changed = {name: value for name, value in form.cleaned_data.items() if value != getattr(schedule, name)}
        try:
            schedule_change(schedule_id=schedule_id, changes=changed)
        except DeepSpaceError as error:
            return _page(request, form, schedule, error=error)
        messages.success(request, _("The schedule was saved."))
        return redirect("schedules:list")


class PreviewView(OrganizationMixin):
    """The next times of what stands in the form."""

    def get(self, request: HttpRequest) -> HttpResponse:
        times = _times(request.GET.get("cron", ""), request.GET.get("timezone", "UTC"))
        return render(request, "workflows_app/schedules/_preview.html", times)


class PauseView(WriterMixin):
    def post(self, request: HttpRequest, schedule_id: UUID) -> HttpResponse:
        schedule = schedule_pause(schedule_id=schedule_id)
        messages.success(request, _("“%(name)s” is paused.") % {"name": schedule.name})
        return redirect("schedules:list")


class ResumeView(WriterMixin):
    def post(self, request: HttpRequest, schedule_id: UUID) -> HttpResponse:
        schedule = schedule_resume(schedule_id=schedule_id)
        messages.success(request, _("“%(name)s” goes on.") % {"name": schedule.name})
        return redirect("schedules:list")


class RunView(WriterMixin):
    def post(self, request: HttpRequest, schedule_id: UUID) -> HttpResponse:
        try:
            run = schedule_start_now(schedule_id=schedule_id)
        except DeepSpaceError as error:
            schedule_get(schedule_id)
            messages.error(request, error.message)
            return redirect("schedules:list")
        return redirect("runs:detail", run.id)


class RemoveView(WriterMixin):
    """Ask, then remove."""

    def get(self, request: HttpRequest, schedule_id: UUID) -> HttpResponse:
        return render(request, "workflows_app/schedules/remove.html", {"schedule": schedule_get(schedule_id)})

    def post(self, request: HttpRequest, schedule_id: UUID) -> HttpResponse:
        schedule_remove(schedule_id=schedule_id)
        messages.success(request, _("The schedule was removed."))
        return redirect("schedules:list")


def _page(
    request: HttpRequest,
    form: ScheduleForm,
    schedule: WorkflowSchedule | None = None,
    *,
    error: DeepSpaceError | None = None,
    status: int = 200,
) -> HttpResponse:
    if error is not None:
        status = error.status
        fields = {detail.field for detail in error.details} & set(form.fields)
        form.add_error(fields.pop() if fields else None, error.message)
    context = {"form": form, "schedule": schedule} | _times(form["cron"].value(), form["timezone"].value())
    return render(request, "workflows_app/schedules/form.html", context, status=status)


def _times(cron: str | None, timezone: str | None) -> dict[str, Any]:
    try:
        return {"times": upcoming(cron or "", timezone or "")}
    except DeepSpaceError as error:
        return {"times": [], "why_none": error.message}
