"""The admin shows the books, changes none of them, and adds adjustments and prices through the services."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts_app.tenancy.context import operator_atomic
from billing_app.exceptions import ModelNotPriced
from billing_app.models import Hold, Price, Transaction, UsageDaily, UsageRecord, Wallet
from billing_app.services.prices import price_current
from tests.factories.accounts import Person, person
from tests.factories.billing import hold_of, price_of, topped_up, usage_of

pytestmark = pytest.mark.django_db
USD = Decimal
BOOKS = [Wallet, Transaction, Hold, UsageRecord, UsageDaily]


@pytest.fixture
def staff() -> Client:
    return person(is_operator=True).client()


@pytest.fixture
def ada() -> Person:
    somebody = person()
    topped_up(somebody.organization_id, "10")
    with somebody.at_work():
        hold_of(somebody.organization_id, "1")
    usage_of(somebody.organization_id, price_of("admin-model"))
    return somebody


def wallet_of(somebody: Person) -> Wallet:
    with operator_atomic("test"):
        return Wallet.objects.get(organization_id=somebody.organization_id)


@pytest.mark.parametrize("model", [*BOOKS, Price])
def test_lists_and_rows_open(staff: Client, ada: Person, model: type) -> None:
    name = model._meta.model_name  # type: ignore[attr-defined]
    assert staff.get(f"/admin/billing_app/{name}/").status_code == 200
    with operator_atomic("test"):
        row = model._default_manager.first()  # type: ignore[attr-defined]
    assert staff.get(f"/admin/billing_app/{name}/{row.pk}/change/").status_code == 200


@pytest.mark.parametrize("model", BOOKS)
def test_books_cannot_be_added_to_or_deleted_from(staff: Client, ada: Person, model: type) -> None:
    name = model._meta.model_name  # type: ignore[attr-defined]
    with operator_atomic("test"):
        row = model._default_manager.first()  # type: ignore[attr-defined]
    assert staff.post(f"/admin/billing_app/{name}/add/").status_code == 403
    assert staff.post(f"/admin/billing_app/{name}/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_adjustment_writes_one_entry_with_its_reason(staff: Client, ada: Person) -> None:
    address = f"/admin/billing_app/wallet/{wallet_of(ada).pk}/adjust/"
    assert staff.get(address).status_code == 200
    form = {"amount": "-2.5", "reason": "Billed twice in October", "key": "admin:once"}
    assert staff.post(address, form).status_code == 302
    assert staff.post(address, form).status_code == 302  # the same form, sent twice
    assert wallet_of(ada).balance == USD("7.5")
    with operator_atomic("test"):
        entry = Transaction.objects.get(organization_id=ada.organization_id, kind="adjust")
    assert (entry.amount, entry.note) == (USD("-2.5"), "Billed twice in October")


def test_adjustment_below_zero_is_refused_with_a_sentence(staff: Client, ada: Person) -> None:
    address = f"/admin/billing_app/wallet/{wallet_of(ada).pk}/adjust/"
    page = staff.post(address, {"amount": "-9.5", "reason": "Too much", "key": "admin:below"})
    assert "does not hold enough" in page.content.decode()
    assert wallet_of(ada).balance == USD(10)


def test_adjustment_needs_the_permission(ada: Person) -> None:
    clerk = person()
    clerk.user.is_staff = True
    clerk.user.save()
    assert clerk.client().get(f"/admin/billing_app/wallet/{wallet_of(ada).pk}/adjust/").status_code == 403


PRICE = {
    "model_key": "admin-priced", "input": "1", "cached_input": "0.5", "cache_write": "1", "output": "2",
    "reasoning": "2", "per_request": "0", "source": "list", "source_date": "2026-11-01",
}  # fmt: skip


def test_a_price_is_added_and_never_changed(staff: Client) -> None:
    begun = {"effective_from_0": "2026-11-01", "effective_from_1": "00:00:00"}
    assert staff.post("/admin/billing_app/price/add/", PRICE | begun).status_code == 302
    price = price_current(model_key="admin-priced")
    assert price.cached_input == USD("0.5")
    assert staff.post(f"/admin/billing_app/price/{price.id}/change/", PRICE | begun).status_code == 403
    assert staff.post(f"/admin/billing_app/price/{price.id}/delete/", {"post": "yes"}).status_code == 403


def test_a_price_that_has_not_begun_can_be_withdrawn(staff: Client) -> None:
    price = price_of("admin-future", since=timezone.now() + timedelta(days=3))
    assert staff.post(f"/admin/billing_app/price/{price.id}/delete/", {"post": "yes"}).status_code == 302
    assert not Price.objects.filter(pk=price.id).exists()
    with pytest.raises(ModelNotPriced):
        price_current(model_key="admin-future", at=timezone.now() + timedelta(days=9))
