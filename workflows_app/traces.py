"""What this room knows of a trace: runs, their events, and the live streams that they wrote to."""

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from accounts_app.services.traces import TraceEvent, milliseconds, row_url, trace_rows
from gateway_app.services.traces import stream_trace_events
from workflows_app.models import RunEvent, WorkflowRun
from workflows_app.models.run import RunStatus

_TROUBLE = ("failed", "lost", "crashed")


def trace_source(trace_id: str) -> Iterator[TraceEvent]:
    """Yield the runs that the request started and what happened to them."""
    runs = list(trace_rows(WorkflowRun.objects.order_by("created_at"), trace_id))
    yield from map(_run, runs)
    yield from map(_event, trace_rows(RunEvent.objects.order_by("created_at", "seq"), trace_id))
    yield from stream_trace_events(run.stream_id for run in runs if run.stream_id)


def _run(run: WorkflowRun) -> TraceEvent:
    return TraceEvent(
        at=run.created_at,
        kind="run",
        label=_("Workflow run"),
        title=f"{run.workspace_key} · {run.stage}",
        detail=str(run.get_status_display()),
        url=row_url(run),
        amount=run.cost_usd,
        duration_ms=milliseconds(run.created_at, run.finished_at),
        is_trouble=run.status == RunStatus.FAILED,
    )


def _event(event: RunEvent) -> TraceEvent:
    return TraceEvent(
        at=event.created_at,
        kind="run_event",
        label=_("Run event"),
        title=event.type,
        detail=event.step_key,
        url=row_url(event),
        is_trouble=event.type.endswith(_TROUBLE),
    )
