"""The log of a run: numbered without gaps, each event chained to the one before."""

import uuid
from dataclasses import dataclass, field

from accounts_app.services.trace import current_trace_id
from workflows_app.contracts import Json
from workflows_app.models import RunEvent, WorkflowRun

# The columns of the run that `events_append` changes; who calls it saves them.
EVENT_COLUMNS = ("event_seq", "last_event_id")


@dataclass(frozen=True)
class NewEvent:
    """A fact to be logged. ``data`` is small JSON without secrets."""

    type: str
    step_key: str = ""
    data: Json = field(default_factory=dict)


def events_append(run: WorkflowRun, *events: NewEvent) -> None:
    """Append events. The caller holds the run's row locked, or has just made it, and saves EVENT_COLUMNS."""
    rows = []
    for event in events:
        run.event_seq += 1
        row = RunEvent(
            id=uuid.uuid4(),
            organization_id=run.organization_id,
            user_id=run.user_id,
            run=run,
            seq=run.event_seq,
            prev_event_id=run.last_event_id,
            type=event.type,
            step_key=event.step_key,
            data=event.data,
            trace_id=current_trace_id(),
        )
        run.last_event_id = row.id
        rows.append(row)
    RunEvent.objects.bulk_create(rows)
