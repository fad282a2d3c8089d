"""What goes over the wire to PostgreSQL: BEGIN and the tenant travel with a transaction's first statement."""

import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connection, transaction
from psycopg.pq import TransactionStatus

from accounts_app.models import User
from accounts_app.tenancy.context import operator_atomic, operator_context, tenant_atomic, tenant_context

pytestmark = pytest.mark.usefixtures("committed_db")
ONE, OTHER = uuid.uuid4(), uuid.uuid4()


@contextmanager
def wire() -> Iterator[Callable[[], list[str]]]:
    """What the driver sends in the block: the messages of its trace, one for each exchange."""
    connection.ensure_connection()
    pgconn = connection.connection.pgconn
    with tempfile.TemporaryFile("w+") as file:
        pgconn.trace(file.fileno())

        def sent() -> list[str]:
            pgconn.untrace()
            file.seek(0)
            return [line.rstrip() for line in file if "\tF\t" in line]

        yield sent


def tenant() -> str:
    """The organization that the policies see."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('app.organization_id')")
        return str(cursor.fetchone()[0])


def _divided_by_zero(*_before: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / %s", [0])


def test_begin_and_tenant_cost_no_exchange_of_their_own() -> None:
    with wire() as sent:
        with tenant_atomic(ONE):
            assert tenant() == str(ONE)
            assert tenant() == str(ONE)
        exchanges = sent()
    assert len(exchanges) == 3
    assert "BEGIN; SELECT set_config" in exchanges[0]
    assert "COMMIT" in exchanges[2]


def test_a_tenant_within_another_costs_none_either() -> None:
    with wire() as sent:
        with tenant_atomic(ONE):
            assert tenant() == str(ONE)
            with tenant_context(OTHER):
                assert tenant() == str(OTHER)
            assert tenant() == str(ONE)
            with tenant_context(OTHER):
                pass
        exchanges = sent()
    assert len(exchanges) == 4


def test_a_transaction_without_a_statement_is_none() -> None:
    with wire() as sent:
        with tenant_atomic(ONE), transaction.atomic(savepoint=False):
            pass
        with pytest.raises(ZeroDivisionError), tenant_atomic(ONE):
            raise ZeroDivisionError
        assert sent() == []


def test_nothing_of_a_transaction_is_left_for_the_next() -> None:
    with tenant_atomic(ONE):
        pass
    with transaction.atomic():
        assert tenant() == ""


@pytest.mark.parametrize("is_fresh", [True, False])
def test_a_first_statement_that_fails_is_rolled_back(is_fresh: bool) -> None:
    with pytest.raises(DatabaseError, match="division by zero"), tenant_atomic(ONE):
        _divided_by_zero(*[] if is_fresh else [tenant()])
    assert connection.connection.info.transaction_status == TransactionStatus.IDLE
    with tenant_atomic(OTHER):
        assert tenant() == str(OTHER)


def test_a_statement_that_fails_for_another_tenant_fails_its_savepoint_alone() -> None:
    with tenant_atomic(ONE):
        with pytest.raises(DatabaseError, match="division by zero"), tenant_atomic(OTHER):
            _divided_by_zero(tenant())
        assert tenant() == str(ONE)


def test_other_protocols_see_the_tenant_too() -> None:
    with operator_context("100%; a test's"):
        copy = "COPY (SELECT current_setting('app.operator')) TO STDOUT"
        with transaction.atomic(), connection.cursor() as cursor, cursor.copy(copy) as rows:
            assert b"".join(rows) == b"100%; a test's\n"
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany("SELECT set_config('app.user_id', %s, true)", [["1"], ["2"]])
            cursor.execute("SELECT current_setting('app.operator'), current_setting('app.user_id')")
            assert cursor.fetchone() == ("100%; a test's", "2")
        with transaction.atomic(), connection.cursor() as cursor:
            assert list(cursor.cursor.stream("SELECT current_setting('app.operator')")) == [("100%; a test's",)]


def test_a_cursor_of_the_server_is_declared_for_the_tenant() -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    User.objects.create(email=email)
    with operator_atomic("test"):
        assert [user.email for user in User.objects.filter(email=email).iterator()] == [email]
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('app.operator')")
            assert cursor.fetchone() == ("test",)
