"""Runs with a past: their rows, events and attempts are written as they would have been, when the test says."""

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from accounts_app.ids import uuid7
from accounts_app.tenancy.context import Tenant
from workflows_app.contracts import Json
from workflows_app.models import RunScope, StepRun, WorkflowConfig, WorkflowRun

_EVENT = """
    INSERT INTO run_events (id, organization_id, run_id, seq, prev_event_id, type, step_key, data, trace_id, created_at)
    VALUES (%s, %s, %s, %s, %s, %s, '', %s, '', %s)
"""


@dataclass(frozen=True)
class Ending:
    """One end of a run: all but the last are failures after which it was taken up again."""

    status: str
    after: timedelta
    cost_usd: Decimal = Decimal(0)
    error_code: str = ""

    @property
    def error(self) -> Json | None:
        return {"code": self.error_code, "message": "Made up."} if self.status == "failed" else None


@dataclass(frozen=True)
class Attempted:
    """One attempt at a step."""

    key: str
    status: str
    after: timedelta
    took: timedelta
    cost_usd: Decimal = Decimal(0)
    tokens: int = 0
    error_code: str = ""


@dataclass(frozen=True)
class Past:
    """What happened to a run. Times count from ``created``; ``begun`` None: cancelled before its first step."""

    created: datetime
    begun: timedelta | None
    endings: tuple[Ending, ...] = ()
    attempts: tuple[Attempted, ...] = ()
    scope: str = "workflow"
    shared: int = 0
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def started_at(self) -> datetime | None:
        return None if self.begun is None else self.created + self.begun


def run_with_past(tenant: Tenant, config: WorkflowConfig, past: Past) -> UUID:
    """Write the run; in an operator context."""
    assert tenant.organization_id is not None
    last = past.endings[-1] if past.endings else None
    run = WorkflowRun(
        id=uuid7(),
        organization_id=tenant.organization_id,
        user_id=tenant.user_id,
        config=config,
        workspace_key="general",
        scope=RunScope(past.scope),
        idempotency_key=uuid.uuid4().hex,
        status=last.status if last else "waiting",
        wait=None if last else {"kind": "approval", "step": "a"},
        stage="A",
        steps=[{"key": "a", "action": "a", "via": "", "with": "", "params": {}, "attempts": 0}],
        error=last.error if last else None,
        cost_usd=last.cost_usd if last else Decimal(0),
        visits={"A": 1},
        is_ready=False,
        origin_seq=past.shared or None,
        started_at=past.started_at,
        finished_at=past.created + last.after if last else None,
        announced_at=past.created + last.after if last else None,
    )
    for name, value in past.fields.items():
        setattr(run, name, value)
    run.save(force_insert=True)
    last_event, number = _write_events(run, list(_events(past)))
    WorkflowRun.objects.filter(pk=run.pk).update(
        created_at=past.created, event_seq=number, last_event_id=past.fields.get("last_event_id", last_event)
    )
    StepRun.objects.bulk_create(_attempt(run, past, item, number) for number, item in enumerate(past.attempts, start=1))
    return run.id


def _events(past: Past) -> Iterator[tuple[str, Json, datetime]]:
    # A replay's copies bear the moment of the replay.
    copies: Sequence[str] = ("run.created", "run.started", "run.failed", "run.retried")[: past.shared]
    yield from ((name, {"cost_usd": "9"}, past.created) for name in copies)
    yield ("run.forked" if past.shared else "run.created", {}, past.created)
    for number, ending in enumerate(past.endings):
        if number:
            yield ("run.retried", {}, past.created + past.endings[number - 1].after + timedelta(seconds=1))
        error = {"error": ending.error} if ending.error else {}
        yield (f"run.{ending.status}", {"cost_usd": str(ending.cost_usd)} | error, past.created + ending.after)


def _write_events(run: WorkflowRun, events: list[tuple[str, Json, datetime]]) -> tuple[UUID | None, int]:
    before: UUID | None = None
    with connection.cursor() as cursor:
        for seq, (name, data, at) in enumerate(events, start=1):
            event = uuid7()
            cursor.execute(_EVENT, [event, run.organization_id, run.id, seq, before, name, json.dumps(data), at])
            before = event
    return before, len(events)


def _attempt(run: WorkflowRun, past: Past, item: Attempted, number: int) -> StepRun:
    begun = past.created + item.after
    return StepRun(
        organization_id=run.organization_id,
        run=run,
        path=f"A#{number}/{item.key}",
        stage="A",
        key=item.key,
        position=0,
        action=item.key,
        attempt=1,
        status=item.status,
        idempotency_key=uuid.uuid4().hex,
        error={"code": item.error_code, "message": "Made up."} if item.error_code else None,
        cost_usd=item.cost_usd,
        tokens=item.tokens,
        started_at=begun,
        finished_at=begun + item.took,
    )
