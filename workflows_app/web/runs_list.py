"""The list of runs: filters and place stand in its address."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework import exceptions
from rest_framework.pagination import Cursor
from rest_framework.request import Request

from accounts_app.api.pagination import KeysetPagination
from accounts_app.exceptions import NotFound
from accounts_app.web.mixins import OrganizationMixin
from workflows_app.models import RunStatus, WorkflowRun
from workflows_app.reads.executions import ExecutionFilter, execution_list
from workflows_app.reads.waterfall import milliseconds
from workflows_app.selectors import configs_readable
from workflows_app.services.subjects import Subject, subjects_named


class RunFilterForm(forms.Form):
    """What the list is narrowed to. Runs that are part of another one are in the list only when one looks for them."""

    q = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"type": "search", "placeholder": _("Number, template or error")}),
    )
    status = forms.ChoiceField(label=_("Status"), required=False, choices=[("", _("Any")), *RunStatus.choices])
    template = forms.ChoiceField(label=_("Template"), required=False)
    task = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = configs_readable().order_by("name").values_list("name", flat=True).distinct()
        self.fields["template"].choices = [("", _("Any")), *((name, name) for name in names)]  # type: ignore[attr-defined]

    def wanted(self) -> ExecutionFilter:
        """Return the filter; nothing that is not valid narrows the list."""
        given: dict[str, Any] = self.cleaned_data
        status, task = given.get("status") or "", given.get("task")
        return ExecutionFilter(
            q=given.get("q") or "",
            statuses=(status,) if status else (),
            template=given.get("template") or "",
            task=task,
            roots=not given.get("q"),
        )


@dataclass(frozen=True)
class RunLine:
    """A run in the list. ``duration_ms`` is None before it began."""

    run: WorkflowRun
    subject: Subject | None
    duration_ms: int | None


class _BareCursors(KeysetPagination):
    page_size = 20

    def encode_cursor(self, cursor: Cursor) -> str:
        return parse_qs(urlsplit(super().encode_cursor(cursor)).query)[self.cursor_query_param][0]


class ListView(OrganizationMixin):
    """The organization's runs, newest first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        form = RunFilterForm(request.GET)
        form.is_valid()
        pages, runs = _page(request, form.wanted())
        task: UUID | None = form.cleaned_data.get("task")
        context = {
            "form": form,
            "lines": run_lines(runs),
            "next_cursor": pages.get_next_link() or "",
            "previous_cursor": pages.get_previous_link() or "",
            "is_filtered": any(request.GET.get(name) for name in form.fields),
            "task": _subject(subjects_named([task]), task),
        }
        return render(request, "workflows_app/runs/list.html", context)


def run_lines(runs: list[WorkflowRun]) -> list[RunLine]:
    """Return runs as lists show them, with what they are about."""
    subjects = subjects_named(run.subject_id for run in runs)
    return [RunLine(run, _subject(subjects, run.subject_id), run_duration_ms(run)) for run in runs]


def run_duration_ms(run: WorkflowRun) -> int | None:
    """Return how long the run has taken from its start until its end, or until now."""
    begun = run_begun_at(run)
    return milliseconds(begun, run.finished_at or timezone.now()) if begun else None


def run_begun_at(run: WorkflowRun) -> datetime | None:
    """Return when the run was taken up; when it was made, if it waited or ended before anything worked."""
    return run.started_at or (None if run.status == RunStatus.PENDING else run.created_at)


def _subject(subjects: dict[UUID, Subject], subject_id: UUID | None) -> Subject | None:
    return subjects.get(subject_id) if subject_id else None


def _page(request: HttpRequest, wanted: ExecutionFilter) -> tuple[_BareCursors, list[WorkflowRun]]:
    pages: Any = _BareCursors()
    try:
        return pages, pages.paginate_queryset(execution_list(wanted), Request(request)) or []
    except exceptions.NotFound as error:
        raise NotFound from error
