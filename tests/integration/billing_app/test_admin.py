"""The admin shows the books, changes none of them, and adds adjustments and prices through the services."""

import uuid
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts_app.admin_base import amount_words
from accounts_app.services.api_keys import api_key_create
from accounts_app.services.trace import bind_trace
from accounts_app.tenancy.context import operator_atomic
from billing_app.exceptions import ModelNotPriced
from billing_app.models import (
    Budget,
    BudgetWindow,
    Hold,
    Price,
    ReconciliationDifference,
    ReconciliationRun,
    StoredAnswer,
    TaskUsage,
    Transaction,
    UsageDaily,
    UsageRecord,
    Wallet,
)
from billing_app.services.budgets import budget_set
from billing_app.services.idempotency import Answer, answer_store
from billing_app.services.prices import price_current
from tests.factories.accounts import Person, person
from tests.factories.billing import hold_of, price_of, spend, topped_up

pytestmark = pytest.mark.django_db
USD = Decimal
BOOKS = [Wallet, Transaction, Hold, UsageRecord, UsageDaily, TaskUsage, BudgetWindow, StoredAnswer]


@pytest.fixture
def staff() -> Client:
    return person(is_operator=True).client()


@pytest.fixture
def ada() -> Person:
    somebody = person()
    topped_up(somebody.organization_id, "10")
    with somebody.at_work():
        hold_of(somebody.organization_id, "1")
    spend(somebody, "0.5", model="admin-model", task_id=uuid.uuid4())
    with somebody.at_work():
        budget_set(scope="organization", period="month", limit_usd=USD(5))
        answer_store(key="k", request_hash="", answer=Answer(201, "application/json", b'{"balance": "1"}'))
    return somebody


def wallet_of(somebody: Person) -> Wallet:
    with operator_atomic("test"):
        return Wallet.objects.get(organization_id=somebody.organization_id)


@pytest.mark.parametrize("model", [*BOOKS, Price, Budget])
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
    assert wallet_of(ada).balance == USD(7)
    with operator_atomic("test"):
        entry = Transaction.objects.get(organization_id=ada.organization_id, kind="adjust")
    assert (entry.amount, entry.note) == (USD("-2.5"), "Billed twice in October")


def test_adjustment_below_zero_is_refused_with_a_sentence(staff: Client, ada: Person) -> None:
    address = f"/admin/billing_app/wallet/{wallet_of(ada).pk}/adjust/"
    page = staff.post(address, {"amount": "-9", "reason": "Too much", "key": "admin:below"})
    assert "does not hold enough" in page.content.decode()
    assert wallet_of(ada).balance == USD("9.5")


def test_adjustment_needs_the_permission(ada: Person) -> None:
    clerk = person()
    clerk.user.is_staff = True
    clerk.user.save()
    assert clerk.client().get(f"/admin/billing_app/wallet/{wallet_of(ada).pk}/adjust/").status_code == 403


PRICE = {
    "model_key": "admin-priced", "input": "1", "cached_input": "0.5", "cache_write": "1", "output": "2",
    "reasoning": "2", "per_request": "0", "per_image": "0.04", "image_tiers": '{"high/1024x1024": "0.167"}',
    "source": "list", "source_date": "2026-11-01",
}  # fmt: skip


def test_a_price_is_added_and_never_changed(staff: Client) -> None:
    begun = {"effective_from_0": "2026-11-01", "effective_from_1": "00:00:00"}
    assert staff.post("/admin/billing_app/price/add/", PRICE | begun).status_code == 302
    price = price_current(model_key="admin-priced")
    assert price.cached_input == USD("0.5")
    assert (price.per_image, price.image_tiers) == (USD("0.04"), {"high/1024x1024": USD("0.167")})
    assert staff.post(f"/admin/billing_app/price/{price.id}/change/", PRICE | begun).status_code == 403
    assert staff.post(f"/admin/billing_app/price/{price.id}/delete/", {"post": "yes"}).status_code == 403


def test_a_price_that_has_not_begun_can_be_withdrawn(staff: Client) -> None:
    price = price_of("admin-future", since=timezone.now() + timedelta(days=3))
    assert staff.post(f"/admin/billing_app/price/{price.id}/delete/", {"post": "yes"}).status_code == 302
    assert not Price.objects.filter(pk=price.id).exists()
    with pytest.raises(ModelNotPriced):
        price_current(model_key="admin-future", at=timezone.now() + timedelta(days=9))


@pytest.mark.parametrize(
    "tiers", ['{"high/1x1": 0.167}', '{"high/1x1": "much"}', '{"high/1x1": "-1"}', '{"high": "1"}', "[1]"]
)
def test_a_wrong_tier_is_named(staff: Client, tiers: str) -> None:
    begun = {"effective_from_0": "2026-11-01", "effective_from_1": "00:00:00"}
    page = staff.post("/admin/billing_app/price/add/", PRICE | begun | {"image_tiers": tiers})
    assert page.status_code == 200
    assert "image_tiers" in page.context["adminform"].form.errors


def test_what_was_captured_is_paid_back_once_for_a_reason(staff: Client, ada: Person) -> None:
    with operator_atomic("test"):
        hold = Hold.objects.get(organization_id=ada.organization_id, status="captured")
    address = f"/admin/billing_app/hold/{hold.pk}/refund/"
    assert address in staff.get(f"/admin/billing_app/hold/{hold.pk}/change/").content.decode()
    assert "captured 0.50 USD" in staff.get(address).content.decode()
    form = {"amount": "0.2", "reason": "The answer was cut", "key": "admin:refund"}
    assert staff.post(address, form).status_code == 302
    assert staff.post(address, form).status_code == 302
    assert wallet_of(ada).balance == USD("9.7")
    too_much = staff.post(address, form | {"amount": "0.31", "key": "admin:another"})
    assert "More cannot be refunded than was captured" in too_much.content.decode()


def test_a_trace_id_finds_what_it_wrote(staff: Client, ada: Person) -> None:
    with bind_trace("d" * 32):
        spend(ada, "0.1")
    for name, rows in (("transaction", 3), ("hold", 1), ("usagerecord", 1)):
        page = staff.get(f"/admin/billing_app/{name}/?q={'d' * 32}")
        assert page.context["cl"].result_count == rows, name


def test_a_wallet_leads_to_its_books(staff: Client, ada: Person) -> None:
    page = staff.get(f"/admin/billing_app/wallet/{wallet_of(ada).pk}/change/").content.decode()
    for name in ("transaction", "hold", "usagerecord", "budget"):
        address = f"/admin/billing_app/{name}/?organization__id__exact={ada.organization_id}"
        assert address in page
        assert staff.get(address).status_code == 200


def test_operators_set_change_and_remove_budgets(staff: Client, ada: Person) -> None:
    form = {
        "organization": str(ada.organization_id), "scope": "member", "subject_id": str(ada.id), "period": "day",
        "limit_usd": "3", "soft_percent": "50", "on_exceed": "refuse", "is_active": "on",
    }  # fmt: skip
    nobody = staff.post("/admin/billing_app/budget/add/", form | {"subject_id": str(uuid.uuid4())})
    assert "subject_id" in nobody.context["adminform"].form.errors
    assert staff.post("/admin/billing_app/budget/add/", form).status_code == 302
    with operator_atomic("test"):
        budget = Budget.objects.get(organization_id=ada.organization_id, scope="member")
    address = f"/admin/billing_app/budget/{budget.pk}"
    assert staff.post(f"{address}/change/", form | {"limit_usd": "4"}).status_code == 302
    with operator_atomic("test"):
        assert Budget.objects.get(pk=budget.pk).limit_usd == USD(4)
    assert staff.post(f"{address}/delete/", {"post": "yes"}).status_code == 302
    with operator_atomic("test"):
        assert not Budget.objects.filter(pk=budget.pk).exists()


@pytest.mark.parametrize("present", ["now", "soft", "full"])
def test_windows_are_narrowed_to_the_present_ones(staff: Client, ada: Person, present: str) -> None:
    page = staff.get(f"/admin/billing_app/budgetwindow/?present={present}&q={ada.organization_id}")
    assert page.status_code == 200
    overdue = staff.get("/admin/billing_app/hold/?overdue=yes")
    assert overdue.status_code == 200


def test_budgets_and_differences_are_told_in_words(staff: Client, ada: Person) -> None:
    with ada.at_work():
        key = api_key_create(name="nightly job")
        budget_set(scope="key", subject_id=key.id, period="day", limit_usd=USD("2.5"))
    page = staff.get("/admin/billing_app/budget/").content.decode()
    assert "nightly job" in page
    assert "2.50<" in page
    assert "the whole organization" in page
    with operator_atomic("test"):
        run = ReconciliationRun.objects.create(day=date(2026, 11, 1), calls=1, reported=2, differences=1)
        ReconciliationDifference.objects.create(
            run=run, day=run.day, kind="tokens", ours={"calls": "0"}, theirs={"cost_usd": None, "input_tokens": "12"}
        )
    page = staff.get("/admin/billing_app/reconciliationrun/").content.decode()
    address = f"/admin/billing_app/reconciliationdifference/?run__id__exact={run.pk}"
    assert f'<a href="{address}">1</a>' in page
    page = staff.get(address).content.decode()
    assert "cost (USD) – · input tokens 12" in page


def test_moments_are_shown_to_the_second_and_endings_in_the_readers_language(staff: Client, ada: Person) -> None:
    with operator_atomic("test"):
        record = UsageRecord.objects.filter(organization_id=ada.organization_id).latest("created_at")
    page = staff.get("/admin/billing_app/usagerecord/").content.decode()
    assert f"{record.created_at:%Y-%m-%d %H:%M:%S}" in page
    chinese = staff.get("/admin/billing_app/usagerecord/?ending=completed", headers={"Accept-Language": "zh-hans"})
    assert "已完成" in chinese.content.decode()


@pytest.mark.parametrize(("amount", "words"), [("0E-10", "0.00"), ("5", "5.00"), ("-3.1", "-3.10"), ("1E+2", "100.00"),
                                               ("0.0000000001", "0.0000000001")])  # fmt: skip
def test_amounts_keep_every_place_and_no_idle_zeros(amount: str, words: str) -> None:
    assert amount_words(USD(amount)) == words


def test_where_the_money_stands_is_told_before_it_moves(staff: Client) -> None:
    somebody = person()
    topped_up(somebody.organization_id, "10")
    page = staff.get(f"/admin/billing_app/wallet/{wallet_of(somebody).pk}/adjust/").content.decode()
    assert "balance 10.00 USD, of which 0.00 USD are frozen" in page
