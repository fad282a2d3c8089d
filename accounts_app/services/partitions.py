"""The months of partitioned tables: made ahead, dropped when their time is over, listed."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.conf import settings
from django.db import OperationalError, connection, transaction

from accounts_app.services.audit import audit_record
from accounts_app.tenancy.partitions import MONTHS_AHEAD

_TABLES = """
    SELECT relname FROM pg_class WHERE relkind = 'p' AND relnamespace = 'public'::regnamespace
    AND obj_description(oid, 'pg_class') LIKE 'partitioned by month%' ORDER BY relname
"""
_PARTITIONS = """
    SELECT parent.relname, child.relname, greatest(child.reltuples, 0)::bigint, pg_total_relation_size(child.oid)
    FROM pg_inherits i
    JOIN pg_class parent ON parent.oid = i.inhparent
    JOIN pg_class child ON child.oid = i.inhrelid
    WHERE parent.relname = ANY(%s) AND parent.relnamespace = 'public'::regnamespace
    ORDER BY parent.relname, child.relname
"""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Partition:
    """One month of a table, or its rest (DEFAULT). ``rows`` is an estimate, ``size`` in bytes with indexes."""

    table: str
    name: str
    rows: int
    size: int


@dataclass(frozen=True)
class Upkeep:
    """What one upkeep did: names of partitions, and of tables that were too busy and come again tomorrow."""

    made: tuple[str, ...]
    dropped: tuple[str, ...]
    busy: tuple[str, ...]


def partitions_keep(*, today: date | None = None) -> Upkeep:
    """Make the months to come and drop those past their table's retention, each table in a transaction of its own.

    Needs an operator context. A table whose lock is not had within 3 s is left for the next time: whoever waits for
    it keeps all others waiting behind. Each dropped month is audited in the transaction that drops it.
    """
    made: list[str] = []
    dropped: list[str] = []
    busy: list[str] = []
    for table in partitioned_tables():
        try:
            with transaction.atomic():
                made += _call("partitions_make", table, MONTHS_AHEAD)
            with transaction.atomic():
                dropped += _drop(table, today or datetime.now(UTC).date())
        except OperationalError as error:
            logger.warning("partitions.busy", extra={"table": table, "reason": str(error)})
            busy.append(table)
    return Upkeep(tuple(made), tuple(dropped), tuple(busy))


def partitioned_tables() -> list[str]:
    """Return the names of the tables that are partitioned by month."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_TABLES)
        return [name for (name,) in cursor.fetchall()]


def partitions_list() -> list[Partition]:
    """Return every partition with its size, by table and month."""
    tables = partitioned_tables()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_PARTITIONS, [tables])
        return [Partition(*row) for row in cursor.fetchall()]


def rows_kept_from(table: str) -> date | None:
    """Return the day from which ``table`` is whole; None when nothing was ever dropped from it.

    Whoever compares its rows with other books leaves out what is older.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT substring(obj_description(to_regclass(%s), 'pg_class') FROM 'kept from (.*)$')::date", [table]
        )
        (day,) = cursor.fetchone()
    return day if isinstance(day, date) else None


@transaction.atomic
def partition_drop_copied(table: str, month: date, *, rows: int) -> bool:
    """Drop one month that was copied elsewhere, if it holds exactly ``rows`` rows and none of the last hour.

    Needs an operator context. Audited in the same transaction. Returns False, and drops nothing, when the copy does
    not hold them all; True when the month is gone. Raises OperationalError when the table is too busy.
    """
    name = f"{table}_{month:%Y_%m}"
    there = name in {partition.name for partition in partitions_list()}
    with connection.cursor() as cursor:
        cursor.execute("SELECT partition_drop_copied(%s, %s, %s)", [table, month, rows])
        (is_gone,) = cursor.fetchone()
    if there and is_gone:
        data = {"table": table, "rows": rows, "copied": True}
        audit_record(action="partition.drop", target_type="partition", target_id=name, data=data)
    return bool(is_gone)


def _drop(table: str, today: date) -> list[str]:
    months = settings.PARTITION_RETENTION_MONTHS.get(table, 0)
    if not months:
        return []
    # Read before they are gone.
    sizes = {partition.name: partition for partition in partitions_list()}
    names = list(_call("partitions_drop", table, _months_before(today, months)))
    for name in names:
        data = {"table": table, "rows": sizes[name].rows, "bytes": sizes[name].size, "retention_months": months}
        audit_record(action="partition.drop", target_type="partition", target_id=name, data=data)
    return names


def _call(function: str, table: str, argument: int | date) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(%s, %s)", [table, argument])
        yield from (name for (name,) in cursor.fetchall())


def _months_before(day: date, months: int) -> date:
    count = day.year * 12 + day.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)
