"""The step at a run's cursor: begun, completed, failed, tried again.

The caller holds the run's row locked, and saves STEP_COLUMNS unless the run has ended.
"""

import hashlib
from decimal import Decimal

from django.utils import timezone

from workflows_app.contracts import Json, StepResult, StepSpec
from workflows_app.models import RunStatus, StepRun, StepStatus, WorkflowRun
from workflows_app.selectors import run_detail, step_detail
from workflows_app.services.endings import run_finish
from workflows_app.services.events import EVENT_COLUMNS, NewEvent, events_append
from workflows_app.signals import run_started, step_finished

STEP_COLUMNS = ("status", "started_at", "cursor", "context", "cost_usd", "crash_attempts", *EVENT_COLUMNS)


def idempotency_key(run: WorkflowRun, step: StepSpec) -> str:
    """Return the name of a step's outside effects: the same for every attempt, for no other step or run."""
    return hashlib.sha256(f"{run.id}/{run.stage}/{step.key}".encode()).hexdigest()[:48]


def next_step(run: WorkflowRun) -> tuple[StepRun | None, bool]:
    """Begin the step at the cursor, or end a run that is to be cancelled. Tells whether a lost attempt was found."""
    lost = StepRun.objects.filter(run=run, status=StepStatus.RUNNING).update(
        status=StepStatus.LOST, finished_at=timezone.now()
    )
    if run.cancel_requested_at is not None:
        run_finish(run, RunStatus.CANCELLED)
        return None, False
    if run.started_at is None:
        run.started_at = timezone.now()
        events_append(run, NewEvent("run.started"))
        run_started.send(sender=WorkflowRun, run=run_detail(run))
    run.status = RunStatus.RUNNING
    return _begin(run), bool(lost)


def step_completed(run: WorkflowRun, step_run: StepRun, result: StepResult) -> None:
    """Record the result, merge the context, move the cursor; end the run after its last step."""
    _close(step_run, StepStatus.COMPLETED, output=result.output)
    run.context = {**run.context, **result.set}
    run.cost_usd += step_run.cost_usd
    run.cursor += 1
    run.crash_attempts = 0
    step = step_detail(step_run)
    facts: Json = {"attempt": step.attempt, "output": step.output, "duration_ms": step.duration_ms}
    if step.model:
        facts |= {"model": step.model, "tokens": step.tokens, "cost_usd": str(step.cost_usd)}
    events_append(run, NewEvent("step.completed", step.key, facts))
    step_finished.send(sender=StepRun, run=run_detail(run), step=step, result=result)
    if run.cursor == len(run.steps):
        run_finish(run, RunStatus.COMPLETED)
        return
    events_append(run, NewEvent("step.scheduled", run.steps[run.cursor]["key"]))


def step_failed(run: WorkflowRun, step_run: StepRun, error: Json) -> None:
    """Record the failure and end the run with it; the cursor stays, so that a retry begins here."""
    _close(step_run, StepStatus.FAILED, error=error)
    events_append(run, NewEvent("step.failed", step_run.key, {"attempt": step_run.attempt, "error": error}))
    run_finish(run, RunStatus.FAILED, error)


def step_cancelled(run: WorkflowRun, step_run: StepRun) -> None:
    """Record that the step was left because the run is to end, and end it."""
    _close(step_run, StepStatus.CANCELLED)
    run_finish(run, RunStatus.CANCELLED)


def step_again(run: WorkflowRun, step_run: StepRun, error: Json) -> StepRun:
    """Record a failure that may pass, and begin the next attempt."""
    _close(step_run, StepStatus.FAILED, error=error)
    events_append(run, NewEvent("step.retried", step_run.key, {"attempt": step_run.attempt, "error": error}))
    return _begin(run)


def _begin(run: WorkflowRun) -> StepRun:
    step = StepSpec.from_json(run.steps[run.cursor])
    step_run = StepRun.objects.create(
        organization_id=run.organization_id,
        user_id=run.user_id,
        run=run,
        key=step.key,
        position=run.cursor,
        action=step.action,
        via=step.via,
        attempt=StepRun.objects.filter(run=run, key=step.key).count() + 1,
        idempotency_key=idempotency_key(run, step),
        started_at=timezone.now(),
    )
    events_append(run, NewEvent("step.started", step.key, {"attempt": step_run.attempt}))
    return step_run


def _close(step_run: StepRun, status: StepStatus, *, output: Json | None = None, error: Json | None = None) -> None:
    output = output or {}
    step_run.status, step_run.output, step_run.error = status, output, error
    step_run.model = str(output.get("model", ""))[:120]
    step_run.tokens = int(output.get("tokens", 0))
    step_run.cost_usd = Decimal(str(output.get("cost_usd", 0)))
    step_run.finished_at = timezone.now()
    step_run.save(update_fields=["status", "output", "error", "model", "tokens", "cost_usd", "finished_at"])
