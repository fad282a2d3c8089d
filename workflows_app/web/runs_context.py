"""What the templates of one run are given."""

from typing import Any

from accounts_app.services.principals import can_write
from accounts_app.tenancy.context import Tenant
from workflows_app.models import RunStatus, WorkflowRun
from workflows_app.reads.timeline import run_timeline, stage_names
from workflows_app.services.subjects import subjects_named
from workflows_app.web.runs_list import run_begun_at, run_duration_ms
from workflows_app.web.runs_rows import marks_of, stages_of

_REPLAYS_SHOWN = 10
# How often an open page asks for news, in seconds: often where something moves, seldom where the run rests.
_BUSY, _RESTING = 2, 5


def page_context(run: WorkflowRun, tenant: Tenant) -> dict[str, Any]:
    """Return what the frame of a run's pages shows: where the run comes from and what came of it."""
    return {
        "run": run,
        "subject": subjects_named([run.subject_id]).get(run.subject_id) if run.subject_id else None,
        "replays": list(run.replays.order_by("-created_at").only("id", "status", "created_at")[:_REPLAYS_SHOWN]),
        "may_write": can_write(tenant),
    }


def panel_context(run: WorkflowRun, tenant: Tenant, *, view: str) -> dict[str, Any]:
    """Return what the waterfall and the buttons of one run show. ``view``: page, or task where it is a part of one."""
    timeline = run_timeline(run)
    may_write = can_write(tenant)
    return {
        "run": run,
        "view": view,
        "timeline": timeline,
        "stages": stages_of(timeline, stage_names(run)),
        "marks": marks_of(timeline),
        "wait": run.wait or {},
        "begun_at": run_begun_at(run),
        "run_ms": run_duration_ms(run),
        "may_write": may_write,
        "may_pause": may_write and not run.is_finished and run.status != RunStatus.PAUSED and not _asked(run),
        "may_resume": may_write and (run.status == RunStatus.PAUSED or run.pause_requested_at is not None),
        "may_cancel": may_write and not run.is_finished and run.cancel_requested_at is None,
        "may_retry": may_write and run.status == RunStatus.FAILED and run.parent_id is None,
        "may_answer": may_write and (run.wait or {}).get("kind") in {"approval", "signal"} and not run.is_finished,
        "poll_seconds": 0 if run.is_finished else _BUSY if is_busy(run) else _RESTING,
        "seen": run.event_seq,
    }


def is_busy(run: WorkflowRun) -> bool:
    """Whether something moves that the run's own events do not tell: an attempt, or the runs that it waits for."""
    waits_for_runs = run.status == RunStatus.WAITING and (run.wait or {}).get("kind") == "children"
    return run.status in {RunStatus.PENDING, RunStatus.RUNNING} or waits_for_runs


def _asked(run: WorkflowRun) -> bool:
    return run.pause_requested_at is not None or run.cancel_requested_at is not None
