"""Tasks: create, rename, archive."""

import uuid
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id, current_tenant
from tasks_app.contracts import EventDraft, Route, TaskCreated
from tasks_app.exceptions import RunInProgress, TaskClosed, UnknownWorkspace
from tasks_app.models import Task, TaskStatus
from tasks_app.router import current_router
from tasks_app.router.rules import NEW_WITHOUT_BRIEF, REVIEW_TEXT
from tasks_app.services.events import event_append, event_link
from tasks_app.services.requests import request_answer, request_claim
from workflows_app.contracts import ConfigRef
from workflows_app.exceptions import WorkspaceUnknown
from workflows_app.services.configs import config_for

# In the metadata of a task whose title is only its request: the first run with a topic gives it a better one.
UNTITLED = "untitled"


@transaction.atomic
def task_create(*, input_text: str, preferred_workspace: str = "", idempotency_key: str = "") -> TaskCreated:
    """Make a task from a sentence and route it to a workspace and its first stage.

    Raises InvalidInput (inputText empty or longer than the setting TASK_INPUT_LIMIT, in characters),
    UnknownWorkspace (preferredWorkspace), KeyReused.
    """
    input_text = _checked(input_text)
    body = {"inputText": input_text, "preferredWorkspace": preferred_workspace}
    claim = request_claim(scope="create", key=idempotency_key, body=body)
    if claim is not None and claim.answer:
        answer = claim.answer
        return TaskCreated(UUID(answer["task_id"]), answer["workspace_key"], answer["next_stage"], replayed=True)
    route = current_router().route(input_text, preferred_workspace=preferred_workspace)
    config = _config_of(route.workspace_key)
    task = _task_of(input_text, route, stage=first_stage(route, config))
    created = TaskCreated(task.id, task.workspace_key, task.current_stage)
    request_answer(
        claim,
        {"task_id": str(task.id), "workspace_key": created.workspace_key, "next_stage": created.next_stage},
    )
    return created


@transaction.atomic
def task_rename(*, task_id: UUID, title: str) -> Task:
    """Change a task's title. Raises NotFound, InvalidInput (title)."""
    task = task_locked(task_id)
    title = " ".join(title.split())
    if not title or len(title) > 200 or "\0" in title:
        raise InvalidInput.for_field("title", _("Give 1 to 200 characters."))
    task.title = title
    task.metadata.pop(UNTITLED, None)
    task.save(update_fields=["title", "metadata", "updated_at"])
    audit_record(action="task.rename", target_type="task", target_id=task.id)
    return task


@transaction.atomic
def task_archive(*, task_id: UUID) -> Task:
    """Put a task away; archiving it again changes nothing. Raises NotFound, RunInProgress."""
    task = task_locked(task_id)
    if task.status == TaskStatus.ARCHIVED:
        return task
    if task.active_run_id is not None:
        raise RunInProgress.of(task.active_run_id)
    task.metadata["archived_from"] = task.status
    task.status = TaskStatus.ARCHIVED
    event_append(task=task, draft=EventDraft("archive", stage_key=task.current_stage))
    audit_record(action="task.archive", target_type="task", target_id=task.id)
    return task


@transaction.atomic
def task_unarchive(*, task_id: UUID) -> Task:
    """Take a task back as it was before. Raises NotFound, TaskClosed when it is not archived."""
    task = task_locked(task_id)
    if task.status != TaskStatus.ARCHIVED:
        raise TaskClosed(_("The task is not archived."))
    task.status = task.metadata.pop("archived_from", TaskStatus.ACTIVE)
    event_append(task=task, draft=EventDraft("unarchive", stage_key=task.current_stage))
    audit_record(action="task.unarchive", target_type="task", target_id=task.id)
    return task


def task_locked(task_id: UUID) -> Task:
    """Return the task of the bound organization, locked until the transaction ends. Raises NotFound."""
    own = Task.objects.select_for_update().filter(organization_id=current_organization_id())
    task = own.filter(pk=task_id).first()
    if task is None:
        raise NotFound
    return task


def first_stage(route: Route, config: ConfigRef) -> str:
    """Return the route's stage, or the nearest one that the workflow has: review for a given text, else its start."""
    wanted = (route.stage, REVIEW_TEXT) if route.original else (route.stage,)
    return next((stage for stage in wanted if stage in config.stages), config.start)


def _checked(input_text: str) -> str:
    if not input_text.strip():
        raise InvalidInput.for_field("inputText", _("Say what you want."))
    if len(input_text) > settings.TASK_INPUT_LIMIT:
        limit = settings.TASK_INPUT_LIMIT
        raise InvalidInput.for_field("inputText", _("Give at most %(limit)d characters.") % {"limit": limit})
    if "\0" in input_text:
        raise InvalidInput.for_field("inputText", _("The text holds a character that cannot be stored."))
    return input_text


def _config_of(workspace_key: str) -> ConfigRef:
    try:
        return config_for(workspace_key)
    except WorkspaceUnknown as error:
        raise UnknownWorkspace.for_field("preferredWorkspace", str(UnknownWorkspace.default_message)) from error


def _task_of(input_text: str, route: Route, *, stage: str) -> Task:
    task = Task(
        id=uuid.uuid4(),
        organization_id=current_organization_id(),
        user_id=current_tenant().user_id,
        workspace_key=route.workspace_key,
        title=route.title,
        input_text=input_text,
        current_stage=stage,
        metadata=_first_context(input_text, route, stage),
    )
    draft = EventDraft(
        "create",
        stage_key=stage,
        input={"characters": len(input_text), "original_characters": len(route.original)},
        output={"workspace_key": route.workspace_key, "next_stage": stage, "reason": route.reason},
    )
    event = event_link(task=task, draft=draft)
    task.save(force_insert=True)
    event.save(force_insert=True)
    audit_record(action="task.create", target_type="task", target_id=task.id)
    return task


def _first_context(input_text: str, route: Route, stage: str) -> dict[str, Any]:
    # A question is asked as a whole: what was quoted in it is part of it.
    brief = input_text.strip() if route.workspace_key == "general" else route.instruction
    context = {
        "brief": brief,
        "original": route.original,
        "text": route.original,
        "language": route.language,
        "first_stage": stage,
    }
    return {**context, UNTITLED: True} if stage == NEW_WITHOUT_BRIEF else context
