"""A pooled connection is asked whether it lives only where there is doubt, and a dead one is never handed out."""

import select
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.db import connection
from psycopg_pool import ConnectionPool

from accounts_app.tenancy.context import tenant_atomic
from accounts_app.tenancy.postgresql import liveness
from tests.support.services import APP, database_url

Pool = ConnectionPool[psycopg.Connection[Any]]


@pytest.fixture
def pool() -> Iterator[Pool]:
    """A pool of one, checked as Django's."""
    url = database_url(APP, "postgres")
    with ConnectionPool(
        url, min_size=1, max_size=1, open=True, kwargs={"autocommit": True}, check=liveness.connection_check
    ) as pool:
        yield pool


def _used(pool: Pool) -> int:
    """Use a connection and give it back as Django does; its backend's number."""
    with _borrowed(pool) as used:
        assert used.execute("SELECT 1").fetchone() == (1,)
        return used.info.backend_pid


@contextmanager
def _borrowed(pool: Pool) -> Iterator["psycopg.Connection[Any]"]:
    borrowed = pool.getconn()
    try:
        yield borrowed
    finally:
        liveness.connection_given_back(borrowed)
        pool.putconn(borrowed)


@contextmanager
def _traced(pool: Pool) -> Iterator[list[str]]:
    """A list that holds, after the block, what was sent to the server over the pool's connection in it."""
    sent: list[str] = []
    with tempfile.TemporaryFile("w+") as file:
        with _borrowed(pool) as resting:
            pgconn = resting.pgconn
        pgconn.trace(file.fileno())
        yield sent
        pgconn.untrace()
        file.seek(0)
        sent += [line for line in file if "\tF\t" in line]


def _ended(number: int) -> None:
    with psycopg.connect(database_url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [number])


def test_one_that_was_used_a_moment_ago_is_not_asked(pool: Pool) -> None:
    with _traced(pool) as sent, _borrowed(pool):
        pass
    assert sent == []


def test_one_that_has_rested_is_asked(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "TRUSTED_SECONDS", 0.0)
    with _traced(pool) as sent, _borrowed(pool):
        pass
    assert len(sent) == 1


def test_one_whose_session_was_ended_a_moment_ago_is_replaced(pool: Pool) -> None:
    first = _used(pool)
    _ended(first)
    assert _used(pool) != first


def test_one_that_was_told_something_is_asked_and_kept(pool: Pool) -> None:
    with _borrowed(pool) as listening:
        listening.execute("LISTEN news")
        number = listening.info.backend_pid
    with _traced(pool) as sent:
        with psycopg.connect(database_url(APP, "postgres"), autocommit=True) as other:
            other.execute("NOTIFY news")
        assert select.select([listening.fileno()], [], [], 5)[0]
        assert _used(pool) == number
    # One to ask, one for its use.
    assert len(sent) == 2


@pytest.mark.usefixtures("committed_db")
def test_djangos_connections_are_checked_so() -> None:
    connection.ensure_connection()
    first = connection.connection.info.backend_pid
    connection.close()
    _ended(first)
    with tenant_atomic(uuid.uuid4()), connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        assert cursor.fetchone()[0] != first
