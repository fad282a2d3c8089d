"""Steps that leave nothing behind but their result are carried out in a row, and written together.

After Temporal's local activities: a step whose handler is registered as ``local`` needs no commit of its own. Should
the worker die, or the run be paused meanwhile, what is not written has not happened, and is done again. A run that has
lost a worker goes step by step, so that the step which takes workers down is the one that is named.
"""

import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace

from workflows_app.contracts import StepResult
from workflows_app.engine.machine import Machine
from workflows_app.registry import is_local
from workflows_app.services.attempts import Completed, Outcome, attempt
from workflows_app.services.claims import MOST_AGO, Attempt, Claim, attempt_of, tell_begun
from workflows_app.services.leases import Lease
from workflows_app.services.live import LiveRun, Silence
from workflows_app.services.store import machine_of

# For so long (seconds) no further step is begun before the others are written; readers hear of them then.
TOGETHER_SECONDS = 0.1
_AS_IT_IS_THEN = ("stage", "visits", "context")


@dataclass(frozen=True)
class Done:
    """A step that was carried out: what it gave, and when it was over (`time.monotonic`)."""

    attempt: Attempt
    result: StepResult
    at: float


@dataclass(frozen=True)
class Row:
    """What was carried out and is not written: steps that were done, and how the one behind them ended otherwise."""

    done: tuple[Done, ...] = ()
    undone: Attempt | None = None
    outcome: Outcome | None = None


def done_now(claim: Claim, result: StepResult) -> Done:
    """The claim's attempt, that has just been done."""
    assert claim.attempt is not None
    return Done(claim.attempt, result, time.monotonic())


def row_carried(claim: Claim, first: Done, lease: Lease, goes_on: Callable[[], bool]) -> Row:
    """Carry out the local steps that follow the claim's attempt, which was done; nothing is written.

    Nobody is told of them either: readers of a run hear what is true. What a step with effects gave waits for nothing:
    none follows it. Call with no transaction open.
    """
    if claim.run.crash_attempts or not is_local(first.attempt.step):
        return Row((first,))
    done = [first]
    until = time.monotonic() + TOGETHER_SECONDS
    machine = machine_of(claim.run)
    # Slots are taken where it is written, so a step that needs one ends the row.
    machine.slot_take = lambda _key, _limit: False
    tell_begun(machine, claim)
    machine.completed(first.result)
    while (following := attempt_of(claim.run, machine)) is not None and is_local(following.step):
        if time.monotonic() > until or lease.should_stop() or not goes_on():
            break
        lease.begin_step(timeout=following.step.timeout, silence=following.step.heartbeat)
        outcome = attempt(_claim_then(claim, machine, following), lease, _UNHEARD)
        if not isinstance(outcome, Completed):
            return Row(tuple(done), following, outcome)
        done.append(Done(following, outcome.result, time.monotonic()))
        machine.completed(outcome.result)
    return Row(tuple(done))


def tell_done(machine: Machine, claim: Claim, done: Sequence[Done], *, release: bool) -> None:
    """Tell the machine of steps that were done one after the other, as far as it would have had them done.

    With ``release`` it is told after the last one to let the run go.
    """
    now = time.monotonic()
    for number, item in enumerate(done, start=1):
        if attempt_of(claim.run, machine) != item.attempt:
            # It was asked to rest or to end meanwhile: this step and those behind it have not happened.
            return
        is_last = number == len(done)
        machine.ago = 0.0 if is_last else min(now - item.at, MOST_AGO)
        machine.completed(item.result, release=release and is_last)


_UNHEARD = LiveRun(Silence())


def _claim_then(claim: Claim, machine: Machine, following: Attempt) -> Claim:
    run = copy(claim.run)
    for name in _AS_IT_IS_THEN:
        setattr(run, name, getattr(machine.state, name))
    return replace(claim, run=run, attempt=following)
