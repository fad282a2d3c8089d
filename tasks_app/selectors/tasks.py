from collections import defaultdict
from collections.abc import Iterable, Sequence
from uuid import UUID

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id
from tasks_app.contracts import NextStep, TaskBrief
from tasks_app.models import Task, TaskEvent
from tasks_app.services.plans import FINAL_STAGE, FINISH, GENERATE
from workflows_app.contracts import ConfigRef
from workflows_app.exceptions import WorkspaceUnknown
from workflows_app.services.configs import config_for

# A list shows neither; either may be 100,000 characters long.
_LONG = ("input_text", "metadata")


def task_list() -> QuerySet[Task]:
    """Return the organization's tasks, newest first, without their texts."""
    return Task.objects.filter(organization_id=current_organization_id()).defer(*_LONG).order_by("-created_at", "-id")


def task_get(task_id: UUID) -> Task:
    """Return one task. Raises NotFound, also for another organization's."""
    task = Task.objects.filter(organization_id=current_organization_id(), pk=task_id).first()
    if task is None:
        raise NotFound
    return task


def task_events(task_id: UUID) -> QuerySet[TaskEvent]:
    """Return a task's events, oldest first. Raises NotFound when the task is not the organization's."""
    own = Task.objects.filter(organization_id=current_organization_id(), pk=task_id)
    if not own.exists():
        raise NotFound
    return TaskEvent.objects.filter(organization_id=current_organization_id(), task_id=task_id).order_by("seq")


def next_step(task: Task, config: ConfigRef | None) -> NextStep:
    """Return what Advance would do now; an empty step while a run is under way, or when the task is closed."""
    if config is None or not task.is_open or task.is_running:
        return NextStep()
    stage = config.stages.get(task.current_stage)
    done = task.finished_stage == task.current_stage or task.current_stage == FINAL_STAGE
    return NextStep(
        stage=task.current_stage,
        stage_name=stage.name if stage else task.current_stage,
        action=FINISH if done or stage is None else GENERATE,
    )


def next_steps(tasks: Sequence[Task]) -> dict[UUID, NextStep]:
    """Return the next step of each task: one look at the workflow of each workspace, however many tasks."""
    configs = {key: config_or_none(key) for key in {task.workspace_key for task in tasks if task.is_open}}
    return {task.id: next_step(task, configs.get(task.workspace_key)) for task in tasks}


def config_or_none(workspace_key: str) -> ConfigRef | None:
    """Return the workspace's workflow; None when the workspace was switched off since."""
    try:
        return config_for(workspace_key)
    except WorkspaceUnknown:
        return None


def prompt_tasks(prompt_id: UUID, *, limit: int = 10) -> tuple[Task, ...]:
    """Return the tasks bound to a prompt, the one last worked on first."""
    own = Task.objects.filter(organization_id=current_organization_id(), prompt_id=prompt_id)
    return tuple(own.defer(*_LONG).order_by("-updated_at")[:limit])


def task_titles(task_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return the titles of those of ``task_ids`` that the caller may see."""
    return dict(task_list().filter(pk__in=task_ids).values_list("pk", "title"))


def latest_events(task_ids: Sequence[UUID], *, each: int = 3) -> dict[UUID, list[TaskEvent]]:
    """Return the last ``each`` events of each task, newest first, in one query."""
    numbered = Window(RowNumber(), partition_by="task_id", order_by=F("seq").desc())
    own = TaskEvent.objects.filter(organization_id=current_organization_id(), task_id__in=task_ids)
    latest: dict[UUID, list[TaskEvent]] = defaultdict(list)
    for event in own.annotate(place=numbered).filter(place__lte=each).order_by("task_id", "-seq"):
        latest[event.task_id].append(event)
    return latest


def tasks_last_bound(prompt_ids: Iterable[UUID]) -> dict[UUID, TaskBrief]:
    """Return for each prompt the task last bound to it, in one query; prompts without a task are left out."""
    own = Task.objects.filter(organization_id=current_organization_id(), prompt_id__in=list(prompt_ids))
    latest = own.defer(*_LONG).order_by("prompt_id", "-updated_at").distinct("prompt_id")
    return {task.prompt_id: _brief(task) for task in latest if task.prompt_id}


def _brief(task: Task) -> TaskBrief:
    return TaskBrief(task.id, task.title, task.status, task.updated_at, task.cost_usd)
