"""Keyset pages for people: the cursor is the place in the list, so that the next page holds while tasks are added."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from tasks_app.models import Task

PAGE_SIZE = 20


@dataclass(frozen=True)
class TaskPage:
    """Up to PAGE_SIZE tasks, and the cursor of those after them ('' at the end)."""

    tasks: list[Task]
    next_cursor: str


def task_page(tasks: QuerySet[Task], cursor: str) -> TaskPage:
    """Return the page of ``tasks`` (newest first) after ``cursor``; an unreadable cursor means the first page."""
    place = _decoded(cursor)
    if place is not None:
        created_at, task_id = place
        tasks = tasks.filter(Q(created_at__lt=created_at) | Q(created_at=created_at, id__lt=task_id))
    rows = list(tasks[: PAGE_SIZE + 1])
    more = len(rows) > PAGE_SIZE
    rows = rows[:PAGE_SIZE]
    return TaskPage(rows, _encoded(rows[-1]) if more else "")


def _encoded(task: Task) -> str:
    return base64.urlsafe_b64encode(f"{task.created_at.isoformat()} {task.id}".encode()).decode()


def _decoded(cursor: str) -> tuple[datetime, UUID] | None:
    try:
        created_at, task_id = base64.urlsafe_b64decode(cursor.encode()).decode().split(" ")
        return datetime.fromisoformat(created_at), UUID(task_id)
    except (ValueError, binascii.Error):
        return None
