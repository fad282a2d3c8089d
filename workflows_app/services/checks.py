"""Every run again from its history: is the chain whole, and is the row what the events add up to?"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts_app.tenancy.context import tenant_context
from workflows_app.contracts import Json, StepSpec
from workflows_app.engine.state import Fact, State, state_rebuilt
from workflows_app.exceptions import HistoryDamaged, HistoryUnavailable
from workflows_app.models import WorkflowRun
from workflows_app.reads.history import run_history
from workflows_app.services.store import state_of

PAGE = 200
NOTHING = UUID(int=0)
# One statement, so that a run and its events are of one moment, whatever workers write meanwhile.
_PAGE = """
    SELECT run.*, (
        SELECT jsonb_agg(jsonb_build_array(seq, id, prev_event_id, type, step_key, attempt, data) ORDER BY seq)
        FROM run_events WHERE run_id = run.id
    ) AS history
    FROM workflow_runs AS run
    WHERE run.id > %s AND (%s::uuid IS NULL OR run.organization_id = %s) ORDER BY run.id LIMIT %s
"""


@dataclass(frozen=True)
class Event:
    """What is compared of an event."""

    seq: int
    id: UUID
    prev_event_id: UUID | None
    fact: Fact


@dataclass(frozen=True)
class Difference:
    """What is wrong with one run. ``what``: chain (a hole, or an event that does not follow the one before it), end
    (the row knows another last event), archive (its events cannot be read there), fold (they add up to nothing),
    or the name of a part of the state; ``stored`` is what is written down, ``derived`` what should be.
    """

    run_id: UUID
    organization_id: UUID
    what: str
    stored: str
    derived: str


@dataclass
class RunsReport:
    """How many runs and events were looked at. ``older``: begun before histories held all; their chains are checked."""

    runs: int = 0
    events: int = 0
    archived: int = 0
    older: int = 0
    differences: list[Difference] = field(default_factory=list)


def runs_check(*, after: UUID = NOTHING, organization_id: UUID | None = None) -> RunsReport:
    """Fold the history of each run whose id is greater than ``after``, and compare it with the run's row.

    Needs an operator context. Reads page by page, without holding anything up.
    """
    report = RunsReport()
    while runs := _page(after, organization_id):
        for run in runs:
            _check(run, report)
        after = runs[-1].id
    return report


@transaction.atomic
def _page(after: UUID, organization_id: UUID | None) -> list[Any]:
    # With one more attribute than the model has: its history.
    return list(WorkflowRun.objects.raw(_PAGE, [after, organization_id, organization_id, PAGE]))


def _check(run: Any, report: RunsReport) -> None:
    report.runs += 1
    events = [_event(*item) for item in json.loads(run.history or "[]")]
    if run.event_seq and (not events or events[0].seq > 1):
        archived = _archived(run, report)
        if archived is None:
            return
        events = [*archived[: len(archived) - len(events)], *events]
    report.events += len(events)
    differences = list(_chain_differences(run, events)) or list(_state_differences(run, events, report))
    report.differences += differences


def _event(seq: int, id_: str, before: str | None, *fact: Any) -> Event:
    return Event(seq, UUID(id_), UUID(before) if before else None, Fact(*fact))


@transaction.atomic
def _archived(run: WorkflowRun, report: RunsReport) -> list[Event] | None:
    try:
        with tenant_context(run.organization_id):
            found = run_history(run.id)
    except (HistoryDamaged, HistoryUnavailable) as error:
        report.differences.append(_difference(run, "archive", error.code, f"events 1 to {run.event_seq}"))
        return None
    report.archived += 1
    return [
        Event(event.seq, event.id, event.prev_event_id, Fact(event.type, event.step_key, event.attempt, event.data))
        for event in found
    ]


def _chain_differences(run: WorkflowRun, events: Sequence[Event]) -> Iterator[Difference]:
    before: Event | None = None
    for event in events:
        expected = (before.seq + 1, before.id) if before else (1, None)
        if (event.seq, event.prev_event_id) != expected:
            stored = f"event {event.seq} after {event.prev_event_id}"
            yield _difference(run, "chain", stored, f"event {expected[0]} after {expected[1]}")
            return
        before = event
    last = (before.seq, before.id) if before else (0, None)
    if last != (run.event_seq, run.last_event_id) or not events:
        yield _difference(run, "end", f"event {run.event_seq} {run.last_event_id}", f"event {last[0]} {last[1]}")


def _state_differences(run: WorkflowRun, events: Sequence[Event], report: RunsReport) -> Iterator[Difference]:
    if "scope" not in events[0].fact.data:
        report.older += 1
        return
    try:
        derived = state_rebuilt(event.fact for event in events)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        yield _difference(run, "fold", "a history", repr(error))
        return
    stored = state_of(run)
    for item in fields(State):
        there, right = getattr(stored, item.name), getattr(derived, item.name)
        if there != right and not _is_waking(run, item.name, right):
            yield _difference(run, item.name, _text(there), _text(right))


def _is_waking(run: WorkflowRun, name: str, derived: object) -> bool:
    """A paused run whose time is over is handed to a worker, who writes that it ends: the row is ahead by a moment."""
    return name == "status" and derived == "paused" and run.status == "pending" and run.deadline_at is not None


def _difference(run: WorkflowRun, what: str, stored: str, derived: str) -> Difference:
    return Difference(run.id, run.organization_id, what, stored, derived)


def _text(value: Any) -> str:
    text = json.dumps(value, default=_plain, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= 300 else text[:300] + "…"


def _plain(value: Any) -> Any:
    return value.as_json() if isinstance(value, StepSpec) else str(value)


def report_json(report: RunsReport) -> Json:
    """Return the report as plain JSON."""
    plain = {name: getattr(report, name) for name in ("runs", "events", "archived", "older")}
    differences = [{each.name: str(getattr(item, each.name)) for each in fields(item)} for item in report.differences]
    return plain | {"differences": differences}
