"""The pages of one run: its waterfall, its events, one event's input and output, and the runs of one thing."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers

from accounts_app.services.principals import can_write
from accounts_app.web.mixins import OrganizationMixin
from workflows_app.reads.executions import ExecutionFilter, execution_list
from workflows_app.reads.history import run_history
from workflows_app.reads.timeline import MAX_EVENTS, run_row, stage_names
from workflows_app.reads.timeline_events import moment_of
from workflows_app.web.runs_context import is_busy, page_context, panel_context
from workflows_app.web.runs_list import run_lines

_EVENTS_A_PAGE = 100
_RUNS_OF_SUBJECT = 20
NO_NEWS = 204


class RunPage(OrganizationMixin):
    """Base of the pages about one run."""

    def shown(self, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
        response = render(self.request, f"workflows_app/runs/{template}", context, status=status)
        add_never_cache_headers(response)
        return response

    @property
    def is_part(self) -> bool:
        """Whether a script asks for a part of a page."""
        return bool(self.request.headers.get("HX-Request"))


class DetailView(RunPage):
    """The waterfall."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = run_row(run_id)
        context = page_context(run, self.tenant) | panel_context(run, self.tenant, view="page")
        return self.shown("detail.html", context | {"tab": "waterfall"})


class PanelView(RunPage):
    """The part of the page that lives: no content where nothing is new since the event ``?seen=``."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = run_row(run_id)
        if request.GET.get("seen") == str(run.event_seq) and not is_busy(run):
            return HttpResponse(status=NO_NEWS)
        view = "task" if request.GET.get("view") == "task" else "page"
        return self.shown("_panel.html", panel_context(run, self.tenant, view=view))


class EventsView(RunPage):
    """Everything that is known of a run, event by event."""

    def get(self, request: HttpRequest, run_id: UUID) -> HttpResponse:
        run = run_row(run_id)
        given = request.GET.get("after", "")
        after = int(given) if given.isdecimal() and len(given) < 9 else 0
        events = run_history(run.id, after=after, limit=_EVENTS_A_PAGE + 1)
        page = events[:_EVENTS_A_PAGE]
        context = page_context(run, self.tenant) | {
            "tab": "events",
            "events": page,
            "after": after,
            "next_after": page[-1].seq if len(events) > _EVENTS_A_PAGE else None,
        }
        return self.shown("events.html", context)


class EventView(RunPage):
    """One event: what the step was given and what came of it."""

    def get(self, request: HttpRequest, run_id: UUID, seq: int) -> HttpResponse:
        run = run_row(run_id)
        moment = moment_of(run_history(run.id, limit=MAX_EVENTS), seq, may_replay=run.parent_id is None)
        context = {"run": run, "moment": moment, "may_write": can_write(self.tenant), "stages": stage_names(run)}
        if self.is_part:
            return self.shown("_event.html", context)
        return self.shown("event.html", context | page_context(run, self.tenant) | {"tab": "events"})


class OfSubjectView(RunPage):
    """The runs about one thing, as a part of its own page: the latest open, earlier ones to be opened."""

    def get(self, request: HttpRequest, subject_id: UUID) -> HttpResponse:
        pages = execution_list(ExecutionFilter(task=subject_id, roots=True))
        runs = pages.order_by("-created_at", "-id")[: _RUNS_OF_SUBJECT + 1]
        context: dict[str, Any] = {
            "lines": run_lines(runs[1:_RUNS_OF_SUBJECT]),
            "has_more": len(runs) > _RUNS_OF_SUBJECT,
            "subject_id": subject_id,
        }
        if runs:
            context |= panel_context(run_row(runs[0].id), self.tenant, view="task")
        return self.shown("of_subject.html", context)
