"""A new run's row and its first event."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.utils import timezone
from django.utils.translation import get_language

from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import current_organization_id, current_tenant
from workflows_app.contracts import Json, StageSpec, StepSpec
from workflows_app.engine.state import Fact
from workflows_app.models import RunScope, WorkflowRun
from workflows_app.selectors import startable_query
from workflows_app.services.dispatch import ring_later
from workflows_app.services.store import config_of, event_json

_COLUMNS = tuple(field.attname for field in WorkflowRun._meta.concrete_fields)  # noqa: SLF001 - Django's documented API
_INSERT = "SELECT workflow_insert(%s::jsonb, %s::jsonb)"


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


class NotStartable(Exception):
    """The tenant may not start this version, in this workspace."""


def run_insert(new: NewRun, *, workspace_key: str | None = None) -> WorkflowRun | None:
    """Insert the run, ready for a worker, in the open transaction.

    With ``workspace_key`` only if the tenant may start the version there, which is found out in the same exchange (else
    raises NotStartable). None when there is a run of that key already, or an unfinished one about that subject.
    """
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
    )
    guard = startable_query(new.config_id, workspace_key) if workspace_key is not None else None
    return run if history_begin(run, [_created(run, config.version)], guard=guard) else None


def run_columns() -> dict[str, Any]:
    """Return what every run takes from whoever starts it."""
    return {
        "organization_id": current_organization_id(),
        "user_id": current_tenant().user_id,
        "trace_id": current_trace_id(),
        "language": get_language() or "",
    }


def history_begin(run: WorkflowRun, facts: Iterable[Fact], *, guard: tuple[str, list[Any]] | None = None) -> bool:
    """Insert the run's row and its first events, and call a worker after the commit.

    ``guard`` is a query, and its values, without whose row nothing is inserted (raises NotStartable). False, and
    nothing done, as `run_insert` says.
    """
    events = []
    for seq, fact in enumerate(facts, start=1):
        event = event_json(fact) | {"seq": seq, "prev_event_id": run.last_event_id}
        run.event_seq, run.last_event_id = seq, UUID(event["id"])
        events.append(event)
    run.created_at = timezone.now()
    columns = {name: getattr(run, name) for name in _COLUMNS}
    query, values = f"{_INSERT} WHERE EXISTS ({guard[0]})" if guard else _INSERT, guard[1] if guard else []
    with connection.cursor() as cursor:
        cursor.execute(query, [_dumped(columns), _dumped(events), *values])
        row = cursor.fetchone()
    if row is None:
        raise NotStartable
    (is_alone,) = row
    if is_alone is None:
        return False
    ring_later(at_once=is_alone)
    return True


def _dumped(value: Any) -> str:
    return json.dumps(value, cls=DjangoJSONEncoder)


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
