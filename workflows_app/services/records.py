"""What a worker writes about the run it holds. Each is one transaction; a fenced worker's changes nothing.

All raise LeaseLost when another worker has the run or when it has ended.
"""

from dataclasses import replace

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from workflows_app.contracts import Json, StepResult
from workflows_app.models import StepRun, WorkflowRun
from workflows_app.services.claims import Claim, lease_length, run_hold
from workflows_app.services.steps import (
    STEP_COLUMNS,
    next_step,
    step_again,
    step_cancelled,
    step_completed,
    step_failed,
)


@transaction.atomic
def record_completed(claim: Claim, result: StepResult, *, release: bool = False) -> Claim:
    """Record a step's result and begin the next step in the same transaction.

    With ``release`` the run is put back for another worker instead: this one is shutting down.
    """
    run = run_hold(claim)
    step_completed(run, _attempt(claim), result)
    if run.is_finished:
        return _ended(run)
    if release:
        run.save(update_fields=STEP_COLUMNS)
        _free(run)
        return Claim(run, None)
    step_run, _lost = next_step(run)
    if run.is_finished:
        return _ended(run)
    run.save(update_fields=STEP_COLUMNS)
    _renew(run)
    return Claim(run, step_run)


@transaction.atomic
def record_failed(claim: Claim, error: Json) -> Claim:
    """Record that the step, and with it the run, failed. ``error`` is ``{code, message}``."""
    run = run_hold(claim)
    step_failed(run, _attempt(claim), error)
    return _ended(run)


@transaction.atomic
def record_cancelled(claim: Claim) -> Claim:
    """Record that the step was left because the run was cancelled."""
    run = run_hold(claim)
    step_cancelled(run, _attempt(claim))
    return _ended(run)


@transaction.atomic
def record_retry(claim: Claim, error: Json) -> Claim:
    """Record a failure that may pass, and begin the next attempt."""
    run = run_hold(claim)
    step_run = step_again(run, _attempt(claim), error)
    run.save(update_fields=STEP_COLUMNS)
    _renew(run)
    return replace(claim, run=run, step_run=step_run, taken_over=False)


@transaction.atomic
def record_released(claim: Claim) -> None:
    """Put the run back in the middle of a step: this worker cannot be sure of its lease any more."""
    held = WorkflowRun.objects.filter(pk=claim.run.pk, token=claim.token, announced_at__isnull=True)
    held.update(lease_until=None, dispatched_at=None)


@transaction.atomic
def record_announced(claim: Claim) -> None:
    """Record that the stream's readers know the end; nobody needs the run any more."""
    held = WorkflowRun.objects.filter(pk=claim.run.pk, token=claim.token)
    held.update(announced_at=timezone.now(), lease_until=None)


def _attempt(claim: Claim) -> StepRun:
    assert claim.step_run is not None
    return claim.step_run


def _ended(run: WorkflowRun) -> Claim:
    if run.announced_at is not None:
        _free(run)
    else:
        _renew(run)
    return Claim(run, None)


def _free(run: WorkflowRun) -> None:
    WorkflowRun.objects.filter(pk=run.pk).update(lease_until=None, dispatched_at=None)


def _renew(run: WorkflowRun) -> None:
    WorkflowRun.objects.filter(pk=run.pk).update(lease_until=Now() + lease_length())
