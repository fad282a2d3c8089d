"""What it means that one tenant's rows in a table are closed to another, said once, in SQL.

Everything here runs inside one transaction of the cluster's superuser that is rolled back, so a test may break
a policy first. `as_tenant` puts on the runtime role and a tenant, just as a request does.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from config.runtime.postgres import APP

Cursor = psycopg.Cursor[tuple[Any, ...]]


@contextmanager
def as_tenant(cursor: Cursor, organization_id: uuid.UUID | str) -> Iterator[None]:
    """Be the runtime role with this organization bound; a failed statement inside ends only this block."""
    cursor.execute("SAVEPOINT tenant")
    try:
        cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(APP)))
        cursor.execute("SELECT set_config('app.organization_id', %s, true)", [str(organization_id)])
        yield
    finally:
        cursor.execute("ROLLBACK TO SAVEPOINT tenant")


def isolation_faults(cursor: Cursor, table: str, mine: uuid.UUID, theirs: uuid.UUID) -> list[str]:
    """Return in words how ``mine`` reaches rows of ``theirs`` in ``table``, or misses its own; empty when all is well.

    ``table`` must hold rows of both.
    """
    faults = []
    if _count(cursor, table, mine, mine) == 0:
        faults.append("its own rows are hidden")
    if _count(cursor, table, mine, theirs) != 0:
        faults.append("the other's rows are counted")
    if _affected(
        cursor, "UPDATE {} SET organization_id = organization_id WHERE organization_id = %s", table, mine, theirs
    ):
        faults.append("the other's rows are changed")
    if _affected(cursor, "DELETE FROM {} WHERE organization_id = %s", table, mine, theirs):
        faults.append("the other's rows are deleted")
    if not refuses_insert(cursor, table, mine, theirs):
        faults.append("a row is written for the other")
    if _affected(cursor, "UPDATE {} SET organization_id = %s", table, mine, theirs):
        faults.append("a row is moved to the other")
    return faults


def refuses_insert(cursor: Cursor, table: str, mine: uuid.UUID, theirs: uuid.UUID) -> bool:
    """Whether ``mine`` is kept from writing a row of ``theirs``. Policies are checked before all other constraints."""
    statement = sql.SQL("INSERT INTO {} (id, organization_id) VALUES (%s, %s)").format(sql.Identifier(table))
    with as_tenant(cursor, mine):
        try:
            cursor.execute(statement, [_new_id(cursor, table), theirs])
        except psycopg.errors.InsufficientPrivilege:
            return True
        except psycopg.Error:
            return False
    return False


def _new_id(cursor: Cursor, table: str) -> uuid.UUID | int:
    kind = cursor.execute(
        "SELECT data_type FROM information_schema.columns WHERE table_name = %s AND column_name = 'id'", [table]
    ).fetchone()
    return uuid.uuid4() if kind == ("uuid",) else 2**62


def _count(cursor: Cursor, table: str, mine: uuid.UUID, whose: uuid.UUID) -> int:
    statement = sql.SQL("SELECT count(*) FROM {} WHERE organization_id = %s").format(sql.Identifier(table))
    with as_tenant(cursor, mine):
        row = cursor.execute(statement, [whose]).fetchone()
        assert row
        return int(row[0])


def _affected(cursor: Cursor, statement: str, table: str, mine: uuid.UUID, theirs: uuid.UUID) -> int:
    with as_tenant(cursor, mine):
        try:
            return cursor.execute(sql.SQL(statement).format(sql.Identifier(table)), [theirs]).rowcount
        except psycopg.Error:
            return 0
