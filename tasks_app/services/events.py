"""The task's log: each event takes its place behind the last one, and the usage that no event bears yet."""

import uuid
from decimal import Decimal

from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import tenant_or_nobody
from tasks_app.contracts import EventDraft
from tasks_app.models import Task, TaskEvent


def event_link(*, task: Task, draft: EventDraft) -> TaskEvent:
    """Return the unsaved next event of ``task``, and move the task's counters on. The caller saves both.

    ``task`` must be new or locked: the chain has one end.
    """
    event = TaskEvent(
        id=uuid.uuid4(),
        organization_id=task.organization_id,
        user_id=tenant_or_nobody().user_id,
        task=task,
        seq=task.events_count + 1,
        event_key=draft.event_key,
        stage_key=draft.stage_key,
        step_key=draft.step_key,
        run_id=draft.run_id,
        input=draft.input,
        output=draft.output,
        model=draft.model,
        input_tokens=task.pending_input_tokens,
        output_tokens=task.pending_output_tokens,
        cost_usd=task.pending_cost_usd,
        prev_event_id=task.last_event_id,
        trace_id=current_trace_id(),
    )
    task.events_count, task.last_event_id = event.seq, event.id
    task.pending_cost_usd, task.pending_input_tokens, task.pending_output_tokens = Decimal(0), 0, 0
    task.model = draft.model or task.model
    return event


def event_append(*, task: Task, draft: EventDraft) -> TaskEvent:
    """Append an event to a locked task and save the task with whatever else the caller changed on it."""
    event = event_link(task=task, draft=draft)
    event.save(force_insert=True)
    task.save()
    return event
