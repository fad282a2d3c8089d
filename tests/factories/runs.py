"""Runs that have gone some way, for pages and replays: people's, of made-up steps, done by the test itself."""

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from accounts_app.tenancy.context import Tenant, bound
from tests.factories.accounts import Person
from tests.factories.workflows import acting, document
from workflows_app.contracts import Json, RunDetail, StepContext, StepResult, StepSpec
from workflows_app.engine.state import Fact, State, state_rebuilt
from workflows_app.exceptions import StepFailed
from workflows_app.models import ConfigStatus, RunEvent, RunScope, WorkflowConfig, WorkflowRun
from workflows_app.selectors import run_get
from workflows_app.services.execution import run_advance
from workflows_app.services.runs import execution_start
from workflows_app.services.store import state_columns


def tenant_of(person: Person) -> Tenant:
    """Return whom the person acts for."""
    return Tenant(organization_id=person.organization_id, user_id=person.id, role=person.role)


def written(ctx: StepContext) -> StepResult:
    """A step that writes a text and says what it cost."""
    output = {"model": "m-1", "tokens": 12, "cost_usd": "0.02", "pass_rate": "0.75"}
    return StepResult(output=output, set={ctx.step_key: f"{ctx.step_key} by attempt {ctx.attempt}"})


def refused(ctx: StepContext) -> StepResult:
    """A step that never succeeds."""
    raise StepFailed("There is nothing to work on.")


def workflow(person: Person, *steps: Json | str, version: str = "1.0.0", **fields: Any) -> WorkflowConfig:
    """Return a published workflow of the steps, named by a word that no other has."""
    whole = [{"action": step} if isinstance(step, str) else step for step in steps]
    name = fields.pop("name", f"wf-{uuid.uuid4().hex[:8]}")
    with acting(tenant_of(person)):
        return WorkflowConfig.objects.create(
            organization_id=person.organization_id,
            workspace_id="general",
            version=f"{version}-{uuid.uuid4().hex[:6]}",
            name=name,
            status=ConfigStatus.PUBLISHED,
            published_at=timezone.now(),
            config=document(whole, **fields),
        )


def run_of(person: Person, *steps: Json | str, context: Json | None = None, **fields: Any) -> UUID:
    """Return the id of a run of the steps that no worker has taken up."""
    config = workflow(person, *steps)
    with acting(tenant_of(person)):
        started = execution_start(template=str(config.id), context=context or {}, key=uuid.uuid4().hex, **fields)
    return started.id


def advanced(person: Person, run_id: UUID) -> RunDetail:
    """Do what a worker would do for the run just now; return how it stands then."""
    tenant = tenant_of(person)
    with bound(tenant):
        run_advance(run_id=run_id)
    with acting(tenant):
        return run_get(run_id)


@dataclass
class Record:
    """A history made by hand: `at` so many milliseconds after its start."""

    begun: datetime
    facts: list[tuple[datetime, Fact]] = field(default_factory=list)

    def at(self, ms: int, type_: str, key: str = "", attempt: int | None = None, **data: Any) -> "Record":
        """Add one event."""
        self.facts.append((self.begun + timedelta(milliseconds=ms), Fact(type_, key, attempt, data)))
        return self

    @property
    def state(self) -> State:
        """What the run is in."""
        return state_rebuilt(fact for _at, fact in self.facts)


def record(*keys: str, ago: timedelta = timedelta(minutes=5), **data: Any) -> Record:
    """Return the beginning of a history of a whole workflow whose first stage A has the steps ``keys``."""
    steps = [StepSpec(key=key, action=key).as_json() for key in keys]
    created = {"scope": "workflow", "stage": "A", "next_stage": "", "steps": steps, "context": {}} | data
    return Record(timezone.now() - ago).at(0, "run.created", **created).at(30, "run.started")


def recorded(person: Person, history: Record, **columns: Any) -> UUID:
    """Return the id of a run with this history, which no worker ever sees."""
    state, last = history.state, history.facts[-1][0]
    config = columns.pop("config", None) or workflow(person, *(step.key for step in state.steps))
    events = [RunEvent(seq=seq, type=fact.type, data=fact.data) for seq, (_at, fact) in enumerate(history.facts, 1)]
    run = WorkflowRun(
        organization_id=person.organization_id,
        user_id=person.id,
        config=config,
        workspace_key=config.workspace_id,
        idempotency_key=uuid.uuid4().hex,
        is_ready=False,
        event_seq=len(events),
        last_event_id=events[-1].id,
        started_at=history.begun + timedelta(milliseconds=30),
        finished_at=last if state.is_finished else None,
        announced_at=timezone.now(),
        **state_columns(state) | {"scope": RunScope(state.scope)} | columns,
    )
    with acting(tenant_of(person)):
        run.save(force_insert=True)
        WorkflowRun.objects.filter(pk=run.pk).update(created_at=history.begun)
        _insert(run, history, events)
    return run.pk


def _insert(run: WorkflowRun, history: Record, events: list[RunEvent]) -> None:
    """Past the ORM, which knows no other moment than now."""
    before = None
    with connection.cursor() as cursor:
        for event, (at, fact) in zip(events, history.facts, strict=True):
            values: list[Any] = [
                event.id,
                run.organization_id,
                run.pk,
                event.seq,
                before,
                fact.type,
                fact.step_key,
                fact.attempt,
            ]
            cursor.execute(
                "INSERT INTO run_events (id, organization_id, run_id, seq, prev_event_id, type, step_key, attempt,"
                " data, trace_id, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, '', %s)",
                [*values, json.dumps(fact.data), at],
            )
            before = event.id
