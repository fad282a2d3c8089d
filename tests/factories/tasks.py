"""Tasks as the service makes them, in the bound tenant."""

from typing import Any

from tasks_app.models import Task
from tasks_app.services.tasks import task_create

BRIEF = "I want an article about the history of tea, for beginners, with three examples."


def make_task(input_text: str = BRIEF, **changes: Any) -> Task:
    """Return a new task of the bound tenant; ``changes`` are set on it afterwards."""
    created = task_create(input_text=input_text)
    if changes:
        Task.objects.filter(pk=created.task_id).update(**changes)
    return Task.objects.get(pk=created.task_id)
