"""Who may work on a run: claims with a lease, the database's clock, and a token that fences older ones."""

import logging
import os
import socket
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection, models, transaction
from django.db.models.functions import Now
from django.utils.translation import override

from accounts_app.services.trace import bind_trace
from accounts_app.tenancy.context import Tenant, bound_by_statement
from workflows_app.contracts import Json, StepDetail, StepSpec
from workflows_app.engine.attempts import idempotency_key
from workflows_app.engine.machine import Asked, Machine
from workflows_app.exceptions import LeaseLost
from workflows_app.models import WorkflowRun
from workflows_app.registry import is_local
from workflows_app.services.children import children_start
from workflows_app.services.store import lease_seconds, machine_of, machine_write, state_of

logger = logging.getLogger(__name__)

# No more than this (seconds) is what is written said to lie back, however long the database was away: whoever counts by
# time, as the statistics do, waits for less than theirs (`workflows_app.services.statistics.LAG`).
MOST_AGO = 2.0

_FIELDS = WorkflowRun._meta.concrete_fields  # noqa: SLF001 - Django's documented API
_NAMES = [field.attname for field in _FIELDS]
_JSON = [(number, field) for number, field in enumerate(_FIELDS) if isinstance(field, models.JSONField)]
_CLAIM = f"SELECT {', '.join(field.column for field in _FIELDS)} FROM workflow_claim(%s, %s, %s, %s, %s)"  # noqa: S608 - our own names


@dataclass(frozen=True)
class Attempt:
    """One attempt at a step, under way in this worker."""

    step: StepSpec
    number: int
    idempotency_key: str
    model: str = ""

    @property
    def facts(self) -> Json:
        """What readers of the stream are told of it."""
        step = self.step
        return {"step": step.key, "action": step.action, "via": step.via, "attempt": self.number}


@dataclass(frozen=True)
class Claim:
    """A run in this worker's hands. ``attempt`` is what to carry out, None when nothing is but to tell the end.

    ``taken_over``: another worker was on this step before, so its text begins again. ``pause_seconds``: wait so long
    before the next try. ``ended`` are the attempts that ended with what was written last; ``is_tried_again``: the last
    of them failed, and another follows. ``begun_at`` (`time.monotonic`): the run began with a local step then, which is
    written with what comes of it; None when the attempt is written.
    """

    run: WorkflowRun
    token: int
    attempt: Attempt | None
    taken_over: bool = False
    pause_seconds: float = 0.0
    ended: tuple[StepDetail, ...] = ()
    is_tried_again: bool = False
    begun_at: float | None = None


def worker_name() -> str:
    """Who this process is, as operators see it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def run_claim(run_id: UUID | None = None, *, passed_over: UUID | None = None) -> Claim | None:
    """Take a run: the given one, or the next in the queue; None when it is not to be had. Begins its next step.

    The queue is that of all organizations where the caller is in an operator context; ``passed_over`` is one whose
    runs are left to others. A run whose holder was silent for a lease is taken over. One that cannot even be begun
    counts as one that took its worker down: it is out of the others' way, and given up after some times.
    """
    values = [run_id, passed_over, lease_seconds(), worker_name(), settings.WORKFLOW_MAX_CRASHES]
    try:
        with transaction.atomic():
            claim = _claimed(values)
    except _Unbegun as unbegun:
        _hold_unbegun(unbegun.run)
        return None
    if connection.in_atomic_block:
        connection.apply_tenant()  # type: ignore[attr-defined]
    return claim


def _claimed(values: list[Any]) -> Claim | None:
    run = _taken(values)
    if run is None:
        return None
    if run.is_finished:
        return Claim(run, run.token, None)
    tenant = Tenant(organization_id=run.organization_id, user_id=run.user_id)
    with bound_by_statement(tenant), bind_trace(run.trace_id), override(run.language or None):
        try:
            return _begun(run)
        except (DatabaseError, LeaseLost):
            raise
        except Exception as error:
            logger.exception("workflow.unbegun", extra={"run_id": str(run.pk)})
            raise _Unbegun(run) from error


def _taken(values: list[Any]) -> WorkflowRun | None:
    # As ``raw()`` would, without finding out at each claim which columns there are.
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, values)
        row = cursor.fetchone()
    if row is None:
        return None
    columns = list(row)
    for number, field in _JSON:
        columns[number] = field.from_db_value(columns[number], None, connection)  # type: ignore[arg-type]
    return WorkflowRun.from_db(connection.alias, _NAMES, columns)


class _Unbegun(Exception):
    def __init__(self, run: WorkflowRun) -> None:
        super().__init__(str(run.pk))
        self.run = run


@transaction.atomic
def _hold_unbegun(run: WorkflowRun) -> None:
    # As if a worker had it and said nothing more. Left at the head of the queue, every worker would try it for ever.
    until = Now() + timedelta(seconds=lease_seconds())
    still = WorkflowRun.objects.filter(pk=run.pk, token=run.token - 1)
    still.update(is_ready=False, lease_until=until, token=run.token, worker=run.worker)


def claim_after(
    run: WorkflowRun,
    machine: Machine,
    token: int,
    *,
    taken_over: bool = False,
    ended: tuple[StepDetail, ...] = (),
) -> Claim:
    """Return the claim as it stands after the machine's decisions were written."""
    again = any(fact.type == "step.retried" for fact in machine.facts)
    return Claim(run, token, attempt_of(run, machine), taken_over, machine.pause_seconds, ended, again)


def tell_begun(machine: Machine, claim: Claim) -> None:
    """Tell the machine that the run began, unless that is written. What was asked of it since comes after that."""
    if claim.begun_at is None or not machine.is_untouched:
        return
    machine.ago = min(time.monotonic() - claim.begun_at, MOST_AGO)
    asked, machine.asked = machine.asked, Asked()
    machine.claimed()
    machine.ago, machine.asked = 0.0, asked


def attempt_of(run: WorkflowRun, machine: Machine) -> Attempt | None:
    """The attempt that is under way in the machine's state."""
    state, step = machine.state, machine.state.step
    if not state.attempt or step is None:
        return None
    model = step.fallback_model if state.on_fallback else ""
    return Attempt(step, state.attempt, idempotency_key(run.id, state, step), model)


def _begun(run: WorkflowRun) -> Claim:
    machine = machine_of(run)
    token = run.token
    if not _template_slot(run, machine):
        machine.park("slot", key=_template_key(machine), due_in=30.0)
        machine_write(run, machine, token=token, lease=0)
        return Claim(run, token, None)
    is_untouched = machine.is_untouched
    taken_over = machine.claimed()
    attempt = attempt_of(run, machine)
    if is_untouched and not run.crash_attempts and _begins_with(attempt, machine):
        return Claim(run, token, attempt, begun_at=time.monotonic())
    machine_write(run, machine, token=token, lease=lease_seconds() if keeps(machine, run) else 0)
    children_start(run, machine.children)
    return claim_after(run, machine, token, taken_over=taken_over)


def _begins_with(attempt: Attempt | None, machine: Machine) -> bool:
    """Whether nothing else happens but that a local step is begun, which need not be written by itself."""
    began = [fact.type for fact in machine.facts] == ["run.started", "step.started"]
    return began and attempt is not None and is_local(attempt.step)


def keeps(machine: Machine, run: WorkflowRun) -> bool:
    """Whether the worker has something to do with the run: an attempt, a try after a pause, or its end to tell."""
    state = machine.state
    return bool(state.attempt or machine.pause_seconds or (state.is_finished and run.stream_id is not None))


def _template_slot(run: WorkflowRun, machine: Machine) -> bool:
    most = machine.config().limits.max_runs
    if most is None or run.parent_id is not None or state_of(run).steps_done:
        return True
    return machine.slot_take(_template_key(machine), most)


def _template_key(machine: Machine) -> str:
    return f"template:{machine.config().name}"
