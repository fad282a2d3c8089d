"""The upkeep of months: made ahead, dropped after their retention, on record, listed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.conf import LazySettings
from django.core.management import call_command
from django.db import transaction
from psycopg import sql

from accounts_app.ids import uuid7_floor
from accounts_app.models import AuditLog
from accounts_app.services.partitions import partitioned_tables, partitions_keep, partitions_list, rows_kept_from
from accounts_app.services.trace import bind_trace, current_trace_id, new_trace_id
from accounts_app.tasks import keep_partitions
from accounts_app.tenancy.context import operator_context
from accounts_app.tenancy.partitions import partition_monthly
from config.runtime.postgres import OWNER
from tests.support import services as support

TABLE = "scratch_months"


@dataclass
class Editor:
    """What a migration operation needs of Django's schema editor."""

    connection: "psycopg.Connection[tuple[Any, ...]]"


@pytest.fixture
def owner(committed_db: None) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    """The owner's connection, beside a committed table in months, which goes again afterwards."""
    url = support.database_url(OWNER, os.environ["DEEPSPACE_TEST_DATABASE"])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE scratch_months (id uuid PRIMARY KEY, note text)")
        with connection.transaction():
            partition_monthly(TABLE).code(None, Editor(connection))  # type: ignore[arg-type]
        yield connection
        connection.execute("DROP TABLE scratch_months")


def _month(ahead: int) -> date:
    today = datetime.now(UTC).date()
    months = today.year * 12 + today.month - 1 + ahead
    return date(months // 12, months % 12 + 1, 1)


def _named(ahead: int) -> str:
    return f"{TABLE}_{_month(ahead):%Y_%m}"


def _add(owner: "psycopg.Connection[tuple[Any, ...]]", ahead: int) -> None:
    bounds = [uuid7_floor(datetime.combine(_month(each), datetime.min.time(), UTC)) for each in (ahead, ahead + 1)]
    owner.execute(
        sql.SQL("CREATE TABLE {} PARTITION OF scratch_months FOR VALUES FROM ({}) TO ({})").format(
            sql.Identifier(_named(ahead)), *map(sql.Literal, map(str, bounds))
        )
    )


def test_upkeep_makes_the_months_that_are_missing(owner: "psycopg.Connection[tuple[Any, ...]]") -> None:
    owner.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(_named(3))))
    with operator_context("test"):
        assert TABLE in partitioned_tables()
        assert _named(3) in partitions_keep().made
        assert _named(3) in {partition.name for partition in partitions_list()}
        assert not any(name.startswith(TABLE) for name in partitions_keep().made)


def test_without_a_retention_everything_is_kept(owner: "psycopg.Connection[tuple[Any, ...]]") -> None:
    _add(owner, -20)
    with operator_context("test"):
        assert partitions_keep().dropped == ()
    assert rows_kept_from(TABLE) is None


def test_months_past_their_retention_go_on_record(
    owner: "psycopg.Connection[tuple[Any, ...]]", settings: LazySettings
) -> None:
    settings.PARTITION_RETENTION_MONTHS = {TABLE: 2}
    for ahead in (-4, -3, -2):
        _add(owner, ahead)
    with bind_trace(new_trace_id()), operator_context("test"):
        upkeep = partitions_keep()
        with transaction.atomic():
            found = AuditLog.objects.filter(action="partition.drop", trace_id=current_trace_id())
            records = list(found.order_by("target_id"))
        assert upkeep.dropped == (_named(-4), _named(-3))
        assert [record.target_id for record in records] == list(upkeep.dropped)
        assert records[0].data["table"] == TABLE
        assert records[0].data["retention_months"] == 2
        assert _named(-2) in {partition.name for partition in partitions_list()}
    assert rows_kept_from(TABLE) == _month(-2)


def test_a_busy_table_is_left_for_the_next_time(owner: "psycopg.Connection[tuple[Any, ...]]") -> None:
    owner.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(_named(3))))
    with owner.transaction(), operator_context("test"):
        owner.execute("LOCK TABLE scratch_months_default IN ACCESS SHARE MODE")
        upkeep = partitions_keep()
    assert upkeep.busy == (TABLE,)
    with operator_context("test"):
        assert partitions_keep().made == (_named(3),)


def test_the_command_lists_months_and_can_do_the_upkeep(owner: "psycopg.Connection[tuple[Any, ...]]") -> None:
    owner.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(_named(3))))
    listed, kept = StringIO(), StringIO()
    call_command("partitions", stdout=listed)
    call_command("partitions", keep=True, stdout=kept)
    assert _named(3) not in listed.getvalue()
    assert f"made: {_named(3)}" in kept.getvalue()
    assert f"{TABLE}_default" in listed.getvalue()
    assert " rows " in listed.getvalue()


def test_the_daily_job_does_the_upkeep(owner: "psycopg.Connection[tuple[Any, ...]]") -> None:
    owner.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(_named(2))))
    assert _named(2) in keep_partitions()
