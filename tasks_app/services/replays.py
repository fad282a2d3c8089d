"""Going back: a task goes on from an earlier point of one of its runs, in a new run that shares what was before."""

import uuid
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts_app.exceptions import NotFound
from accounts_app.services.audit import audit_record
from billing_app.exceptions import InsufficientFunds
from billing_app.selectors import wallet_summary
from gateway_app.services.streams import stream_open
from tasks_app.contracts import AdvanceStarted, EventDraft
from tasks_app.exceptions import NothingToReplay, RunInProgress, TaskClosed
from tasks_app.models import Task, TaskEvent, TaskStatus
from tasks_app.services.advances import FAILED_RUN, Advance, task_advance
from tasks_app.services.events import event_append
from tasks_app.services.plans import GENERATE, MODEL_STEPS
from tasks_app.services.requests import request_answer, request_claim
from tasks_app.services.tasks import task_locked
from workflows_app.contracts import RunDetail, RunRef
from workflows_app.reads.history import run_history
from workflows_app.reads.timeline import MAX_EVENTS
from workflows_app.reads.timeline_events import replay_point
from workflows_app.selectors import run_get
from workflows_app.services.replays import run_replay

REPLAY = "replay"


@dataclass(frozen=True)
class Replay:
    """From where: behind event ``seq`` of one of the task's runs. ``config_id``, ``params``: what is to differ."""

    run_id: UUID
    seq: int
    config_id: UUID | None = None
    params: dict[str, Any] | None = None


@transaction.atomic
def task_replay(*, task_id: UUID, replay: Replay, idempotency_key: str = "") -> AdvanceStarted:
    """Start a run that shares another's history up to an event; it becomes the task's running one.

    Raises NotFound (task, run or event), TaskClosed, RunInProgress, InsufficientFunds, KeyReused, and as `run_replay`
    does. Steps that the run shares are neither done nor charged again.
    """
    body = {
        "run_id": str(replay.run_id),
        "seq": replay.seq,
        "config_id": str(replay.config_id or ""),
        "params": replay.params,
    }
    claim = request_claim(scope=f"replay:{task_id}", key=idempotency_key, body=body)
    if claim is not None and claim.answer:
        return _answered(task_id, claim.answer)
    task = task_locked(task_id)
    origin = run_get(replay.run_id)
    if origin.subject_id != task.id:
        raise NotFound
    _refuse_what_cannot_start(task, origin)
    started = _begin(task, origin, replay)
    audit_record(
        action="task.replay",
        target_type="task",
        target_id=task.id,
        data={"run": str(replay.run_id), "seq": replay.seq},
    )
    answer = {"run_id": str(started.run_id), "stream_id": str(started.stream_id), "next_stage": started.next_stage}
    request_answer(claim, answer)
    return started


@transaction.atomic
def task_retry(*, task_id: UUID) -> AdvanceStarted:
    """Take the run that failed last up again, where it failed.

    Raises NotFound, NothingToReplay (no run failed last), TaskClosed, RunInProgress, InsufficientFunds.
    """
    task = task_locked(task_id)
    failed = task.metadata.get(FAILED_RUN)
    if failed is None:
        raise NothingToReplay
    params = run_get(UUID(failed["run_id"])).context.get("params") or {}
    return task_advance(task_id=task_id, advance=Advance(failed["stage"], failed["action"], params))


def event_point(event: TaskEvent) -> tuple[UUID, int]:
    """Return the run and the number of its event up to which a replay shares what was before ``event``.

    A step's event means the history before that step; any other event of a run means that before its last step, or,
    for one that says that a run began, before its first. Raises NothingToReplay for an event without a run.
    """
    if event.run_id is None:
        raise NothingToReplay
    events = run_history(event.run_id, limit=MAX_EVENTS)
    attempt = event.input.get("attempt")
    seq: int | None
    if event.event_key == REPLAY or event.event_key.startswith("advance:"):
        seq = _first(event, [item.seq for item in events if item.type == "run.forked"])
    else:
        seq = replay_point(events, step_key=event.step_key, attempt=attempt if isinstance(attempt, int) else None)
    if seq is None:
        raise NothingToReplay(_("Nothing can be done again from this event on."))
    return event.run_id, seq


def _first(event: TaskEvent, forks: list[int]) -> int:
    """Behind the run's creation, or behind the event up to which it is a replay itself."""
    return forks[-1] if event.event_key == REPLAY and forks else 1


def _refuse_what_cannot_start(task: Task, origin: RunDetail) -> None:
    if not task.is_open:
        raise TaskClosed
    if task.active_run_id is not None:
        raise RunInProgress.of(task.active_run_id)
    calls_model = any(step.via in MODEL_STEPS for step in origin.steps)
    if calls_model and wallet_summary(task.organization_id).available <= 0:
        raise InsufficientFunds


def _begin(task: Task, origin: RunDetail, replay: Replay) -> AdvanceStarted:
    action = _action_of(task, origin.id)
    stream_id = stream_open(kind="run", subject_id=task.id)
    with override(task.metadata.get("language")):
        run = run_replay(
            run_id=origin.id,
            seq=replay.seq,
            key=f"task:{task.id}:{uuid.uuid4()}",
            config_id=replay.config_id,
            params=replay.params,
            stream_id=stream_id,
        )
    next_stage = run_get(run.id).next_stage
    task.metadata.pop(FAILED_RUN, None)
    task.status, task.last_error = TaskStatus.ACTIVE, None
    task.active_run_id, task.active_stream_id, task.last_stream_id = run.id, stream_id, stream_id
    task.active_stage, task.active_action = run.stage, action
    event_append(task=task, draft=_event(origin, replay, run, action, stream_id, next_stage))
    return AdvanceStarted(task.id, run.id, stream_id, next_stage)


def _event(
    origin: RunDetail, replay: Replay, run: RunRef, action: str, stream_id: UUID, next_stage: str | None
) -> EventDraft:
    return EventDraft(
        REPLAY,
        stage_key=run.stage,
        run_id=run.id,
        input={"action": action, "origin_run_id": str(origin.id), "origin_seq": replay.seq, "params": replay.params},
        output={"run_id": str(run.id), "stream_id": str(stream_id), "next_stage": next_stage},
    )


def _action_of(task: Task, run_id: UUID) -> str:
    """What the origin was started for: the replay does the same for the task when it ends."""
    begun = TaskEvent.objects.filter(task=task, run_id=run_id, input__has_key="action", step_key="")
    event = begun.order_by("seq").first()
    return str(event.input["action"]) if event else GENERATE


def _answered(task_id: UUID, answer: dict[str, Any]) -> AdvanceStarted:
    return AdvanceStarted(
        task_id=task_id,
        run_id=UUID(answer["run_id"]),
        stream_id=UUID(answer["stream_id"]),
        next_stage=answer["next_stage"],
        replayed=True,
    )
