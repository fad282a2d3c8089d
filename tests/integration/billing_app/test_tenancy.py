"""Row-level security on every table of money: B sees, changes, counts and references nothing of A."""

from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import ProgrammingError, connection, transaction
from django.utils import timezone
from psycopg import sql

from accounts_app.tenancy.context import tenant_atomic
from billing_app.models import Hold, Transaction, UsageDaily, UsageRecord, Wallet
from billing_app.services.prices import price_current
from tests.factories.billing import hold_of, organization_with, price_of, usage_of

pytestmark = pytest.mark.django_db
MODELS = [Wallet, Hold, Transaction, UsageRecord, UsageDaily]
TABLES = [model._meta.db_table for model in MODELS]


@pytest.fixture
def alices() -> UUID:
    organization_id = organization_with("10")
    with tenant_atomic(organization_id):
        hold_of(organization_id, "1")
    usage_of(organization_id, price_of())
    return organization_id


@pytest.mark.parametrize("table", TABLES)
def test_row_level_security_is_forced(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = %s", [table])
        assert cursor.fetchone() == (True, True)


@pytest.mark.parametrize("table", TABLES)
def test_rows_are_visible_to_their_organization_only(alices: UUID, table: str) -> None:
    query = sql.SQL("SELECT count(*) FROM {} WHERE organization_id = %s").format(sql.Identifier(table))

    def count() -> int:
        with connection.cursor() as cursor:
            cursor.execute(query, [alices])
            return int(cursor.fetchall()[0][0])

    bobs = organization_with("10")
    assert count() == 0
    with tenant_atomic(bobs):
        assert count() == 0
    with tenant_atomic(alices):
        assert count() > 0


@pytest.mark.parametrize("statement", [
    "UPDATE wallets SET balance = balance + 1 WHERE organization_id = %s",
    "UPDATE holds SET amount = amount + 1 WHERE organization_id = %s",
    "UPDATE usage_daily SET calls = 0 WHERE organization_id = %s",
    "DELETE FROM transactions WHERE organization_id = %s",
    "DELETE FROM openai_usage WHERE organization_id = %s",
])  # fmt: skip
def test_another_organization_changes_nothing(alices: UUID, statement: str) -> None:
    with tenant_atomic(organization_with("10")), connection.cursor() as cursor:
        cursor.execute(statement, [alices])
        assert cursor.rowcount == 0


def test_a_row_cannot_be_moved_to_or_written_for_another_organization(alices: UUID) -> None:
    bobs = organization_with("10")
    moves: list[Callable[[], object]] = [
        lambda: Wallet.objects.filter(organization_id=bobs).update(organization_id=alices),
        lambda: UsageDaily.objects.create(organization_id=alices, day=timezone.now().date(), model="m"),
        lambda: Hold.objects.create(
            organization_id=alices,
            wallet=Wallet.objects.get(),
            amount=Decimal(1),
            billing_ref_id="x",
            expires_at=timezone.now(),
        ),
    ]
    with tenant_atomic(bobs):
        for move in moves:
            with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
                move()


def test_prices_are_the_same_for_everyone(alices: UUID) -> None:
    price = price_of()
    for organization_id in (alices, organization_with()):
        with tenant_atomic(organization_id):
            assert price_current(model_key=price.model_key) == price
