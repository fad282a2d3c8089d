"""What the templates of a task are given."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone

from gateway_app.selectors import local_model_notice
from tasks_app.contracts import NextStep
from tasks_app.models import Task, TaskStatus
from tasks_app.selectors import next_step, next_steps, task_events
from tasks_app.selectors.tasks import config_or_none
from tasks_app.services.plans import APPLY, EVAL, FINISH, LINTER, REWRITE
from workflows_app.contracts import ConfigRef
from workflows_app.reads.timeline import run_row
from workflows_app.selectors import workspace_list

# A longer timeline is read through the API.
_EVENTS_SHOWN = 200
_RESTING = {"waiting", "paused"}
# A run that rests is said to, to who listens, so soon after it is seen to.
_TOLD_WITHIN = timedelta(seconds=1)


@dataclass(frozen=True)
class StageMark:
    """One stage on the task's way; ``state`` is done, current or ahead."""

    key: str
    name: str
    state: str


@dataclass(frozen=True)
class TaskCard:
    """A task as the dashboard shows it."""

    task: Task
    step: NextStep
    workspace: str
    stage_name: str


def task_context(task: Task) -> dict[str, Any]:
    """Return what the panel of one task shows; ``read_at``: what its run did later is news to the page."""
    config = config_or_none(task.workspace_key)
    read_at = timezone.now()
    run = run_row(task.active_run_id) if task.active_run_id else None
    if run is not None and run.status in _RESTING:
        read_at = timezone.now() + _TOLD_WITHIN
    events = list(task_events(task.id).reverse()[:_EVENTS_SHOWN])
    return {
        "task": task,
        "step": next_step(task, config),
        "stages": list(stage_marks(task, config)),
        "workspace": workspace_names().get(task.workspace_key, task.workspace_key),
        "other_actions": (APPLY, LINTER, EVAL, REWRITE),
        "finish": FINISH,
        "findings": task.findings,
        "findings_are_old": bool(task.findings) and not task.metadata.get("findings"),
        "previous_text": task.metadata.get("previous_text") or "",
        "pass_rate": task.metadata.get("pass_rate"),
        "events": events,
        "events_hidden": task.events_count - len(events),
        "local_model": local_model_notice(),
        "read_at": read_at,
        "run": run,
    }


def task_cards(tasks: Sequence[Task]) -> list[TaskCard]:
    """Return the cards of ``tasks``: one look at each workspace, however many tasks."""
    names, steps = workspace_names(), next_steps(tasks)
    return [
        TaskCard(
            task=task,
            step=steps[task.id],
            workspace=names.get(task.workspace_key, task.workspace_key),
            stage_name=steps[task.id].stage_name,
        )
        for task in tasks
    ]


def workspace_names() -> dict[str, str]:
    """Return the workspaces' names in the active language."""
    return {item.key: item.name for item in workspace_list(active_only=False)}


def stage_marks(task: Task, config: ConfigRef | None) -> Iterator[StageMark]:
    """Yield the stages from where the task began, in the order in which they follow."""
    if config is None:
        return
    way = _way(config, str(task.metadata.get("first_stage") or config.start))
    if task.current_stage not in way:
        way = _way(config, task.current_stage)
    reached = way.index(task.current_stage) if task.current_stage in way else 0
    done_here = task.status == TaskStatus.COMPLETED or task.finished_stage == task.current_stage
    for position, key in enumerate(way):
        done = position < reached or (position == reached and done_here)
        state = "done" if done else "current" if position == reached else "ahead"
        yield StageMark(key, config.stages[key].name, state)


def _way(config: ConfigRef, start: str) -> list[str]:
    way: list[str] = []
    stage: str | None = start
    while stage is not None and stage in config.stages and stage not in way:
        way.append(stage)
        stage = config.stages[stage].next
    return way


def focus_of(raw: str) -> UUID | None:
    """Return the id in a ``focus`` parameter; None when there is none or it is no id."""
    try:
        return UUID(raw)
    except ValueError:
        return None
