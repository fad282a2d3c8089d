"""The wallet page and the badge: figures, lists, filters, empty states, for the caller's organization only."""

import uuid
from base64 import b64encode
from decimal import Decimal

import pytest
from django.test import Client

from billing_app.services.holds import hold_capture
from tests.factories.accounts import Person, person
from tests.factories.billing import hold_of, price_of, topped_up, usage_of

pytestmark = pytest.mark.django_db
USD = Decimal


def spend(somebody: Person, amount: str, *, task_id: uuid.UUID | None = None, model: str = "") -> uuid.UUID:
    """Make one model call of ``amount`` USD, from hold to record."""
    call_id, price = uuid.uuid4(), price_of(model)
    with somebody.at_work():
        hold = hold_of(somebody.organization_id, "1", ref=str(call_id))
        hold_capture(hold_id=hold.id, amount=USD(amount), key=uuid.uuid4().hex)
    usage_of(
        somebody.organization_id, price, call_id=call_id, task_id=task_id, cost_usd=USD(amount), charged_usd=USD(amount)
    )
    return call_id


def test_page_of_a_new_person_says_how_to_top_up() -> None:
    ada = person("ada.empty@example.com")
    page = ada.client().get("/wallet/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "./manage.py wallet_topup ada.empty@example.com 10" in text
    assert "No transactions yet" in text


def test_page_shows_balance_spending_and_the_ledger() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    task_id = uuid.uuid4()
    spend(ada, "0.25", task_id=task_id, model="wallet-page-model")
    text = ada.client().get("/wallet/").content.decode()
    assert "$9.7500" in text
    assert "975 credits" in text
    assert "-$0.25" in text
    assert "wallet-page-model" in text
    assert 'role="img"' in text
    assert f"/tasks/{task_id}/" in text


def test_usage_list_shows_calls_with_trace_and_task() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    task_id = uuid.uuid4()
    spend(ada, "0.0000021", task_id=task_id)
    text = ada.client().get("/wallet/?list=usage").content.decode()
    assert "$0.0000021" in text
    assert f"/tasks/{task_id}/" in text


def test_filters_are_in_the_address_and_bad_ones_are_named() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    client = ada.client()
    assert "Nothing matches these filters" in client.get("/wallet/?kind=refund").content.decode()
    assert "+$10.00" in client.get("/wallet/?kind=topup").content.decode()
    assert "Nothing matches these filters" in client.get("/wallet/?to=2020-01-01").content.decode()
    assert "field__error" in client.get("/wallet/?from=soon").content.decode()


def test_pages_lead_through_the_whole_ledger_and_back() -> None:
    ada = person()
    for number in range(45):
        topped_up(ada.organization_id, "1", key=f"n{number}")
    client, seen, address = ada.client(), [], "/wallet/"
    while address:
        page = client.get(address)
        seen += [row.seq for row, _task in page.context["entries"]]
        cursor = page.context["page"].next_cursor
        address = f"/wallet/?cursor={cursor}" if cursor else ""
    assert seen == list(range(45, 0, -1))
    before = client.get(f"/wallet/?cursor={page.context['page'].previous_cursor}")
    assert [row.seq for row, _task in before.context["entries"]] == list(range(25, 5, -1))


@pytest.mark.parametrize("position", [b"p=soon", b"o=\xff", b"p=1&r=1&o=99999999999"])
@pytest.mark.parametrize(
    "address",
    ["/wallet/", "/wallet/?list=usage&", "/api/billing/usage", "/api/billing/transactions"],
)
def test_a_made_up_cursor_is_not_found_or_ignored(address: str, position: bytes) -> None:
    sign = "" if address.endswith("&") else "?"
    status = person().client().get(f"{address}{sign}cursor={b64encode(position).decode()}").status_code
    assert status == 404 if position == b"p=soon" else status in (200, 404)


def test_badge_shows_what_is_available() -> None:
    ada = person()
    topped_up(ada.organization_id, "12.345")
    fragment = ada.client().get("/wallet/badge/").content.decode()
    assert "$12.35" in fragment or "$12.34" in fragment
    assert "<html" not in fragment


@pytest.mark.parametrize("address", ["/wallet/", "/wallet/badge/"])
def test_anonymous_people_are_sent_to_sign_in(address: str) -> None:
    assert Client().get(address).status_code == 302


def test_page_shows_nothing_of_others() -> None:
    ada, bob = person(), person()
    topped_up(ada.organization_id, "10")
    spend(ada, "0.5", model="ada-only-model")
    for address in ("/wallet/", "/wallet/?list=usage"):
        text = bob.client().get(address).content.decode()
        assert "ada-only-model" not in text
        assert "$9.5" not in text


def test_page_needs_few_queries_however_many_rows(django_assert_max_num_queries: object) -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    for _ in range(12):
        spend(ada, "0.01", task_id=uuid.uuid4())
    client = ada.client()
    with django_assert_max_num_queries(16):  # type: ignore[operator]
        client.get("/wallet/")
