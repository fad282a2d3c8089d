"""The events of runs by month of the run's id, on a real PostgreSQL: keys, rules, and the way back."""

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg import sql

from accounts_app.ids import uuid7, uuid7_floor
from accounts_app.tenancy.partitions import partition_monthly
from config.runtime.postgres import OWNER
from tests.support import services as support
from tests.support.isolation import Cursor, as_tenant, isolation_faults
from workflows_app.models import WorkflowRun

OPERATION = partition_monthly("run_events", key="run_id")
THIS_MONTH = f"run_events_{datetime.now(UTC):%Y_%m}"


@dataclass
class Editor:
    """What a migration operation needs of Django's schema editor: a connection with cursors."""

    connection: "psycopg.Connection[tuple[Any, ...]]"


@dataclass
class Books:
    """Two organizations with a run each, in one transaction that is rolled back."""

    cursor: Cursor
    mine: uuid.UUID
    theirs: uuid.UUID

    def run(self, organization_id: uuid.UUID, run_id: uuid.UUID | None = None) -> uuid.UUID:
        row = self.cursor.execute("SELECT id FROM workflow_configs LIMIT 1").fetchone()
        assert row
        run = WorkflowRun(
            id=run_id or uuid7(),
            organization_id=organization_id,
            config_id=row[0],
            workspace_key="general",
            idempotency_key=uuid.uuid4().hex,
            stage="A",
            steps=[],
            is_ready=False,
        )
        fields = run._meta.concrete_fields
        values = [field.get_db_prep_save(field.pre_save(run, add=True), connection) for field in fields]
        statement = sql.SQL("INSERT INTO workflow_runs ({}) VALUES ({})").format(
            sql.SQL(", ").join(sql.Identifier(field.column) for field in fields),
            sql.SQL(", ").join(sql.Placeholder() for _ in fields),
        )
        self.cursor.execute(statement, values)
        return run.id

    def event(
        self, run_id: uuid.UUID, seq: int = 1, before: uuid.UUID | None = None, organization_id: uuid.UUID | None = None
    ) -> uuid.UUID:
        event_id = uuid7()
        self.cursor.execute(
            "INSERT INTO run_events (id, organization_id, run_id, seq, prev_event_id, type, step_key, data, trace_id,"
            " created_at) VALUES (%s, %s, %s, %s, %s, 'x', '', '{}', '', now())",
            [event_id, organization_id or self.mine, run_id, seq, before],
        )
        return event_id

    def where(self, event_id: uuid.UUID) -> str:
        row = self.cursor.execute("SELECT tableoid::regclass::text FROM run_events WHERE id = %s", [event_id])
        return str((row.fetchone() or ["nowhere"])[0])

    def primary_key(self) -> str:
        row = self.cursor.execute(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'run_events'::regclass AND contype = 'p'"
        ).fetchone()
        return str((row or [""])[0])

    def rebuild(self, *, by_month: bool) -> None:
        self.cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        work = OPERATION.code if by_month else OPERATION.reverse_code
        work(None, Editor(self.cursor.connection))  # type: ignore[misc, arg-type]
        self.cursor.execute("SET LOCAL ROLE NONE")


@pytest.fixture
def books(django_db_setup: None) -> Iterator[Books]:
    url = support.database_url("postgres", os.environ["DEEPSPACE_TEST_DATABASE"])
    with psycopg.connect(url) as superuser, superuser.cursor() as cursor:
        mine, theirs = uuid.uuid4(), uuid.uuid4()
        for organization_id in (mine, theirs):
            cursor.execute(
                "INSERT INTO organizations (id, name, is_personal, created_at) VALUES (%s, 'x', false, now())",
                [organization_id],
            )
        yield Books(cursor, mine, theirs)
        superuser.rollback()


def test_an_event_lies_in_the_month_of_its_run(books: Books) -> None:
    run_id = books.run(books.mine)
    assert books.where(books.event(run_id)) == THIS_MONTH


def test_an_event_of_a_run_with_an_older_kind_of_id_lies_in_the_rest(books: Books) -> None:
    of_chance = uuid.UUID(int=uuid7().int | 0xFF << 120)
    assert books.where(books.event(books.run(books.mine, of_chance))) == "run_events_default"


def test_a_number_comes_once_and_an_event_has_one_follower(books: Books) -> None:
    run_id = books.run(books.mine)
    first = books.event(run_id)
    books.event(run_id, 2, first)
    books.cursor.execute("SAVEPOINT before")
    for seq, before, key in ((2, uuid7(), "run_id_seq"), (3, first, "run_id_prev_event_id"), (4, None, "")):
        with pytest.raises(psycopg.errors.UniqueViolation, match=f"run_events_.*{key}"):
            books.event(run_id, seq, before)
        books.cursor.execute("ROLLBACK TO SAVEPOINT before")


def test_the_key_begins_with_the_id_so_that_an_event_is_found_by_it_alone(books: Books) -> None:
    assert books.primary_key() == "PRIMARY KEY (id, run_id)"
    event_id = books.event(books.run(books.mine))
    books.cursor.execute("SET LOCAL enable_seqscan = off")
    plan = books.cursor.execute("EXPLAIN SELECT * FROM run_events WHERE id = %s", [event_id]).fetchall()
    assert f"{THIS_MONTH}_pkey" in "\n".join(line for (line,) in plan)


def test_the_events_of_a_run_are_read_from_one_month(books: Books) -> None:
    run_id = books.run(books.mine)
    plan = books.cursor.execute("EXPLAIN SELECT * FROM run_events WHERE run_id = %s", [run_id]).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert THIS_MONTH in text
    assert text.count("run_events_20") == text.count(THIS_MONTH)


def test_nobody_changes_an_event_of_any_month(books: Books) -> None:
    event_id = books.event(books.run(books.mine))
    books.cursor.execute("SAVEPOINT before")
    for statement in ("UPDATE run_events SET seq = 9 WHERE id = %s", "DELETE FROM run_events WHERE id = %s"):
        with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
            books.cursor.execute(statement.encode(), [event_id])
        books.cursor.execute("ROLLBACK TO SAVEPOINT before")


def test_an_event_needs_a_run_and_one_of_its_own_organization(books: Books) -> None:
    books.cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    theirs = books.run(books.theirs)
    books.cursor.execute("SAVEPOINT before")
    for run_id in (uuid7(), theirs):
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            books.event(run_id)
        books.cursor.execute("ROLLBACK TO SAVEPOINT before")


def test_tenants_stay_closed_to_each_other_in_the_months(books: Books) -> None:
    books.cursor.execute("DROP TRIGGER append_only ON run_events")
    books.event(books.run(books.mine))
    books.event(books.run(books.theirs), organization_id=books.theirs)
    assert isolation_faults(books.cursor, "run_events", books.mine, books.theirs) == []


def test_the_table_goes_back_into_one_and_again_into_months(books: Books) -> None:
    run_id = books.run(books.mine)
    first = books.event(run_id)
    second = books.event(run_id, 2, first)
    books.cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    books.rebuild(by_month=False)
    assert books.primary_key() == "PRIMARY KEY (id)"
    assert books.where(second) == "run_events"
    with pytest.raises(psycopg.errors.UniqueViolation), books.cursor.connection.transaction():
        books.event(run_id, 2, second)
    books.rebuild(by_month=True)
    assert books.primary_key() == "PRIMARY KEY (id, run_id)"
    assert books.where(first) == THIS_MONTH
    with as_tenant(books.cursor, books.mine):
        rows = books.cursor.execute("SELECT seq FROM run_events WHERE run_id = %s ORDER BY seq", [run_id]).fetchall()
    assert rows == [(1,), (2,)]


def test_events_past_the_last_month_move_with_their_run_once_it_is_made(books: Books) -> None:
    far = datetime.now(UTC) + timedelta(days=5 * 31)
    run_id = books.run(books.mine, uuid.UUID(int=uuid7_floor(far).int + 7))
    event_id = books.event(run_id)
    books.cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert books.where(event_id) == "run_events_default"
    books.cursor.execute("SELECT set_config('app.operator', 'test', true)")
    books.cursor.execute("SELECT partitions_make('run_events', 6)")
    assert books.where(event_id) == f"run_events_{far:%Y_%m}"
