"""The tenant lives exactly as long as its transaction, on whatever connection that runs."""

import os
import uuid

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction

from accounts_app.exceptions import TenantRequired
from accounts_app.models import ApiKey, AuditLog, Membership
from accounts_app.services.api_keys import api_key_create
from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id, operator_context, tenant_atomic
from config.runtime.postgres import APP
from tests.factories.accounts import Person, person
from tests.support import services as support


def with_a_key() -> Person:
    owner = person()
    with owner.at_work():
        api_key_create(name="mine")
    return owner


def visible_owners() -> set[uuid.UUID | None]:
    return set(ApiKey.objects.values_list("organization_id", flat=True))


def settings_now() -> tuple[str | None, ...]:
    names = ("app.organization_id", "app.user_id", "app.operator", "app.api_key_hash")
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"nullif(current_setting('{name}', true), '')" for name in names))
        return tuple(cursor.fetchone())


def backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


@pytest.mark.usefixtures("committed_db")
def test_one_connection_carries_nothing_from_one_tenant_to_the_next() -> None:
    first, second = with_a_key(), with_a_key()
    same = backend()
    with first.at_work():
        assert visible_owners() == {first.organization_id}
    assert settings_now() == (None,) * 4
    with second.at_work():
        assert backend() == same
        assert visible_owners() == {second.organization_id}
    assert ApiKey.objects.count() == 0


@pytest.mark.usefixtures("committed_db")
def test_nothing_is_left_after_a_rollback() -> None:
    first, second = with_a_key(), with_a_key()
    same = backend()
    with pytest.raises(ZeroDivisionError), first.at_work():
        raise ZeroDivisionError
    assert settings_now() == (None,) * 4
    assert ApiKey.objects.count() == 0
    with second.at_work():
        assert backend() == same
        assert visible_owners() == {second.organization_id}


@pytest.mark.usefixtures("committed_db")
def test_nothing_is_left_after_an_error_of_the_database() -> None:
    first = with_a_key()
    with pytest.raises(ProgrammingError), first.at_work(), connection.cursor() as cursor:
        cursor.execute("SELECT nothing_of_this_name")
    assert settings_now() == (None,) * 4


@pytest.mark.usefixtures("committed_db")
def test_one_bound_tenant_has_many_transactions() -> None:
    owner = with_a_key()
    for _ in range(2):
        with owner.at_work():
            assert visible_owners() == {owner.organization_id}


def test_a_connection_that_never_heard_of_the_settings_sees_nothing_and_does_not_fail(django_db_setup: None) -> None:
    url = support.database_url(APP, os.environ["DEEPSPACE_TEST_DATABASE"])
    with psycopg.connect(url) as fresh:
        for table in ("api_keys", "memberships", "organizations", "audit_logs"):
            assert fresh.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)  # noqa: S608


@pytest.mark.django_db
def test_moving_a_row_to_another_tenant_is_refused() -> None:
    first, second = with_a_key(), person()
    with pytest.raises(ProgrammingError, match="row-level security"), first.at_work():
        ApiKey.objects.update(organization_id=second.organization_id)


@pytest.mark.django_db
def test_a_row_of_another_tenant_is_not_written_changed_or_deleted_through_the_orm() -> None:
    first, second = with_a_key(), person()
    with pytest.raises(ProgrammingError, match="row-level security"), second.at_work():
        ApiKey.objects.create(organization_id=first.organization_id, name="x", prefix="x", secret_hash="x")
    with second.at_work():
        assert ApiKey.objects.filter(organization_id=first.organization_id).update(name="taken") == 0
        assert ApiKey.objects.filter(organization_id=first.organization_id).delete()[0] == 0
        assert not ApiKey.objects.filter(name="mine").exists()
    with first.at_work():
        assert ApiKey.objects.get().name == "mine"


@pytest.mark.django_db
def test_a_row_of_another_tenant_is_not_read_through_raw_sql() -> None:
    with_a_key()
    stranger = person()
    with stranger.at_work(), connection.cursor() as cursor:
        cursor.execute("SELECT count(*), max(secret_hash) FROM api_keys")
        assert cursor.fetchone() == (0, None)


@pytest.mark.django_db
def test_one_cannot_make_oneself_a_member_elsewhere() -> None:
    first, second = person(), person()
    with pytest.raises(ProgrammingError, match="row-level security"), second.at_work():
        Membership.objects.create(organization_id=first.organization_id, user=second.user, role="owner")


@pytest.mark.django_db
def test_a_person_sees_own_memberships_everywhere_and_others_only_here() -> None:
    here, elsewhere = person(), person()
    with here.at_work():
        assert set(Membership.objects.values_list("user_id", flat=True)) == {here.id}
    with tenant_atomic(here.organization_id):
        assert not Membership.objects.filter(user=elsewhere.user).exists()


@pytest.mark.django_db
def test_an_operator_sees_every_tenant_and_is_named_in_the_log() -> None:
    first, second = with_a_key(), with_a_key()
    with operator_context("night sweep"), transaction.atomic():
        assert visible_owners() >= {first.organization_id, second.organization_id}
        audit_record(action="sweep.run")
        assert AuditLog.objects.get(action="sweep.run").operator == "night sweep"


def test_an_operator_has_a_name() -> None:
    with pytest.raises(ValueError, match="name"), operator_context(""):
        pass


def test_work_for_nobody_is_refused() -> None:
    with pytest.raises(TenantRequired):
        current_organization_id()
