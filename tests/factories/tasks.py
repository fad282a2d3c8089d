"""Tasks as the service makes them, in the bound tenant."""

import uuid
from decimal import Decimal
from typing import Any

from accounts_app.tenancy.context import operator_context
from billing_app.services.wallets import wallet_topup
from tasks_app.contracts import AdvanceStarted
from tasks_app.models import Task
from tasks_app.services.advances import Advance, task_advance
from tasks_app.services.tasks import task_create
from tests.factories.accounts import Person, person
from tests.factories.replay import Replay, owned_object

BRIEF = "I want an article about the history of tea, for beginners, with three examples."


def make_task(input_text: str = BRIEF, **changes: Any) -> Task:
    """Return a new task of the bound tenant; ``changes`` are set on it afterwards."""
    created = task_create(input_text=input_text)
    if changes:
        Task.objects.filter(pk=created.task_id).update(**changes)
    return Task.objects.get(pk=created.task_id)


def funded(amount: str = "10") -> Person:
    """Return a new person with ``amount`` USD in the wallet."""
    someone = person()
    with operator_context("factory"):
        wallet_topup(organization_id=someone.organization_id, amount=Decimal(amount), key=uuid.uuid4().hex)
    return someone


def start(task: Task, stage: str = "A", action: str = "generate", **params: Any) -> AdvanceStarted:
    """Advance a task of the bound tenant."""
    return task_advance(task_id=task.id, advance=Advance(stage, action, params))


@owned_object(
    "api/tasks/<uuid:task_id>/",
    "api/tasks/<uuid:task_id>",
    "api/tasks/<uuid:task_id>/events/",
    "api/tasks/<uuid:task_id>/events",
    "api/tasks/<uuid:task_id>/advance/",
    "api/tasks/<uuid:task_id>/advance",
    "api/tasks/<uuid:task_id>/cancel/",
    "api/tasks/<uuid:task_id>/cancel",
    "api/tasks/<uuid:task_id>/replay/",
    "api/tasks/<uuid:task_id>/replay",
    "api/tasks/<uuid:task_id>/archive/",
    "api/tasks/<uuid:task_id>/archive",
    "api/tasks/<uuid:task_id>/unarchive/",
    "api/tasks/<uuid:task_id>/unarchive",
)
def someones_task(owner: Person) -> Replay:
    with owner.at_work():
        return Replay(
            {"task_id": make_task().id}, body={"stage": "A", "action": "generate", "title": "Mine now", "eventSeq": 1}
        )
