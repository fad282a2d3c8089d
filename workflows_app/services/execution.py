"""The worker's loop: take runs, carry out their steps one after the other, tell their ends."""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils.translation import override

from accounts_app.services.trace import bind_trace
from accounts_app.tenancy.context import tenant_context
from workflows_app.contracts import Json, StepDetail
from workflows_app.exceptions import LeaseLost
from workflows_app.models import StepRun, StepStatus
from workflows_app.selectors import step_detail
from workflows_app.services.attempts import Completed, Failed, Stopped, attempt, overdue_error
from workflows_app.services.claims import Attempt, Claim, run_claim
from workflows_app.services.dispatch import ring
from workflows_app.services.leases import LEASES, Lease
from workflows_app.services.live import LiveRun, live_run
from workflows_app.services.local_steps import Row, done_now, row_carried
from workflows_app.services.records import (
    record_again,
    record_announced,
    record_failed,
    record_released,
    record_row,
    record_stopped,
)
from workflows_app.services.seats import SEATS

logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")

# Set when the worker is told to shut down: runs go back after the step they are at.
DRAINING = threading.Event()
# How long one message may keep a worker's thread in the loop; then it rings for itself, and the broker has a say again.
TURN_SECONDS = 5.0


def runs_work() -> int:
    """Carry on what the queue holds, until it is empty or the turn is over; in an operator context. How many?"""
    carried, until = 0, time.monotonic() + TURN_SECONDS
    while not DRAINING.is_set():
        if time.monotonic() > until:
            ring()
            break
        with SEATS.seat() as seat:
            claim = run_claim(passed_over=seat.passed_over)
            if claim is None:
                break
            seat.take(claim.run.organization_id)
            _carried(claim)
            carried += 1
    return carried


def run_advance(*, run_id: UUID) -> None:
    """Carry one run on, if it is free. Call with no transaction open: steps call models."""
    claim = run_claim(run_id)
    if claim is not None:
        _carried(claim)


def _carried(claim: Claim) -> None:
    run = claim.run
    with (
        tenant_context(run.organization_id, run.user_id),
        bind_trace(run.trace_id),
        override(run.language or None),
        LEASES.hold(claim) as lease,
    ):
        try:
            with live_run(run) as live:
                _carry_on(claim, lease, live)
        except LeaseLost:
            logger.warning("workflow.lease_lost", extra={"run_id": str(run.pk), "token": claim.token})


def _carry_on(claim: Claim, lease: Lease, live: LiveRun) -> None:
    if claim.begun_at is None:
        live.taken_up(claim, lambda: _last_completed(claim))
    row = Row()
    while True:
        if claim.attempt is not None:
            if claim.begun_at is None:
                live.started(claim.attempt)
            claim, row = _one_step(claim, row, lease, live)
        elif claim.pause_seconds:
            _pause(claim.pause_seconds, lease)
            claim = _recorded(partial(record_again, claim))
        else:
            break
    if claim.run.is_finished and claim.run.stream_id is not None:
        live.ended(claim.run)
        record_announced(claim)
    elif claim.run.status in {"waiting", "paused"}:
        live.parked(claim.run)


def _one_step(claim: Claim, before: Row, lease: Lease, live: LiveRun) -> tuple[Claim, Row]:
    """Carry out the claimed step, unless that was done in the row before it, and record what came of it."""
    under_way = claim.attempt
    assert under_way is not None
    outcome = before.outcome if before.undone == under_way else None
    if outcome is None:
        lease.begin_step(timeout=under_way.step.timeout, silence=under_way.step.heartbeat)
        outcome = attempt(claim, lease, live)
    match outcome:
        case Completed(result):
            row = row_carried(claim, done_now(claim, result), lease, lambda: not DRAINING.is_set())
            return _completed(claim, row, live), row
        case Failed(error, may_pass):
            return _failed(claim, under_way, error, live, may_pass=may_pass), Row()
        case Stopped():
            return _stopped(claim, under_way, lease, live), Row()


def _completed(claim: Claim, row: Row, live: LiveRun) -> Claim:
    following = _recorded(lambda: record_row(claim, row.done, release=DRAINING.is_set()))
    _tell_begun(claim, following, live)
    for number, step in enumerate(following.ended):
        if number and step.status == StepStatus.COMPLETED:
            live.began(step)
        live.completed(step)
    return following


def _failed(claim: Claim, under_way: Attempt, error: Json, live: LiveRun, *, may_pass: bool) -> Claim:
    following = _recorded(lambda: record_failed(claim, error, may_pass=may_pass))
    _tell_begun(claim, following, live)
    if following.is_tried_again:
        live.again(under_way, error)
    else:
        live.failed(under_way, error)
    return following


def _tell_begun(claim: Claim, following: Claim, live: LiveRun) -> None:
    """Say that the run has begun, where that was written only now."""
    if claim.begun_at is not None and claim.attempt is not None and following.ended:
        live.taken_up(claim, lambda: None)
        live.started(claim.attempt)


def _stopped(claim: Claim, under_way: Attempt, lease: Lease, live: LiveRun) -> Claim:
    if lease.is_lost:
        _recorded(lambda: record_released(claim))
        raise LeaseLost
    if lease.cancelled.is_set() or lease.over.is_set():
        return _recorded(lambda: record_stopped(claim))
    return _failed(claim, under_way, overdue_error(), live, may_pass=False)


def _recorded(record: Callable[[], Answer]) -> Answer:
    """Write what happened, through a short absence of the database: the step's result is in no other place.

    It is tried again for a lease from the first failure on, however long that was in coming.
    """
    patience = None
    while True:
        try:
            return record()
        except (OperationalError, InterfaceError):
            now = time.monotonic()
            patience = patience or now + settings.WORKFLOW_LEASE_SECONDS
            if now > patience:
                raise
            connection.close()
            time.sleep(0.2)


def _pause(seconds: float, lease: Lease) -> None:
    until = time.monotonic() + seconds
    lease.begin_step()
    while time.monotonic() < until and not lease.should_stop():
        time.sleep(0.05)


def _last_completed(claim: Claim) -> StepDetail | None:
    with transaction.atomic():
        completed = StepRun.objects.filter(run=claim.run, status=StepStatus.COMPLETED)
        row = completed.order_by("-finished_at").first()
        return step_detail(row) if row else None
