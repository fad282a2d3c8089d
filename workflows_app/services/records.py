"""What a worker writes about the run it holds. Each is one transaction; a fenced worker's changes nothing.

All raise LeaseLost when another worker has the run or when it has ended.
"""

from collections.abc import Callable, Sequence
from copy import copy

from django.db import transaction
from django.utils import timezone

from workflows_app.contracts import Json, StepResult
from workflows_app.engine.machine import Machine
from workflows_app.exceptions import LeaseLost
from workflows_app.models import WorkflowRun
from workflows_app.services.children import children_start
from workflows_app.services.claims import Claim, attempt_of, claim_after, keeps, tell_begun
from workflows_app.services.dispatch import ring_later
from workflows_app.services.local_steps import Done, done_now, tell_done
from workflows_app.services.store import Stale, lease_seconds, machine_of, machine_write

# Controls and signals may come while a step is done; one of them is rare, several in a row are no reason to give up.
_TRIES = 50


def record_completed(claim: Claim, result: StepResult, *, release: bool = False) -> Claim:
    """Record a step's result and begin the next step in the same transaction.

    With ``release`` the run is put back for another worker instead: this one is shutting down.
    """
    return record_row(claim, [done_now(claim, result)], release=release)


def record_row(claim: Claim, done: Sequence[Done], *, release: bool = False) -> Claim:
    """Record the results of the claimed step and of those that were carried out behind it; else as above."""
    return _recorded(claim, lambda machine: tell_done(machine, claim, done, release=release))


def record_failed(claim: Claim, error: Json, *, may_pass: bool = False) -> Claim:
    """Record a failed step: it is tried again, passed over, or ends the run. ``error`` is ``{code, message}``."""
    return _recorded(claim, lambda machine: machine.failed(error, may_pass=may_pass))


def record_stopped(claim: Claim) -> Claim:
    """Record that the step was left, because the run was cancelled or has had its time."""
    return _recorded(claim, lambda machine: machine.stopped())


def record_again(claim: Claim) -> Claim:
    """Begin the next try: the pause before it is over."""
    return _recorded(claim, lambda machine: machine.again())


@transaction.atomic
def record_released(claim: Claim) -> None:
    """Put the run back in the middle of a step: this worker cannot be sure of its lease any more, and is fenced."""
    held = WorkflowRun.objects.filter(pk=claim.run.pk, token=claim.token, announced_at__isnull=True)
    if held.filter(lease_until__isnull=False).update(lease_until=None, is_ready=True, token=claim.token + 1):
        ring_later()


@transaction.atomic
def record_announced(claim: Claim) -> None:
    """Record that the stream's readers know the end; nobody needs the run any more."""
    held = WorkflowRun.objects.filter(pk=claim.run.pk, token=claim.token)
    held.update(announced_at=timezone.now(), lease_until=None, is_ready=False)


def _recorded(claim: Claim, tell: Callable[[Machine], None]) -> Claim:
    run = claim.run
    for _try in range(_TRIES):
        try:
            return _written(claim, run, tell)
        except Stale:
            run = _fresh(claim)
    raise LeaseLost


@transaction.atomic
def _written(claim: Claim, run: WorkflowRun, tell: Callable[[Machine], None]) -> Claim:
    # A copy: should the commit fail, the claim still says what was true before.
    run = copy(run)
    if run.is_finished:
        raise LeaseLost
    machine = machine_of(run)
    tell_begun(machine, claim)
    if attempt_of(run, machine) != claim.attempt:
        # The commit came through, though its answer did not.
        return claim_after(run, machine, claim.token)
    tell(machine)
    crashes = {"crash_attempts": 0} if run.crash_attempts else {}
    lease = lease_seconds() if keeps(machine, run) else 0
    ended = machine_write(run, machine, token=claim.token, lease=lease, **crashes)
    children_start(run, machine.children)
    return claim_after(run, machine, claim.token, ended=ended)


@transaction.atomic
def _fresh(claim: Claim) -> WorkflowRun:
    run = WorkflowRun.objects.filter(pk=claim.run.pk, token=claim.token).first()
    if run is None:
        raise LeaseLost
    return run
