"""Fixtures for every test: the database as the runtime role, two tenants, clients."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from django.utils import translation
from psycopg import sql
from pytest_django.plugin import DjangoDbBlocker

from config.runtime.postgres import OWNER, grant_runtime
from tests.support import services as support

pytest_plugins = [
    "tests.fixtures.browser",
    "tests.fixtures.histories",
    "tests.fixtures.outages",
    "tests.fixtures.stack",
    "tests.fixtures.brokers",  # after the stack, which it imports
    "tests.fixtures.upstream",
    "tests.fixtures.v1",
    "tests.fixtures.workflows",
]


@contextmanager
def _as_owner() -> Iterator[None]:
    """Let Django speak as the owner of the tables (migrations), then again as the runtime role."""
    connection: Any = connections["default"]
    connection.close_pool()
    original = dict(connection.settings_dict)
    owner = psycopg.conninfo.conninfo_to_dict(support.database_url(OWNER, os.environ["DEEPSPACE_TEST_DATABASE"]))
    connection.settings_dict |= {"USER": OWNER, "PASSWORD": owner["password"]}
    try:
        yield
    finally:
        connection.close()
        connection.close_pool()
        connection.settings_dict.update(original)


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> None:
    """A database made and owned by the owner role, used by the runtime role, as in production."""
    name = os.environ["DEEPSPACE_TEST_DATABASE"]
    with psycopg.connect(support.database_url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER)))
    with psycopg.connect(support.database_url(OWNER, name), autocommit=True) as owner:
        grant_runtime(owner)
    with django_db_blocker.unblock(), _as_owner():
        call_command("migrate", verbosity=0)
    with django_db_blocker.unblock():
        call_command("seed", verbosity=0)


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    """Forget the language that a request or a page of the test has activated in this thread."""
    yield
    translation.deactivate()


@pytest.fixture
def committed_db(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The database without a rolled-back frame, for threads, workers, sockets and browsers.

    Nothing is flushed afterwards: a test makes an organization of its own, and tenancy keeps it apart.
    """
    with django_db_blocker.unblock():
        yield
        for connection in connections.all():
            connection.close()


@pytest.fixture
def owner_connection(django_db_setup: None) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    """A connection as the tables' owner, for tests that break something on purpose."""
    with psycopg.connect(support.database_url(OWNER, os.environ["DEEPSPACE_TEST_DATABASE"])) as connection:
        yield connection
        connection.rollback()
