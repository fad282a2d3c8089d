"""Waiting for a run without holding a transaction or a connection."""

import time
from uuid import UUID

from django.db import connection, transaction

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id
from tasks_app.contracts import RunOutcome
from tasks_app.models import Task, TaskEvent

_FIRST_PAUSE, _LONGEST_PAUSE = 0.03, 0.4  # seconds


def run_wait(*, task_id: UUID, run_id: UUID, seconds: float) -> RunOutcome | None:
    """Return how the run ended, or None when it has not after ``seconds``. Raises NotFound."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        with transaction.atomic():
            outcome = run_outcome(task_id=task_id, run_id=run_id)
        left = deadline - time.monotonic()
        if outcome is not None or left <= 0:
            return outcome
        _give_back_connection()
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def run_outcome(*, task_id: UUID, run_id: UUID) -> RunOutcome | None:
    """Return how a run of the task ended, from the task's own log; None while it is under way."""
    own = Task.objects.filter(pk=task_id, organization_id=current_organization_id())
    active = own.values_list("active_run_id", flat=True).first()
    if active is None and not own.exists():
        raise NotFound
    if active == run_id:
        return None
    events = list(TaskEvent.objects.filter(task_id=task_id, run_id=run_id).order_by("-seq"))
    last = next((event for event in events if event.event_key != "usage"), None)
    if last is None:
        raise NotFound
    versions = (event.output.get("version_id") for event in events)
    status = last.event_key if last.event_key in {"failed", "cancelled"} else "completed"
    return RunOutcome(status, next(filter(None, versions), None), last.output.get("error"))


def _give_back_connection() -> None:
    """Return the connection to the pool while nothing is asked of it (a test's frame around us keeps its own)."""
    if not connection.in_atomic_block:
        connection.close()
