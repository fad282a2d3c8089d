"""The buttons of a run: pause, resume, cancel, retry, approve, signal, replay."""

import json
import uuid
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts_app.exceptions import DeepSpaceError, InvalidInput, NotFound
from accounts_app.services.principals import can_write
from workflows_app.contracts import Json
from workflows_app.exceptions import RunStateConflict
from workflows_app.models import WorkflowConfig, WorkflowRun
from workflows_app.models.config import STARTABLE
from workflows_app.reads.timeline import run_row
from workflows_app.selectors import configs_readable
from workflows_app.services.controls import run_cancel, run_pause, run_resume, run_signal
from workflows_app.services.subjects import replay_begin, retry_begin, subjects_named
from workflows_app.web.runs import RunPage
from workflows_app.web.runs_context import page_context, panel_context

_VERSIONS_OFFERED = 50
_LONGEST_NOTE, _LONGEST_DATA = 2000, 20_000


class RunButton(RunPage):
    """Base of the buttons: do it, then show the run again, with what was wrong if it could not be done."""

    def deed(self, run_id: UUID) -> None:
        """Do what the button says."""
        raise NotImplementedError

    def post(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        problem = ""
        try:
            self.deed(run_id)
        except NotFound:
            raise
        except DeepSpaceError as error:
            problem = error.message
        if self.is_part:
            view = "task" if request.POST.get("view") == "task" else "page"
            context = panel_context(run_row(run_id), self.tenant, view=view)
            typed = request.POST.get("data", "") if problem else ""
            return self.shown("_panel.html", context | {"problem": problem, "typed": typed})
        if problem:
            messages.error(request, problem)
        return redirect("runs:detail", run_id)


class PauseView(RunButton):
    def deed(self, run_id: UUID) -> None:
        run_pause(run_id=run_id)


class ResumeView(RunButton):
    def deed(self, run_id: UUID) -> None:
        run_resume(run_id=run_id)


class CancelView(RunButton):
    def deed(self, run_id: UUID) -> None:
        run_cancel(run_id=run_id)


class RetryView(RunButton):
    def deed(self, run_id: UUID) -> None:
        retry_begin(run_id=run_id)


class ApproveView(RunButton):
    """``answer``: approve or reject; ``note`` is kept with it."""

    def deed(self, run_id: UUID) -> None:
        approved = self.request.POST.get("answer") == "approve"
        note = self.request.POST.get("note", "").replace("\0", "").strip()[:_LONGEST_NOTE]
        run_signal(run_id=run_id, name="approve", data={"approved": approved, "note": note})


class SignalView(RunButton):
    """Send the signal that the run waits for; ``data``, a JSON object, comes with it."""

    def deed(self, run_id: UUID) -> None:
        wait = run_row(run_id).wait or {}
        if wait.get("kind") != "signal":
            raise RunStateConflict(_("The run does not wait for a signal any more."))
        run_signal(run_id=run_id, name=wait["signal"], data=_object(self.request.POST.get("data", "")))


def _object(raw: str) -> Json:
    """Return the JSON object that somebody wrote; nothing means an empty one. Raises InvalidInput."""
    try:
        value = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or "\\u0000" in raw or len(raw) > _LONGEST_DATA:
        raise InvalidInput(_("This is not a JSON object."))
    return value


class ReplayForm(forms.Form):
    """What may differ in a replay. ``key`` makes a form that is sent twice start one run."""

    seq = forms.IntegerField(min_value=1, widget=forms.HiddenInput)
    key = forms.CharField(max_length=64, widget=forms.HiddenInput)
    version = forms.ChoiceField(label=gettext_lazy("Workflow version"), required=False)
    params = forms.CharField(
        label=gettext_lazy("Parameters to change"),
        required=False,
        max_length=_LONGEST_DATA,
        help_text=gettext_lazy("A JSON object. What is not named here stays as it was."),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "placeholder": '{"tone": "calm"}'}),
    )

    def __init__(self, run: WorkflowRun, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        same = gettext_lazy("As in this run (%(version)s)") % {"version": run.config.version}
        others = ((str(config.id), f"{config.name} {config.version}") for config in _other_versions(run))
        self.fields["version"].choices = [("", same), *others]  # type: ignore[attr-defined]

    def clean_params(self) -> Json:
        """Return the object; an empty field changes nothing."""
        try:
            return _object(self.cleaned_data["params"])
        except InvalidInput as error:
            raise forms.ValidationError(error.message) from None


def _other_versions(run: WorkflowRun) -> list[WorkflowConfig]:
    """The versions of the same workflow that may be started."""
    rows = configs_readable().filter(workspace_id=run.config.workspace_id, status__in=STARTABLE)
    rows = rows.filter(name=run.config.name).exclude(pk=run.config_id).defer("config", "notes")
    return list(rows[:_VERSIONS_OFFERED])


class ReplayView(RunPage):
    """Ask what should differ; then start a run that shares the history up to the event ``seq``."""

    def may_enter(self) -> bool:
        return can_write(self.tenant)

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = run_row(run_id)
        seq = request.GET.get("seq", "")
        if not seq.isdecimal() or not 1 <= int(seq[:9]) <= run.event_seq:
            raise NotFound
        form = ReplayForm(run, initial={"seq": int(seq[:9]), "key": uuid.uuid4().hex})
        return self._form(run, form)

    def post(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = run_row(run_id)
        form = ReplayForm(run, request.POST)
        if not form.is_valid():
            return self._form(run, form, status=HTTPStatus.BAD_REQUEST)
        given = form.cleaned_data
        try:
            started = replay_begin(
                run_id=run_id,
                seq=given["seq"],
                key=f"replay:{given['key']}",
                config_id=UUID(given["version"]) if given["version"] else None,
                params=given["params"] or None,
            )
        except DeepSpaceError as error:
            form.add_error(None, error.message)
            return self._form(run, form, status=error.status)
        subject = subjects_named([run.subject_id]).get(run.subject_id) if run.subject_id else None
        messages.success(request, _("The replay has begun."))
        return redirect(subject.url) if subject else redirect("runs:detail", started.id)

    def _form(self, run: WorkflowRun, form: ReplayForm, *, status: int = 200) -> HttpResponse:
        context = {"run": run, "form": form, "seq": form["seq"].value()}
        if self.is_part:
            return self.shown("_replay.html", context, status=status)
        return self.shown("replay.html", context | page_context(run, self.tenant) | {"tab": "waterfall"}, status=status)
