"""The worker's loop: take a run, carry out its steps one after the other, tell its end."""

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils.translation import override

from accounts_app.services.trace import bind_trace
from workflows_app.contracts import StepResult
from workflows_app.exceptions import LeaseLost
from workflows_app.models import StepRun, StepStatus
from workflows_app.services.attempts import (
    Completed,
    Failed,
    Stopped,
    attempt,
    attempts_allowed,
    overdue_error,
)
from workflows_app.services.claims import Claim, run_claim
from workflows_app.services.leases import LEASES, Lease
from workflows_app.services.live import LiveRun, live_run
from workflows_app.services.records import (
    record_announced,
    record_cancelled,
    record_completed,
    record_failed,
    record_released,
    record_retry,
)

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

# Set when the worker is told to shut down: runs go back after the step they are at.
DRAINING = threading.Event()


def run_advance(*, run_id: UUID) -> None:
    """Carry a run on, if it is free. Call with its tenant bound and no transaction open: steps call models."""
    claim = run_claim(run_id)
    if claim is None:
        return
    with bind_trace(claim.run.trace_id), override(claim.run.language or None), LEASES.hold(claim) as lease:
        try:
            with live_run(claim.run) as live:
                _carry_on(claim, lease, live)
        except LeaseLost:
            logger.warning("workflow.lease_lost", extra={"run_id": str(run_id), "token": claim.token})


def _carry_on(claim: Claim, lease: Lease, live: LiveRun) -> None:
    live.taken_up(claim, lambda: _last_completed(claim))
    while claim.step_run is not None:
        live.started(claim.step_run)
        lease.begin_step()
        claim = _one_step(claim, lease, live)
    if claim.run.is_finished and claim.run.stream_id is not None:
        live.ended(claim.run)
        record_announced(claim)


def _one_step(claim: Claim, lease: Lease, live: LiveRun) -> Claim:
    outcome = attempt(claim, lease, live)
    match outcome:
        case Completed(result):
            return _completed(claim, result, live)
        case Failed(error, may_pass) if may_pass and _attempt_number(claim) < attempts_allowed(claim):
            _pause(_attempt_number(claim), lease)
            again = _recorded(lambda: record_retry(claim, error))
            live.again(_step_run(claim), error)
            return again
        case Failed(error, _):
            return _failed(claim, error, live)
        case Stopped():
            return _stopped(claim, lease, live)


def _completed(claim: Claim, result: StepResult, live: LiveRun) -> Claim:
    following = _recorded(lambda: record_completed(claim, result, release=DRAINING.is_set()))
    live.completed(_step_run(claim))
    return following


def _failed(claim: Claim, error: dict[str, object], live: LiveRun) -> Claim:
    ended = _recorded(lambda: record_failed(claim, error))
    live.failed(_step_run(claim))
    return ended


def _stopped(claim: Claim, lease: Lease, live: LiveRun) -> Claim:
    if lease.is_lost:
        _recorded(lambda: record_released(claim))
        raise LeaseLost
    if lease.cancelled.is_set():
        return _recorded(lambda: record_cancelled(claim))
    return _failed(claim, overdue_error(), live)


def _recorded(record: Callable[[], Answer]) -> Answer:
    """Write what happened, through a short absence of the database: the step's result is in no other place."""
    patience = time.monotonic() + settings.WORKFLOW_LEASE_SECONDS
    while True:
        try:
            return record()
        except (OperationalError, InterfaceError):
            if time.monotonic() > patience:
                raise
            connection.close()
            time.sleep(0.2)


def _pause(attempts: int, lease: Lease) -> None:
    # Full jitter, so that runs that failed together do not come back together.
    until = time.monotonic() + random.uniform(0.1, 0.4 * 2**attempts)
    while time.monotonic() < until and not lease.should_stop():
        time.sleep(0.05)


def _step_run(claim: Claim) -> StepRun:
    assert claim.step_run is not None
    return claim.step_run


def _attempt_number(claim: Claim) -> int:
    """Failures count, lost workers do not: those have a limit of their own."""
    with transaction.atomic():
        failed = StepRun.objects.filter(run=claim.run, key=claim.step.key, status=StepStatus.FAILED).count()
    return failed + 1


def _last_completed(claim: Claim) -> StepRun | None:
    with transaction.atomic():
        completed = StepRun.objects.filter(run=claim.run, status=StepStatus.COMPLETED)
        return completed.order_by("-position").first()
