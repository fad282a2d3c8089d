"""What the admin's page of one run shows beside its row: time line, relatives, events, and what may be done to it."""

from dataclasses import replace
from typing import Any

from django.http import HttpRequest

from accounts_app.tenancy.context import bound, tenant_or_nobody
from workflows_app.admin.engine import WORDS
from workflows_app.models import WorkflowRun
from workflows_app.reads.history import run_history
from workflows_app.reads.timeline import MAX_EVENTS, run_timeline, stage_names
from workflows_app.web.runs_rows import marks_of, stages_of

# Of each kind; the lists behind the links have all of them.
_SHOWN = 100


def run_context(run: WorkflowRun, request: HttpRequest) -> dict[str, Any]:
    """Return what the templates need; in an operator context, which is narrowed to the run's organization for it."""
    with bound(replace(tenant_or_nobody(), organization_id=run.organization_id)):
        events = run_history(run.id, limit=MAX_EVENTS)
        timeline = run_timeline(run, events)
    may_act = request.user.has_perm("workflows_app.change_workflowrun")
    relatives = run.children.only("id", "status", "stage", "branch", "created_at", "finished_at", "cost_usd")
    return {
        "run": run,
        "stages": stages_of(timeline, stage_names(run)),
        "marks": marks_of(timeline),
        "events": events[-_SHOWN:],
        "hidden_events": max(run.event_seq - min(len(events), _SHOWN), 0),
        "children": list(relatives.order_by("branch", "created_at")[:_SHOWN]),
        "replays": list(run.replays.only("id", "status", "origin_seq", "created_at").order_by("-id")[:_SHOWN]),
        "deeds": {deed: WORDS[deed] for deed in _deeds(run)} if may_act else {},
    }


def _deeds(run: WorkflowRun) -> list[str]:
    if run.is_finished:
        # Its end may still be untold.
        return ["requeue"] if run.is_ready else []
    rests = run.status == "paused" or run.pause_requested_at is not None
    return ["requeue", "resume" if rests else "pause", "cancel"]
