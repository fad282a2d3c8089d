"""What this room knows of a trace: the events of tasks."""

from collections.abc import Iterator

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts_app.services.traces import TraceEvent, row_url, trace_rows
from tasks_app.models import TaskEvent


def trace_source(trace_id: str) -> Iterator[TraceEvent]:
    """Yield what happened to tasks; people are led to the task, operators to the row."""
    for event in trace_rows(TaskEvent.objects.order_by("created_at", "seq"), trace_id):
        yield TraceEvent(
            at=event.created_at,
            kind="task",
            label=_("Task event"),
            title=event.event_key,
            detail=" · ".join(filter(None, (event.stage_key, event.step_key))),
            url=row_url(event) or reverse("tasks:detail", args=[event.task_id]),
            amount=event.cost_usd or None,
            is_trouble=event.event_key.startswith("failed"),
        )
