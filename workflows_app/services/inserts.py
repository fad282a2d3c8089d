"""A new run's row and its first event."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils.translation import get_language

from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import current_organization_id, current_tenant
from workflows_app.contracts import Json, StageSpec, StepSpec
from workflows_app.engine.state import Fact
from workflows_app.models import RunEvent, RunScope, WorkflowRun
from workflows_app.services.store import config_of


@dataclass(frozen=True)
class NewRun:
    """What a run begins with. ``branch`` is its number among its parent's children."""

    config_id: UUID
    stage: StageSpec
    steps: tuple[StepSpec, ...]
    scope: RunScope
    key: str
    context: Json = field(default_factory=dict)
    subject_id: UUID | None = None
    stream_id: UUID | None = None
    priority: int = 0
    fingerprint: str = ""
    parent_id: UUID | None = None
    branch: int | None = None


def run_insert(new: NewRun) -> WorkflowRun:
    """Insert the run, ready for a worker, in the open transaction."""
    config = config_of(new.config_id)
    run = WorkflowRun(
        **run_columns(),
        config_id=new.config_id,
        workspace_key=config.workspace,
        scope=new.scope,
        stage=new.stage.key,
        next_stage=new.stage.next or "",
        steps=[step.as_json() for step in new.steps],
        visits={new.stage.key: 1},
        context=new.context,
        subject_id=new.subject_id,
        stream_id=new.stream_id,
        idempotency_key=new.key,
        fingerprint=new.fingerprint,
        priority=new.priority,
        parent_id=new.parent_id,
        branch=new.branch,
        queue_rank=queue_rank(current_organization_id()),
    )
    history_begin(run, [_created(run, config.version)])
    return run


def run_columns() -> dict[str, Any]:
    """Return what every run takes from whoever starts it."""
    return {
        "organization_id": current_organization_id(),
        "user_id": current_tenant().user_id,
        "trace_id": current_trace_id(),
        "language": get_language() or "",
    }


def history_begin(run: WorkflowRun, facts: Iterable[Fact]) -> None:
    """Insert the run's row and its first events."""
    events = []
    for seq, fact in enumerate(facts, start=1):
        event = RunEvent(
            organization_id=run.organization_id,
            user_id=run.user_id,
            run=run,
            seq=seq,
            prev_event_id=run.last_event_id,
            type=fact.type,
            step_key=fact.step_key,
            attempt=fact.attempt,
            data=fact.data,
            trace_id=current_trace_id(),
        )
        run.event_seq, run.last_event_id = seq, event.id
        events.append(event)
    run.save(force_insert=True)
    RunEvent.objects.bulk_create(events)


def _created(run: WorkflowRun, version: str) -> Fact:
    # All that the state begins with.
    data: Json = {
        "workspace": run.workspace_key,
        "config_id": str(run.config_id),
        "version": version,
        "scope": run.scope,
        "stage": run.stage,
        "next_stage": run.next_stage,
        "steps": run.steps,
        "context": run.context,
    }
    if run.parent_id is not None:
        data |= {"parent_id": str(run.parent_id), "branch": run.branch}
    return Fact("run.created", data=data)


def queue_rank(organization_id: UUID) -> int:
    """Return a place in the queue for a run that begins now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT workflow_rank(%s, false)", [organization_id])
        return int(cursor.fetchone()[0])
