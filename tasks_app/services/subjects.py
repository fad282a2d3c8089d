"""What the pages of runs ask of this room: what its tasks are called, and to replay and retry their runs."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext as _

from gateway_app.services.streams import stream_open
from tasks_app.exceptions import NothingToReplay
from tasks_app.models import TaskEvent
from tasks_app.selectors.tasks import task_get, task_titles
from tasks_app.services.advances import FAILED_RUN
from tasks_app.services.replays import Replay, task_replay, task_retry
from workflows_app.contracts import RunRef
from workflows_app.selectors import run_get
from workflows_app.services.controls import run_retry
from workflows_app.services.replays import run_replay
from workflows_app.services.subjects import Subject


class TasksRoom:
    """Registered with `workflows_app.services.subjects`.

    Runs that a program started about a task, beside its own steps forward, are replayed without moving the task.
    """

    def subjects(self, ids: Iterable[UUID]) -> Mapping[UUID, Subject]:
        """Return the tasks among ``ids``; none while tasks are switched off."""
        titles = task_titles(list(ids)) if settings.TASKS_ENABLED else {}
        return {task_id: Subject(title, reverse("tasks:detail", args=[task_id])) for task_id, title in titles.items()}

    def replay(
        self,
        *,
        subject_id: UUID,
        run_id: UUID,
        seq: int,
        key: str,
        config_id: UUID | None,
        params: dict[str, Any] | None,
    ) -> RunRef:
        """Replay a run of a task."""
        if not _is_step_forward(subject_id, run_id):
            stream_id = stream_open(kind="run", subject_id=run_id)
            return run_replay(run_id=run_id, seq=seq, key=key, config_id=config_id, params=params, stream_id=stream_id)
        started = task_replay(task_id=subject_id, replay=Replay(run_id, seq, config_id, params), idempotency_key=key)
        assert started.run_id is not None
        return run_get(started.run_id).ref

    def retry(self, *, subject_id: UUID, run_id: UUID) -> RunRef:
        """Take a failed run of a task up again."""
        if not _is_step_forward(subject_id, run_id):
            return run_retry(run_id=run_id, stream_id=stream_open(kind="run", subject_id=run_id))
        task = task_get(subject_id)
        if (task.metadata.get(FAILED_RUN) or {}).get("run_id") != str(run_id):
            raise NothingToReplay(_("The task has gone on since this run failed. Replay it instead."))
        started = task_retry(task_id=subject_id)
        assert started.run_id is not None
        return run_get(started.run_id).ref


def _is_step_forward(task_id: UUID, run_id: UUID) -> bool:
    return TaskEvent.objects.filter(task_id=task_id, run_id=run_id).exists()
