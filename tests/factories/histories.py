"""Runs of months long past: real histories, copied under ids of that time."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from accounts_app.ids import uuid7_floor
from accounts_app.tenancy.context import Tenant, bound
from tests.factories.workflows import Handler, acting, handlers, started
from workflows_app.contracts import StepContext, StepResult
from workflows_app.models import RunEvent, WorkflowRun
from workflows_app.services.archive_objects import month_ids
from workflows_app.services.execution import run_advance


@dataclass(frozen=True)
class OldMonth:
    """A month of the table `run_events`, and the name of its partition."""

    month: date
    owner: "psycopg.Connection[tuple[Any, ...]]"

    @property
    def partition(self) -> str:
        """Its name."""
        return f"run_events_{self.month:%Y_%m}"

    @property
    def is_there(self) -> bool:
        """Whether the partition exists."""
        row = self.owner.execute("SELECT to_regclass(%s)", [f"public.{self.partition}"]).fetchone()
        return row is not None and row[0] is not None


@contextmanager
def old_month(owner: "psycopg.Connection[tuple[Any, ...]]", month: date) -> Iterator[OldMonth]:
    """Make the month as the tables' owner (``owner`` commits each statement); it goes again afterwards."""
    made = OldMonth(month, owner)
    bounds = map(sql.Literal, map(str, month_ids(month)))
    name = sql.Identifier(made.partition)
    owner.execute(sql.SQL("CREATE TABLE {} PARTITION OF run_events FOR VALUES FROM ({}) TO ({})").format(name, *bounds))
    owner.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY").format(name))
    try:
        yield made
    finally:
        owner.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
        _forget(owner, month)


def _forget(owner: "psycopg.Connection[tuple[Any, ...]]", month: date) -> None:
    """Take the month's runs away: none may be left without its history, for tests that look at all of them."""
    with owner.transaction():
        owner.execute("SELECT set_config('app.operator', 'test', true)")
        owner.execute(
            "UPDATE workflow_runs SET origin_id = NULL WHERE origin_id >= %s AND origin_id < %s", month_ids(month)
        )
        for table in ("run_events", "run_logs"):
            name = sql.Identifier(table)
            owner.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER append_only").format(name))
            owner.execute(sql.SQL("DELETE FROM {} WHERE run_id >= %s AND run_id < %s").format(name), month_ids(month))
        owner.execute("DELETE FROM step_runs WHERE run_id >= %s AND run_id < %s", month_ids(month))
        owner.execute("DELETE FROM workflow_runs WHERE id >= %s AND id < %s", month_ids(month))
        owner.execute("DELETE FROM run_archives WHERE month = %s", [month])
        owner.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("run_events", "run_logs"):
            owner.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER append_only").format(sql.Identifier(table)))


def _note(ctx: StepContext) -> StepResult:
    return StepResult(output={"model": "m", "tokens": 3, "cost_usd": "0.5"}, set={ctx.step_key: "ünïcode ✓"})


def finished_run(tenant: Tenant, steps: Sequence[str] = ("first", "second"), handler: Handler = _note) -> UUID:
    """Return a run that the engine has carried to its end, now."""
    with handlers(**dict.fromkeys(steps, handler)):
        run = started(tenant, *steps)
        with bound(tenant):
            run_advance(run_id=run.id)
    return run.id


def copied_into(tenant: Tenant, run_id: UUID, month: date, count: int = 1) -> list[UUID]:
    """Return the ids of ``count`` copies of the run and its history, as if made one minute after the other then."""
    with acting(tenant):
        run = WorkflowRun.objects.get(pk=run_id)
        events = list(RunEvent.objects.filter(run_id=run_id).order_by("seq"))
        return [_copy(run, events, month, number) for number in range(count)]


def _copy(run: WorkflowRun, events: list[RunEvent], month: date, number: int) -> UUID:
    moment = datetime(month.year, month.month, 2, tzinfo=UTC) + timedelta(minutes=number)
    run.id, run.idempotency_key = _id_of(moment), uuid.uuid4().hex
    before: UUID | None = None
    for event in events:
        event.id, event.run_id, event.prev_event_id = _id_of(moment + timedelta(seconds=event.seq)), run.id, before
        before = event.id
    run.last_event_id = before
    run.save(force_insert=True)
    RunEvent.objects.bulk_create(events)
    return run.id


def _id_of(moment: datetime) -> UUID:
    return UUID(int=uuid7_floor(moment).int + uuid.uuid4().int % 2**60)
