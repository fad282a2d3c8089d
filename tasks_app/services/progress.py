"""What the engine and the books tell this room. Each receiver runs in the sender's transaction: all or nothing."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F

from billing_app.contracts import UsageEntry
from tasks_app.contracts import EventDraft
from tasks_app.models import Task, TaskStatus
from tasks_app.services.advances import FAILED_RUN
from tasks_app.services.events import event_append
from tasks_app.services.plans import FINISH, GENERATE, VIA
from tasks_app.services.tasks import UNTITLED
from workflows_app.contracts import RunDetail, StepDetail, StepResult

_EVENT_KEYS = {via: action for action, via in VIA.items()}
# What a run hands on to the next one; parameters are of one advance only.
_NOT_KEPT = {"params", "archived_from", "running"}


def on_step_finished(*, run: RunDetail, step: StepDetail, result: StepResult, **_kwargs: Any) -> None:
    """Append the step's event: what it gave, and what its model calls were charged."""
    task = _locked(run)
    if task is None:
        return
    _remember(task, result)
    _bind_prompt(task, result.set)
    event_append(
        task=task,
        draft=EventDraft(
            _EVENT_KEYS.get(step.via, step.action),
            stage_key=run.stage,
            step_key=step.key,
            run_id=run.id,
            model=step.model,
            input={"action": step.action, "via": step.via, "attempt": step.attempt},
            output={**step.output, "run_id": str(run.id), "duration_ms": step.duration_ms},
        ),
    )


def on_run_finished(
    *, run: RunDetail, status: str, context: dict[str, Any], error: dict[str, Any] | None, **_kwargs: Any
) -> None:
    """Move the task on after a completed run; leave it where it stood after any other."""
    task = _locked(run)
    if task is None:
        return
    action, running = task.active_action, task.metadata.pop("running", {})
    task.active_run_id = task.active_stream_id = None
    task.active_action = task.active_stage = ""
    if status == "completed":
        task.metadata = _kept(task, context, running)
        _move_on(task, run, action)
        event_append(task=task, draft=_ending(run, action))
        return
    task.last_error = error
    if error:
        # The engine takes such a run for poison; a person may still try again.
        task.status = TaskStatus.FAILED if error.get("code") == "worker_lost" else task.status
        task.metadata[FAILED_RUN] = {
            "run_id": str(run.id),
            "stage": run.stage,
            "action": action,
            "running": running,
        }
    event_append(
        task=task,
        draft=EventDraft(
            status,
            stage_key=run.stage,
            run_id=run.id,
            input={"action": action},
            output={"error": error} if error else {},
        ),
    )


def on_usage_recorded(*, usage: UsageEntry, task_id: UUID | None, run_id: UUID | None, **_kwargs: Any) -> None:
    """Add what a model call was charged to its task; the event that follows bears it.

    A call settled after its run ended (cancelled, or its worker died) gets an event of its own, so that the
    events always add up to the task's total.
    """
    if task_id is None:
        return
    spent = _spent(usage)
    own = Task.objects.filter(pk=task_id, organization_id=usage.organization_id)
    added = {name: F(name) + amount for name, amount in spent.items()}
    if run_id is not None and own.filter(active_run_id=run_id).update(**added):
        return
    task = own.select_for_update().first()
    if task is None:
        return
    for name, amount in spent.items():
        setattr(task, name, getattr(task, name) + amount)
    event_append(
        task=task,
        draft=EventDraft(
            "usage",
            run_id=run_id,
            step_key=usage.step_key,
            model=usage.model,
            output={"call_id": str(usage.call_id), "ending": usage.ending},
        ),
    )


def _spent(usage: UsageEntry) -> dict[str, Any]:
    read, written = usage.tokens.input_total, usage.tokens.output_total
    return {
        "cost_usd": Decimal(usage.charged_usd),
        "pending_cost_usd": Decimal(usage.charged_usd),
        "input_tokens": read,
        "pending_input_tokens": read,
        "output_tokens": written,
        "pending_output_tokens": written,
    }


def _locked(run: RunDetail) -> Task | None:
    """The task that this run is of, if the run is still its current one."""
    if run.subject_id is None:
        return None
    own = Task.objects.select_for_update().filter(pk=run.subject_id, organization_id=run.organization_id)
    return own.filter(active_run_id=run.id).first()


def _remember(task: Task, result: StepResult) -> None:
    """Keep texts and findings of this step aside: only a completed run makes them the task's own."""
    running = task.metadata.get("running", {})
    if "text" in result.set:
        before = running.get("text") or task.text
        running["text"] = result.set["text"]
        if before and before != result.set["text"]:
            running["previous_text"] = before
    if result.output.get("target", "brief") != "brief" and "findings" in result.output:
        running["last_review"] = result.output["findings"]
    task.metadata["running"] = running


def _kept(task: Task, context: dict[str, Any], running: dict[str, Any]) -> dict[str, Any]:
    kept = {**task.metadata, **{key: value for key, value in context.items() if key not in _NOT_KEPT}}
    return kept | {name: running[name] for name in ("previous_text", "last_review") if name in running}


def _move_on(task: Task, run: RunDetail, action: str) -> None:
    if task.metadata.get(UNTITLED) and run.context.get("title"):
        task.title = str(run.context["title"])[:200]
        del task.metadata[UNTITLED]
    if action == FINISH:
        task.status, task.finished_stage, task.current_stage = TaskStatus.COMPLETED, run.stage, run.stage
        task.stages_count += 1
    elif action == GENERATE:
        task.finished_stage, task.current_stage = run.stage, run.next_stage or run.stage
        task.stages_count += 1
    _bind_prompt(task, run.context)


def _bind_prompt(task: Task, values: dict[str, Any]) -> None:
    if task.workspace_key == "prompt" and values.get("prompt_id"):
        task.prompt_id = UUID(str(values["prompt_id"]))


def _ending(run: RunDetail, action: str) -> EventDraft:
    key = FINISH if action == FINISH else f"complete:{run.stage}"
    return EventDraft(
        key,
        stage_key=run.stage,
        run_id=run.id,
        input={"action": action},
        output={"run_id": str(run.id), "next_stage": run.next_stage if action != FINISH else None},
    )
