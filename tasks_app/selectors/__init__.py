"""Reads of this room. Each needs a bound tenant and a transaction, and filters by the organization itself."""

from tasks_app.selectors.tasks import (
    next_step,
    next_steps,
    prompt_tasks,
    task_events,
    task_get,
    task_list,
    tasks_last_bound,
)

__all__ = ["next_step", "next_steps", "prompt_tasks", "task_events", "task_get", "task_list", "tasks_last_bound"]
