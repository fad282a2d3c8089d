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
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
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

# How long an example takes says something about the machine only.
hypothesis_settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("tests")


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


# What all workers' databases are copies of, there when it is whole.
_TEMPLATE = "test_template"


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> None:
    """A database made and owned by the owner role, used by the runtime role, as in production.

    The worker that is first brings its own up to date, which takes long, and the others copy it.
    """
    name = os.environ["DEEPSPACE_TEST_DATABASE"]
    with psycopg.connect(support.database_url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute("SELECT pg_advisory_lock(1)")
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_TEMPLATE]).fetchone():
            _create_database(admin, name, like=_TEMPLATE)
        else:
            _create_database(admin, name)
            with django_db_blocker.unblock():
                _fill_database(name)
            _create_database(admin, _TEMPLATE, like=name)


def _create_database(admin: "psycopg.Connection[tuple[Any, ...]]", name: str, like: str = "template1") -> None:
    names = {"name": name, "owner": OWNER, "like": like}
    statement = sql.SQL("CREATE DATABASE {name} OWNER {owner} TEMPLATE {like}")
    admin.execute(statement.format(**{key: sql.Identifier(value) for key, value in names.items()}))


def _fill_database(name: str) -> None:
    with psycopg.connect(support.database_url(OWNER, name), autocommit=True) as owner:
        grant_runtime(owner)
    with _as_owner():
        call_command("migrate", verbosity=0)
    call_command("seed", verbosity=0)
    connection: Any = connections["default"]
    connection.close()
    connection.close_pool()


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
