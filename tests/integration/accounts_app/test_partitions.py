"""A table turned into months and back on a real PostgreSQL, as its owner, used as the runtime role."""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from accounts_app.ids import uuid7, uuid7_floor
from accounts_app.tenancy.partitions import partition_monthly
from accounts_app.tenancy.references import references_guard, references_unguarded
from accounts_app.tenancy.rls import append_only, enable_rls
from config.runtime.postgres import APP, OWNER
from tests.support import services as support
from tests.support.isolation import Cursor, as_tenant, isolation_faults, refuses_insert

TABLE = "scratch_calls"
SCRATCH = """
    CREATE TABLE scratch_calls (
        id uuid PRIMARY KEY,
        organization_id uuid NOT NULL CONSTRAINT scratch_calls_organization REFERENCES organizations (id)
            DEFERRABLE INITIALLY DEFERRED,
        parent_id uuid,
        model varchar(20) NOT NULL DEFAULT 'tiny',
        cost numeric(20, 10) NOT NULL DEFAULT 0 CONSTRAINT scratch_calls_cost CHECK (cost >= 0),
        doubled numeric GENERATED ALWAYS AS (cost * 2) STORED
    );
    CREATE INDEX scratch_calls_dear ON scratch_calls (organization_id, model DESC) WHERE cost > 5;
    CREATE UNIQUE INDEX scratch_calls_unique ON scratch_calls (model, id);
"""


@dataclass
class Editor:
    """What a migration operation needs of Django's schema editor: a connection with cursors."""

    connection: "psycopg.Connection[tuple[Any, ...]]"


@dataclass
class Scratch:
    """A table of two tenants with a row each, in one transaction that is rolled back."""

    cursor: Cursor
    mine: uuid.UUID
    theirs: uuid.UUID

    def forwards(self) -> None:
        self._as_owner(lambda: partition_monthly(TABLE).code(None, Editor(self.cursor.connection)))  # type: ignore[arg-type]

    def backwards(self) -> None:
        self._as_owner(lambda: partition_monthly(TABLE).reverse_code(None, Editor(self.cursor.connection)))  # type: ignore[misc, arg-type]

    def insert(self, row_id: uuid.UUID, organization_id: uuid.UUID | None = None, cost: int = 1) -> None:
        self.cursor.execute(
            "INSERT INTO scratch_calls (id, organization_id, cost) VALUES (%s, %s, %s)",
            [row_id, organization_id or self.mine, cost],
        )

    def where(self, row_id: uuid.UUID) -> str:
        row = self.cursor.execute("SELECT tableoid::regclass::text FROM scratch_calls WHERE id = %s", [row_id])
        return str((row.fetchone() or ["nowhere"])[0])

    def value(self, query: str, *parameters: object) -> Any:
        row = self.cursor.execute(query.encode(), parameters or None).fetchone()
        return row[0] if row else None

    def partitions(self) -> list[str]:
        rows = self.cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid"
            " WHERE inhparent = 'scratch_calls'::regclass ORDER BY 1"
        )
        return [name for (name,) in rows.fetchall()]

    def make(self, months_ahead: int = 3) -> list[str]:
        rows = self.cursor.execute("SELECT partitions_make('scratch_calls', %s)", [months_ahead])
        return [name for (name,) in rows.fetchall()]

    def _as_owner(self, work: Callable[[], None]) -> None:
        self.cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        work()
        self.cursor.execute("SET LOCAL ROLE NONE")


def _month(ahead: int) -> date:
    today = datetime.now(UTC).date()
    months = today.year * 12 + today.month - 1 + ahead
    return date(months // 12, months % 12 + 1, 1)


def _named(ahead: int) -> str:
    return f"{TABLE}_{_month(ahead):%Y_%m}"


def _id_in(ahead: int) -> uuid.UUID:
    """An id of the 10th of a month near the present one."""
    moment = datetime.combine(_month(ahead), datetime.min.time(), UTC) + timedelta(days=9)
    return uuid.UUID(int=uuid7_floor(moment).int + uuid.uuid4().int % 2**60)


@pytest.fixture
def scratch(django_db_setup: None) -> Iterator[Scratch]:
    """The table as migrations make one: keys, checks, indexes, policies, an append-only trigger, a reference guard."""
    url = support.database_url("postgres", os.environ["DEEPSPACE_TEST_DATABASE"])
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
        cursor.execute(SCRATCH)
        for operation in (enable_rls(TABLE), append_only(TABLE)):
            cursor.execute(str(operation.sql).encode())
        cursor.execute("SET LOCAL ROLE NONE")
        table = Scratch(cursor, uuid.uuid4(), uuid.uuid4())
        for organization_id in (table.mine, table.theirs):
            cursor.execute(
                "INSERT INTO organizations (id, name, is_personal, created_at) VALUES (%s, 'x', false, now())",
                [organization_id],
            )
            table.insert(uuid.uuid4(), organization_id)
        # A foreign key check that is still due would keep a test from altering the table.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        yield table
        connection.rollback()


def _shape(scratch: Scratch) -> dict[str, list[Any]]:
    """Everything that a table is, beside the rows and how they are stored."""
    queries = {
        "columns": "SELECT attname, attnotnull, attgenerated, format_type(atttypid, atttypmod) FROM pg_attribute"
        " WHERE attrelid = 'scratch_calls'::regclass AND attnum > 0 ORDER BY attnum",
        "constraints": "SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'scratch_calls'::regclass AND conparentid = 0 AND contype <> 'n' ORDER BY 1",
        "indexes": "SELECT replace(indexdef, ' ON ONLY ', ' ON ') FROM pg_indexes"
        " WHERE tablename = 'scratch_calls' ORDER BY 1",
        "triggers": "SELECT tgname, tgenabled, pg_get_triggerdef(oid) FROM pg_trigger"
        " WHERE tgrelid = 'scratch_calls'::regclass AND NOT tgisinternal ORDER BY 1",
        "policies": "SELECT policyname, permissive, roles, cmd, qual, with_check FROM pg_policies"
        " WHERE tablename = 'scratch_calls' ORDER BY 1",
        "row security": "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = 'scratch_calls'",
        "grants": "SELECT a.grantee::regrole::text, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE relname = 'scratch_calls' ORDER BY 1, 2",
        "rows": "SELECT organization_id, cost, doubled FROM scratch_calls ORDER BY id",
    }
    return {what: scratch.cursor.execute(query.encode()).fetchall() for what, query in queries.items()}


def test_the_table_is_the_same_before_in_months_and_after(scratch: Scratch) -> None:
    before = _shape(scratch)
    scratch.forwards()
    assert scratch.value("SELECT relkind = 'p' FROM pg_class WHERE relname = 'scratch_calls'")
    assert _shape(scratch) == before
    scratch.backwards()
    assert scratch.value("SELECT relkind = 'r' FROM pg_class WHERE relname = 'scratch_calls'")
    assert _shape(scratch) == before
    assert scratch.value("SELECT count(*) FROM pg_class WHERE relname LIKE 'scratch_calls_20%'") == 0


def test_there_are_months_from_the_last_to_three_ahead_and_a_rest(scratch: Scratch) -> None:
    scratch.forwards()
    assert scratch.partitions() == sorted([*map(_named, range(-1, 4)), "scratch_calls_default"])


def test_a_row_lies_in_the_month_of_its_id(scratch: Scratch) -> None:
    scratch.forwards()
    ids = {ahead: _id_in(ahead) for ahead in range(-1, 4)}
    for row_id in ids.values():
        scratch.insert(row_id)
    now = uuid7()
    scratch.insert(now)
    assert {ahead: scratch.where(row_id) for ahead, row_id in ids.items()} == {a: _named(a) for a in ids}
    assert scratch.where(now) == _named(0)


def test_rows_that_were_there_move_to_their_month_or_to_the_rest(scratch: Scratch) -> None:
    of_now, of_chance = uuid7(), uuid.uuid4()
    scratch.insert(of_now)
    scratch.insert(of_chance)
    scratch.forwards()
    assert (scratch.where(of_now), scratch.where(of_chance)) == (_named(0), "scratch_calls_default")


def test_bounds_are_the_same_in_sql_and_in_python(scratch: Scratch) -> None:
    scratch.forwards()
    for ahead in (-30, 0, 1, 500):
        moment = datetime.combine(_month(ahead), datetime.min.time(), UTC)
        assert scratch.value("SELECT partition_bound(%s)", moment.replace(tzinfo=None)) == uuid7_floor(moment)


def test_a_query_by_id_reads_one_month(scratch: Scratch) -> None:
    scratch.forwards()
    plan = scratch.cursor.execute(
        "EXPLAIN SELECT * FROM scratch_calls WHERE id >= %s AND id < %s",
        [uuid7_floor(datetime.combine(_month(0), datetime.min.time(), UTC)), _id_in(0)],
    ).fetchall()
    text = "\n".join(line for (line,) in plan)
    assert _named(0) in text
    assert _named(1) not in text
    assert _named(-1) not in text


def test_a_row_past_the_last_month_is_caught_and_moves_once_its_month_is_made(scratch: Scratch) -> None:
    scratch.forwards()
    far, further = _id_in(5), _id_in(9)
    scratch.insert(far, cost=7)
    scratch.insert(further)
    assert scratch.where(far) == "scratch_calls_default"
    assert scratch.make(5) == [_named(4), _named(5)]
    assert (scratch.where(far), scratch.where(further)) == (_named(5), "scratch_calls_default")
    assert scratch.value("SELECT doubled FROM scratch_calls WHERE id = %s", far) == 14
    with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
        scratch.cursor.execute("DELETE FROM scratch_calls WHERE id = %s", [further])


def test_making_months_again_makes_none(scratch: Scratch) -> None:
    scratch.forwards()
    assert scratch.make(3) == []


@pytest.mark.parametrize("ahead", [0, 4])
def test_every_month_is_under_the_rules_of_its_table(scratch: Scratch, ahead: int) -> None:
    scratch.forwards()
    scratch.make(4)
    row_id = _id_in(ahead)
    scratch.insert(row_id)
    scratch.cursor.execute("SAVEPOINT before")
    for statement, refusal in (
        ("UPDATE scratch_calls SET cost = 2 WHERE id = %s", psycopg.errors.RestrictViolation),
        ("DELETE FROM scratch_calls WHERE id = %s", psycopg.errors.RestrictViolation),
        ("INSERT INTO scratch_calls SELECT FROM scratch_calls WHERE id = %s", psycopg.errors.NotNullViolation),
        (
            "INSERT INTO scratch_calls (id, organization_id) VALUES (%s, gen_random_uuid())",
            psycopg.errors.UniqueViolation,
        ),
    ):
        with pytest.raises(refusal):
            scratch.cursor.execute(statement.encode(), [row_id])
        scratch.cursor.execute("ROLLBACK TO SAVEPOINT before")
    with pytest.raises(psycopg.errors.CheckViolation):
        scratch.insert(_id_in(ahead), cost=-1)
    scratch.cursor.execute("ROLLBACK TO SAVEPOINT before")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        scratch.insert(_id_in(ahead), uuid.uuid4())


def test_tenants_stay_closed_to_each_other(scratch: Scratch) -> None:
    # Without the trigger, so that a change would be seen if a policy let it through.
    scratch.cursor.execute("DROP TRIGGER append_only ON scratch_calls")
    scratch.forwards()
    scratch.insert(uuid7(), scratch.mine)
    scratch.insert(uuid7(), scratch.theirs)
    assert isolation_faults(scratch.cursor, TABLE, scratch.mine, scratch.theirs) == []
    assert refuses_insert(scratch.cursor, TABLE, scratch.mine, scratch.theirs)


def test_no_partition_is_reached_past_its_table(scratch: Scratch) -> None:
    scratch.forwards()
    row_id = uuid7()
    scratch.insert(row_id)
    for ahead in (0, 4):
        scratch.make(4)
        name = sql.Identifier(_named(ahead))
        with as_tenant(scratch.cursor, scratch.mine):
            assert scratch.cursor.execute(sql.SQL("SELECT * FROM {}").format(name)).fetchall() == []
            assert scratch.cursor.execute(sql.SQL("DELETE FROM {}").format(name)).rowcount == 0
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                scratch.cursor.execute(
                    sql.SQL("INSERT INTO {} (id, organization_id) VALUES (%s, %s)").format(name),
                    [_id_in(ahead), scratch.mine],
                )
    with as_tenant(scratch.cursor, scratch.mine):
        rows = scratch.cursor.execute("SELECT id FROM scratch_calls WHERE id = %s", [row_id]).fetchall()
    assert rows == [(row_id,)]


def test_the_runtime_role_makes_months_though_it_owns_nothing(scratch: Scratch) -> None:
    scratch.forwards()
    scratch.insert(_id_in(4))
    with as_tenant(scratch.cursor, scratch.mine):
        assert scratch.make(4) == [_named(4)]
        owner = scratch.value("SELECT tableowner FROM pg_tables WHERE tablename = %s", _named(4))
        forced = scratch.value("SELECT relforcerowsecurity FROM pg_class WHERE relname = %s", _named(4))
    assert (owner, forced) == (OWNER, True)


def _drop(scratch: Scratch, before: date) -> list[str]:
    rows = scratch.cursor.execute("SELECT partitions_drop('scratch_calls', %s)", [before]).fetchall()
    return [name for (name,) in rows]


def test_months_before_a_date_are_dropped_by_an_operator_and_by_nobody_else(scratch: Scratch) -> None:
    scratch.forwards()
    old = _add_old_month(scratch, -4)
    newer = _add_old_month(scratch, -3)
    with as_tenant(scratch.cursor, scratch.mine), pytest.raises(psycopg.errors.InsufficientPrivilege):
        _drop(scratch, _month(0))
    scratch.cursor.execute("SELECT set_config('app.operator', 'test', true)")
    scratch.cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(APP)))
    assert _drop(scratch, _month(-3)) == [old]
    assert newer in scratch.partitions()
    # Where its rows begin is said by the table itself, and it goes on as a table of months.
    assert scratch.value("SELECT obj_description('scratch_calls'::regclass)").endswith(f"kept from {_month(-3)}")
    assert scratch.make(4) == [_named(4)]


def test_the_last_whole_month_is_never_dropped(scratch: Scratch) -> None:
    scratch.forwards()
    scratch.cursor.execute("SELECT set_config('app.operator', 'test', true)")
    assert _drop(scratch, _month(12)) == []
    assert {_named(-1), _named(0), "scratch_calls_default"} <= set(scratch.partitions())


def _add_old_month(scratch: Scratch, ahead: int) -> str:
    name = _named(ahead)
    bounds = [uuid7_floor(datetime.combine(_month(m), datetime.min.time(), UTC)) for m in (ahead, ahead + 1)]
    scratch.cursor.execute(
        sql.SQL("CREATE TABLE {} PARTITION OF scratch_calls FOR VALUES FROM ({}) TO ({})").format(
            sql.Identifier(name), *map(sql.Literal, map(str, bounds))
        )
    )
    scratch.cursor.execute(sql.SQL("ALTER TABLE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(OWNER)))
    return name


@pytest.mark.parametrize(
    "call",
    ["partitions_make('{}', 3)", "partitions_drop('{}', '2020-01-01')", "partition_drop_copied('{}', '2020-01-01', 0)"],
)
@pytest.mark.parametrize("table", ["users", "nowhere", "audit_logs; DROP TABLE users"])
def test_a_table_without_the_mark_is_refused(scratch: Scratch, call: str, table: str) -> None:
    scratch.forwards()
    scratch.cursor.execute("SELECT set_config('app.operator', 'test', true)")
    with pytest.raises(psycopg.errors.WrongObjectType, match="not partitioned by month"):
        scratch.cursor.execute(f"SELECT {call.format(table)}".encode())


def test_only_the_runtime_role_may_call_the_functions(scratch: Scratch) -> None:
    scratch.forwards()
    rows = scratch.cursor.execute(
        "SELECT proname, a.grantee, a.grantee::regrole::text FROM pg_proc, aclexplode(proacl) a"
        " WHERE proname LIKE 'partition%' AND prosecdef AND a.grantee <> proowner"
    ).fetchall()
    called = {"partitions_make", "partitions_drop", "partition_drop_copied"}
    assert {(name, role) for name, _, role in rows} == {(name, APP) for name in called}


def test_a_table_that_others_refer_to_is_refused(scratch: Scratch) -> None:
    scratch.cursor.execute("CREATE TABLE scratch_children (call_id uuid CONSTRAINT to_call REFERENCES scratch_calls)")
    scratch.cursor.execute("CREATE VIEW scratch_view AS SELECT id FROM scratch_calls")
    with pytest.raises(ValueError, match="the foreign key to_call of scratch_children, the view scratch_view"):
        scratch.forwards()


def test_a_unique_key_without_the_id_is_refused(scratch: Scratch) -> None:
    scratch.cursor.execute("ALTER TABLE scratch_calls ADD CONSTRAINT one_model UNIQUE (organization_id, model)")
    with pytest.raises(psycopg.errors.FeatureNotSupported, match="must include all partitioning columns"):
        scratch.forwards()


def test_a_reference_to_another_tenants_row_is_refused_in_every_month(scratch: Scratch) -> None:
    scratch.cursor.execute("CREATE TABLE scratch_parents (id uuid PRIMARY KEY, organization_id uuid)")
    scratch.cursor.execute("GRANT ALL ON scratch_parents TO PUBLIC")
    scratch.cursor.execute("ALTER TABLE scratch_calls ADD FOREIGN KEY (parent_id) REFERENCES scratch_parents")
    scratch.forwards()
    assert references_unguarded(scratch.cursor) == [(TABLE, "parent_id", "scratch_parents")]
    references_guard(scratch.cursor)
    assert references_unguarded(scratch.cursor) == []
    scratch.make(4)
    assert references_unguarded(scratch.cursor) == []
    parent = uuid.uuid4()
    scratch.cursor.execute("INSERT INTO scratch_parents VALUES (%s, %s)", [parent, scratch.theirs])
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="no row of this organization"):
        scratch.cursor.execute(
            "INSERT INTO scratch_calls (id, organization_id, parent_id) VALUES (%s, %s, %s)",
            [_id_in(4), scratch.mine, parent],
        )
