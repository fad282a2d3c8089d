"""What people do to a run: cancel, pause, resume, retry, signal. The row is locked: no worker decides meanwhile."""

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.exceptions import NotFound
from accounts_app.services.audit import audit_record
from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import current_organization_id, current_tenant
from workflows_app.contracts import Json, RunRef
from workflows_app.engine.machine import MAX_SIGNALS, Machine
from workflows_app.exceptions import RunActive, RunStateConflict
from workflows_app.models import RunStatus, WorkflowRun
from workflows_app.models.run import UNFINISHED
from workflows_app.selectors import run_detail
from workflows_app.services.store import machine_of, machine_write


@transaction.atomic
def run_cancel(*, run_id: UUID) -> RunRef:
    """Ask for the end of a run. One that no worker holds ends at once, another within about a second.

    Asking again, or for a run that has ended already, changes nothing. Raises NotFound.
    """
    run = run_locked(run_id)
    if run.is_finished or run.cancel_requested_at is not None:
        return run_detail(run).ref
    run.cancel_requested_at = timezone.now()
    machine = machine_of(run)
    machine.emit("run.cancel_requested", user_id=_who())
    if run.lease_until is None:
        machine.claimed()
    # Whoever still believes in an older claim is fenced by the new token.
    fence: dict[str, Any] = {"token_next": run.token + 1} if run.lease_until is None else {}
    _write(run, machine, "run.cancel", cancel_requested_at=run.cancel_requested_at, **fence)
    return run_detail(run).ref


@transaction.atomic
def run_pause(*, run_id: UUID) -> RunRef:
    """Let the run rest: at once where no worker holds it, else after the step it is at. What it waits for may come.

    Pausing a paused run changes nothing. Raises NotFound, RunStateConflict when it has ended.
    """
    run = run_locked(run_id)
    _refuse_ended(run)
    if run.status == RunStatus.PAUSED or run.pause_requested_at is not None:
        return run_detail(run).ref
    machine = machine_of(run)
    requested = timezone.now()
    if run.lease_until is None:
        machine.emit("run.paused", user_id=_who())
    else:
        machine.emit("run.pause_requested", user_id=_who())
    _write(run, machine, "run.pause", pause_requested_at=requested)
    return run_detail(run).ref


@transaction.atomic
def run_resume(*, run_id: UUID) -> RunRef:
    """Let a paused run go on, or withdraw the wish to pause. Raises NotFound, RunStateConflict when not paused."""
    run = run_locked(run_id)
    if run.status != RunStatus.PAUSED and run.pause_requested_at is None:
        raise RunStateConflict(_("The run is not paused."))
    machine = machine_of(run, pause=False)
    machine.emit("run.resumed" if run.status == RunStatus.PAUSED else "run.pause_withdrawn", user_id=_who())
    _write(run, machine, "run.resume", pause_requested_at=None)
    return run_detail(run).ref


@transaction.atomic
def run_signal(*, run_id: UUID, name: str, data: Json) -> RunRef:
    """Send a signal. A run that waits for it goes on; another keeps it until a step asks for it.

    An approval is the signal ``approve`` with ``{"approved": true | false, "note": …}``. Raises NotFound,
    RunStateConflict when the run has ended, or keeps 100 signals that no step has asked for.
    """
    run = run_locked(run_id)
    _refuse_ended(run)
    machine = machine_of(run)
    if len(machine.state.signals) >= MAX_SIGNALS:
        raise RunStateConflict(_("The run has too many signals that no step has asked for."))
    machine.signalled(name, data, _who())
    _write(run, machine, "run.signal", data={"name": name})
    return run_detail(run).ref


@transaction.atomic
def run_retry(*, run_id: UUID, stream_id: UUID | None = None) -> RunRef:
    """Continue a failed run at its failed step; what was completed before stays. ``stream_id`` is its new stream.

    Raises NotFound, RunStateConflict when the run has not failed, RunActive when its subject has another run.
    """
    run = run_locked(run_id)
    if run.status != RunStatus.FAILED:
        raise RunStateConflict(_("Only a failed run can be taken up again."))
    if run.parent_id is not None:
        raise RunStateConflict(_("This run is part of another one: retry that one."))
    if run.subject_id and _others_active(run):
        raise RunActive
    run.stream_id, run.announced_at, run.cancel_requested_at = stream_id, None, None
    machine = machine_of(run)
    machine.emit("run.retried", user_id=_who())
    fresh: dict[str, Any] = {
        "stream_id": stream_id,
        "trace_id": current_trace_id(),
        "cancel_requested_at": None,
        "crash_attempts": 0,
    }
    _write(run, machine, "run.retry", token_next=run.token + 1, deadline_at=None, pause_requested_at=None, **fresh)
    return run_detail(run).ref


def run_locked(run_id: UUID) -> WorkflowRun:
    """Lock one of the organization's runs. Raises NotFound."""
    own = WorkflowRun.objects.select_for_update().filter(organization_id=current_organization_id())
    run = own.filter(pk=run_id).first()
    if run is None:
        raise NotFound
    return run


def _write(run: WorkflowRun, machine: Machine, action: str, *, data: Json | None = None, **columns: Any) -> None:
    machine_write(run, machine, **columns)
    audit_record(action=action, target_type="workflow_run", target_id=run.id, data=data or {})


def _refuse_ended(run: WorkflowRun) -> None:
    if run.is_finished:
        raise RunStateConflict(_("The run has ended."))


def _others_active(run: WorkflowRun) -> bool:
    others = WorkflowRun.objects.filter(
        organization_id=run.organization_id, subject_id=run.subject_id, status__in=UNFINISHED, parent__isnull=True
    )
    return others.exclude(pk=run.pk).exists()


def _who() -> str:
    return str(current_tenant().user_id or "")
