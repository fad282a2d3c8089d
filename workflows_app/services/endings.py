"""How a run ends."""

from django.utils import timezone

from workflows_app.contracts import Json
from workflows_app.models import RunStatus, WorkflowRun
from workflows_app.selectors import run_detail
from workflows_app.services.events import EVENT_COLUMNS, NewEvent, events_append
from workflows_app.signals import run_finished

_COLUMNS = ("status", "error", "finished_at", "announced_at", "token", "cursor", "context", "cost_usd", *EVENT_COLUMNS)


def run_finish(run: WorkflowRun, status: RunStatus, error: Json | None = None) -> None:
    """Record the end, in the open transaction with the row locked: status, event, signal.

    A run with a stream stays on the workers' list until its readers have been told.
    """
    run.status, run.error, run.finished_at = status, error, timezone.now()
    if run.stream_id is None:
        run.announced_at = run.finished_at
    data: Json = {"stage": run.stage, "cost_usd": str(run.cost_usd)}
    if error:
        data["error"] = error
    events_append(run, NewEvent(f"run.{status.value}", data=data))
    run.save(update_fields=_COLUMNS)
    run_finished.send(sender=WorkflowRun, run=run_detail(run), status=status.value, context=run.context, error=error)
