"""The waterfall of one run, as the pages, the exports and the task show it."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils import timezone

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id
from workflows_app.contracts import EventDetail, Json
from workflows_app.models import RunEvent, StepRun, WorkflowRun
from workflows_app.reads.history import run_history
from workflows_app.reads.timeline_builder import timeline_of
from workflows_app.reads.timeline_lanes import Frame
from workflows_app.reads.waterfall import ChildBar, ChildStep, Timeline, milliseconds

# A longer history is read through the API.
MAX_EVENTS = 4000
# Of more runs than that, a waterfall shows the bars without the steps.
_CHILDREN_WITH_STEPS = 24


def run_row(run_id: UUID) -> WorkflowRun:
    """Return a run's row with its workflow version. Raises NotFound, also for another organization's."""
    own = WorkflowRun.objects.filter(organization_id=current_organization_id(), pk=run_id)
    run = own.select_related("config").first()
    if run is None:
        raise NotFound
    return run


def run_timeline(run: WorkflowRun, events: Iterable[EventDetail] | None = None) -> Timeline:
    """Return the waterfall of a run of the organization; ``events`` if they have been read already."""
    history = list(events) if events is not None else run_history(run.id, limit=MAX_EVENTS)
    now = timezone.now()
    begun = datetime.fromisoformat(history[0].at) if history else run.created_at
    frame = Frame(
        now=now,
        is_finished=run.is_finished,
        shared_until=run.origin_seq or 0,
        times=_times_in_origin(run),
        children={child.run_id: child for child in _children(run, begun, now) if child.run_id},
        may_replay=run.parent_id is None,
        hidden_events=max(run.event_seq - len(history), 0),
    )
    return timeline_of(history, frame)


def stage_names(run: WorkflowRun) -> dict[str, str]:
    """Return the names that the run's workflow version gives its stages."""
    stages: Json = run.config.config.get("stages") or {}
    return {key: str(stage.get("name", "")) for key, stage in stages.items() if isinstance(stage, dict)}


def _times_in_origin(run: WorkflowRun) -> dict[int, datetime]:
    if run.origin_id is None:
        return {}
    shared = min(run.origin_seq or 0, MAX_EVENTS)
    rows = RunEvent.objects.filter(organization_id=run.organization_id, run_id=run.origin_id, seq__lte=shared)
    times = dict(rows.order_by("seq").values_list("seq", "created_at"))
    if len(times) == shared:
        return times
    return {event.seq: datetime.fromisoformat(event.at) for event in run_history(run.origin_id, limit=shared)}


def _children(run: WorkflowRun, begun: datetime, now: datetime) -> list[ChildBar]:
    rows = list(
        WorkflowRun.objects.filter(organization_id=run.organization_id, parent_id=run.id)
        .order_by("created_at")
        .values("id", "branch", "status", "created_at", "finished_at", "cost_usd", "error", "attempt")
    )
    steps = _steps_of([row["id"] for row in rows], begun) if len(rows) <= _CHILDREN_WITH_STEPS else {}
    return [_child(dict(row), steps.get(row["id"], ()), begun, now) for row in rows]


def _child(row: dict[str, Any], steps: tuple[ChildStep, ...], begun: datetime, now: datetime) -> ChildBar:
    return ChildBar(
        branch=row["branch"] or 0,
        run_id=row["id"],
        status=row["status"],
        offset_ms=milliseconds(begun, row["created_at"]),
        duration_ms=milliseconds(row["created_at"], row["finished_at"] or now),
        cost_usd=row["cost_usd"] or Decimal(0),
        error=row["error"],
        steps=steps,
    )


def _steps_of(run_ids: list[UUID], begun: datetime) -> dict[UUID, tuple[ChildStep, ...]]:
    found: dict[UUID, list[ChildStep]] = defaultdict(list)
    rows = StepRun.objects.filter(organization_id=current_organization_id(), run_id__in=run_ids)
    for row in rows.order_by("started_at", "position", "attempt"):
        found[row.run_id].append(
            ChildStep(
                key=row.key,
                action=row.action,
                attempt=row.attempt,
                status=row.status,
                offset_ms=milliseconds(begun, row.started_at),
                duration_ms=row.duration_ms,
                model=row.model,
                tokens=row.tokens,
                cost_usd=row.cost_usd,
            )
        )
    return {run_id: tuple(steps) for run_id, steps in found.items()}
