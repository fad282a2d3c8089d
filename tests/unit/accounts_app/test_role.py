"""A server refuses to start under a database role that row-level security cannot hold."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from django.core.checks import Tags, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection

from accounts_app.tenancy.role import check_role, refuse_privileged_role, refuse_worker, role_owns_tables, role_problems
from config.runtime.postgres import OWNER
from tests.support import services as support


@contextmanager
def configured(**changes: str) -> Iterator[None]:
    """Let the settings name another role or server."""
    original = dict(connection.settings_dict)
    connection.settings_dict.update(changes)
    try:
        yield
    finally:
        connection.settings_dict.update(original)


def as_superuser() -> AbstractContextManager[None]:
    """Let the settings name the cluster's superuser."""
    url = urlsplit(support.database_url("postgres", "postgres"))
    return configured(USER=url.username or "", PASSWORD=url.password or "")


@pytest.mark.usefixtures("django_db_setup")
def test_the_runtime_role_may_serve() -> None:
    refuse_privileged_role()


@pytest.mark.usefixtures("django_db_setup")
@pytest.mark.parametrize("start", [refuse_privileged_role, WSGIHandler])
def test_a_superuser_may_not_serve(start: type[WSGIHandler]) -> None:
    with as_superuser(), pytest.raises(ImproperlyConfigured, match=r"is a superuser.*NOSUPERUSER"):
        start()


@pytest.mark.usefixtures("django_db_setup")
def test_a_worker_does_not_start_as_superuser() -> None:
    with as_superuser(), pytest.raises(SystemExit, match="is a superuser"):
        refuse_worker()
    refuse_worker()


@pytest.mark.usefixtures("django_db_setup")
def test_a_role_that_bypasses_policies_may_not_serve() -> None:
    with psycopg.connect(support.database_url("postgres", "postgres")) as admin, admin.cursor() as cursor:
        cursor.execute("CREATE ROLE sees_everything BYPASSRLS")
        cursor.execute("SET ROLE sees_everything")
        assert role_problems(cursor) == ["The database role sees_everything has BYPASSRLS."]
        admin.rollback()


def test_the_owner_is_recognised(owner_connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    with owner_connection.cursor() as cursor:
        assert role_owns_tables(cursor)
        assert role_problems(cursor) == []


def test_a_database_that_does_not_answer_yet_is_no_reason_to_refuse() -> None:
    with configured(PORT="1"):
        refuse_privileged_role()


@pytest.mark.django_db
def test_the_deployment_check_passes_for_the_runtime_role() -> None:
    found = run_checks(tags=[Tags.database], databases=["default"], include_deployment_checks=True)
    assert [message for message in found if str(message.id).startswith("accounts_app")] == []


@pytest.mark.usefixtures("committed_db")
def test_the_deployment_check_names_what_is_wrong_with_another_role() -> None:
    owner_url = urlsplit(support.database_url(OWNER, "postgres"))
    assert check_role(databases=None) == []
    for change, expected in (
        (as_superuser(), "accounts_app.E001"),
        (configured(USER=owner_url.username or "", PASSWORD=owner_url.password or ""), "accounts_app.W001"),
    ):
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]
        with change:
            assert expected in {message.id for message in check_role(databases=["default"])}
            connection.close()
            connection.close_pool()  # type: ignore[attr-defined]
