"""Runs of runs: the branches of a parallel stage, and workflows that a step starts."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts_app.exceptions import DeepSpaceError, InvalidInput
from workflows_app.contracts import Json, RunDetail, StageSpec
from workflows_app.engine.machine import Child
from workflows_app.models import RunScope, WorkflowRun
from workflows_app.selectors import template_published
from workflows_app.services.inserts import NewRun, run_insert
from workflows_app.services.store import config_of, machine_of, machine_write

MAX_DEPTH = 8


def children_start(run: WorkflowRun, children: list[Child]) -> None:
    """Start the runs that ``run`` waits for, in the open transaction."""
    for child in children:
        try:
            run_insert(_workflow(run, child) if child.template else _branch(run, child))
        except DeepSpaceError as error:
            # There is no such workflow, or they call each other too deeply: it ended before it began.
            _ended(run, child.branch, {"code": error.code, "message": error.message})


def _ended(run: WorkflowRun, branch: int, error: Json) -> None:
    machine = machine_of(run)
    machine.child_ended({"branch": branch, "status": "failed", "result": {}, "cost_usd": "0", "error": error})
    machine_write(run, machine)


def on_run_finished(*, run: RunDetail, status: str, context: Json, error: Json | None, **_kwargs: Any) -> None:
    """Tell the parent, in the transaction of the child's end; the last one to end puts it back in the queue."""
    if run.parent_id is None:
        return
    parent = WorkflowRun.objects.select_for_update().get(pk=run.parent_id)
    wait = parent.wait or {}
    if parent.is_finished or wait.get("kind") != "children" or not _awaited(run, wait):
        return
    machine = machine_of(parent)
    fact: Json = {
        "branch": run.branch,
        "run_id": str(run.id),
        "status": status,
        "result": _left(run, parent, context),
        "cost_usd": str(run.cost_usd),
    }
    machine.child_ended(fact | ({"error": error} if error else {}))
    machine_write(parent, machine)
    children_start(parent, machine.children)


def _awaited(run: RunDetail, wait: Json) -> bool:
    """Whether the child is of this round: an earlier one, that was given up, does not count."""
    child = WorkflowRun.objects.only("idempotency_key").get(pk=run.id)
    return child.idempotency_key == _key(run.parent_id, wait, run.branch)


def _key(parent_id: UUID | None, wait: Json, branch: int | None) -> str:
    return f"{parent_id}/{wait['round']}/{branch}"


def _left(run: RunDetail, parent: WorkflowRun, context: Json) -> Json:
    """What the child found out: what its context has more, or otherwise, than what it was given."""
    return {name: value for name, value in context.items() if parent.context.get(name) != value}


def _branch(run: WorkflowRun, child: Child) -> NewRun:
    return _child(run, child, run.config_id, StageSpec(run.stage, run.stage, run.specs), RunScope.STAGE)


def _workflow(run: WorkflowRun, child: Child) -> NewRun:
    if _depth(run) >= MAX_DEPTH:
        raise InvalidInput(_("Workflows call each other more than %(limit)d levels deep.") % {"limit": MAX_DEPTH})
    config = template_published(child.template)
    parsed = config_of(config.id)
    return _child(run, child, config.id, parsed.stages[parsed.start], RunScope.WORKFLOW)


def _child(run: WorkflowRun, child: Child, config_id: UUID, stage: StageSpec, scope: RunScope) -> NewRun:
    return NewRun(
        config_id=config_id,
        stage=stage,
        steps=stage.steps,
        scope=scope,
        context=child.context,
        key=_key(run.id, run.wait or {}, child.branch),
        subject_id=run.subject_id,
        priority=run.priority,
        parent_id=run.id,
        branch=child.branch,
    )


def _depth(run: WorkflowRun) -> int:
    depth, parent = 0, run.parent
    while parent is not None and depth <= MAX_DEPTH:
        depth, parent = depth + 1, parent.parent
    return depth
