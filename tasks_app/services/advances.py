"""The second layer: a step forward is a run of one stage, or of some of its steps."""

import uuid
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import override

from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id
from billing_app.exceptions import InsufficientFunds
from billing_app.selectors import wallet_summary
from gateway_app.services.streams import stream_open
from tasks_app.contracts import AdvanceStarted, EventDraft
from tasks_app.exceptions import NothingRunning, RunInProgress, StageNotAllowed, TaskClosed
from tasks_app.models import Task, TaskStatus
from tasks_app.services.events import event_append
from tasks_app.services.plans import FINISH, Plan, plan_of
from tasks_app.services.requests import request_answer, request_claim
from tasks_app.services.tasks import UNTITLED, task_locked
from workflows_app.contracts import RunRef
from workflows_app.selectors import run_get
from workflows_app.services.configs import config_for
from workflows_app.services.controls import run_cancel, run_retry
from workflows_app.services.runs import run_start

FAILED_RUN = "failed_run"
# Parts of a task's metadata that are its own affair.
NOT_OF_A_RUN = frozenset(
    {"archived_from", "running", "first_stage", "previous_text", "last_review", FAILED_RUN, UNTITLED}
)


@dataclass(frozen=True)
class Advance:
    """What is asked: one of the six actions on a stage of the task's workflow. ``params`` is a JSON object."""

    stage: str
    action: str
    params: dict[str, Any]


@transaction.atomic
def task_advance(*, task_id: UUID, advance: Advance, idempotency_key: str = "") -> AdvanceStarted:
    """Start the run that ``advance`` asks for; workers do it after the commit.

    Of two at once exactly one starts: the row lock lets the second see the first's run. Raises NotFound, TaskClosed,
    UnknownStage, UnknownAction, StageNotAllowed, RunInProgress, InsufficientFunds, KeyReused.
    """
    body = {"stage": advance.stage, "action": advance.action, "params": advance.params}
    claim = request_claim(scope=f"advance:{task_id}", key=idempotency_key, body=body)
    if claim is not None and claim.answer:
        return _replayed(task_id, claim.answer)
    task = task_locked(task_id)
    plan = plan_of(task=task, config=config_for(task.workspace_key), stage=advance.stage, action=advance.action)
    _refuse_what_cannot_start(task, plan)
    started = _begin(task, plan, advance) if plan.steps else _finish_at_once(task, plan)
    audit_record(
        action="task.advance", target_type="task", target_id=task.id, data={"stage": plan.stage, "action": plan.action}
    )
    request_answer(
        claim,
        {
            "run_id": str(started.run_id) if started.run_id else None,
            "stream_id": str(started.stream_id) if started.stream_id else None,
            "next_stage": started.next_stage,
        },
    )
    return started


@transaction.atomic
def task_cancel(*, task_id: UUID) -> UUID:
    """Ask the task's run to end; return its id. Raises NotFound, NothingRunning.

    The task is not locked first: the run's end locks the run, then the task, and this must keep that order.
    """
    task = Task.objects.filter(pk=task_id, organization_id=current_organization_id()).first()
    if task is None or task.active_run_id is None:
        task_locked(task_id)
        raise NothingRunning
    run_cancel(run_id=task.active_run_id)
    audit_record(action="task.cancel", target_type="task", target_id=task_id)
    return task.active_run_id


def _refuse_what_cannot_start(task: Task, plan: Plan) -> None:
    if not task.is_open:
        raise TaskClosed
    if task.active_run_id is not None:
        raise RunInProgress.of(task.active_run_id)
    if plan.needs_text and not task.text:
        raise StageNotAllowed.for_stage()
    if plan.calls_model and wallet_summary(task.organization_id).available <= 0:
        raise InsufficientFunds


def _begin(task: Task, plan: Plan, advance: Advance) -> AdvanceStarted:
    stream_id = stream_open(kind="run", subject_id=task.id)
    # The run writes in the language of what was asked, not in that of the page it was asked on.
    with override(task.metadata.get("language")):
        failed_run_id = _failed_run(task, plan, advance)
        run = (
            run_retry(run_id=failed_run_id, stream_id=stream_id)
            if failed_run_id
            else _new_run(task, plan, advance, stream_id)
        )
    failed = task.metadata.pop(FAILED_RUN, {})
    if failed_run_id:
        task.metadata["running"] = failed["running"]
    task.status, task.last_error = TaskStatus.ACTIVE, None
    task.active_run_id, task.active_stream_id, task.last_stream_id = run.id, stream_id, stream_id
    task.active_stage, task.active_action = plan.stage, plan.action
    event_append(
        task=task,
        draft=EventDraft(
            f"advance:{plan.stage}",
            stage_key=plan.stage,
            run_id=run.id,
            input={"action": plan.action, "params": advance.params},
            output={
                "run_id": str(run.id),
                "stream_id": str(stream_id),
                "next_stage": plan.next_stage,
                "resumed": failed_run_id is not None,
            },
        ),
    )
    return AdvanceStarted(task.id, run.id, stream_id, plan.next_stage)


def _new_run(task: Task, plan: Plan, advance: Advance, stream_id: UUID) -> RunRef:
    return run_start(
        config_id=plan.config_id,
        workspace_key=task.workspace_key,
        stage=plan.stage,
        steps=plan.steps,
        subject_id=task.id,
        context=run_context(task, advance.params),
        stream_id=stream_id,
        key=f"task:{task.id}:{uuid.uuid4()}",
    )


def _failed_run(task: Task, plan: Plan, advance: Advance) -> UUID | None:
    """The run that failed last, if this advance asks for the same again: it goes on where it failed.

    What its steps made, and were paid for, is kept.
    """
    failed = task.metadata.get(FAILED_RUN) or {}
    if (failed.get("stage"), failed.get("action")) != (plan.stage, plan.action):
        return None
    run = run_get(UUID(failed["run_id"]))
    same = run.status == "failed" and run.context.get("params") == advance.params
    return run.id if same else None


def _finish_at_once(task: Task, plan: Plan) -> AdvanceStarted:
    task.status, task.last_error = TaskStatus.COMPLETED, None
    event_append(task=task, draft=EventDraft(FINISH, stage_key=plan.stage))
    return AdvanceStarted(task.id, None, None, None)


def run_context(task: Task, params: dict[str, Any]) -> dict[str, Any]:
    """Return what a run of ``task`` is given: what the last one left, and this advance's parameters."""
    kept = {key: value for key, value in task.metadata.items() if key not in NOT_OF_A_RUN}
    title = {} if task.metadata.get(UNTITLED) else {"title": task.title}
    return {**kept, **title, "params": params}


def _replayed(task_id: UUID, answer: dict[str, Any]) -> AdvanceStarted:
    run_id, stream_id = answer["run_id"], answer["stream_id"]
    return AdvanceStarted(
        task_id=task_id,
        run_id=UUID(run_id) if run_id else None,
        stream_id=UUID(stream_id) if stream_id else None,
        next_stage=answer["next_stage"],
        replayed=True,
    )
