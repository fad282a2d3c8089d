"""What people do to the run of a task while it goes on: let it rest, let it go on, answer what it asks."""

from uuid import UUID

from django.db import transaction

from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id
from tasks_app.exceptions import NothingRunning
from tasks_app.models import Task
from tasks_app.services.tasks import task_locked
from workflows_app.services.controls import run_pause, run_resume, run_signal

_LONGEST_NOTE = 2000


@transaction.atomic
def task_pause(*, task_id: UUID) -> UUID:
    """Let the task's run rest, after the step it is at; return its id. Raises NotFound, NothingRunning."""
    run_id = _active(task_id)
    run_pause(run_id=run_id)
    audit_record(action="task.pause", target_type="task", target_id=task_id)
    return run_id


@transaction.atomic
def task_resume(*, task_id: UUID) -> UUID:
    """Let the task's paused run go on; return its id. Raises NotFound, NothingRunning, RunStateConflict."""
    run_id = _active(task_id)
    run_resume(run_id=run_id)
    audit_record(action="task.resume", target_type="task", target_id=task_id)
    return run_id


@transaction.atomic
def task_answer(*, task_id: UUID, approved: bool, note: str = "") -> UUID:
    """Answer the approval that the task's run waits for; return its id. Raises NotFound, NothingRunning."""
    run_id = _active(task_id)
    note = note.replace("\0", "").strip()[:_LONGEST_NOTE]
    run_signal(run_id=run_id, name="approve", data={"approved": approved, "note": note})
    audit_record(action="task.answer", target_type="task", target_id=task_id, data={"approved": approved})
    return run_id


def _active(task_id: UUID) -> UUID:
    """The task is not locked: a run's end locks the run, then the task, and this keeps that order."""
    task = Task.objects.filter(pk=task_id, organization_id=current_organization_id()).first()
    if task is None or task.active_run_id is None:
        task_locked(task_id)
        raise NothingRunning
    return task.active_run_id
