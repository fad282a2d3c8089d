"""Top-ups and refunds: who may, once however often it is clicked or sent, audited."""

import re
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from accounts_app.models import AuditLog
from accounts_app.tenancy.context import operator_atomic
from billing_app.models import Hold, Transaction, Wallet
from tests.factories.accounts import Person, person, team
from tests.factories.billing import spend, topped_up

pytestmark = pytest.mark.django_db
USD = Decimal
PAGE = "/wallet/topup/"


@pytest.fixture(autouse=True)
def open_topups(settings: Settings) -> None:
    settings.WALLET_SELF_TOPUP = True


def balance_of(somebody: Person) -> Decimal:
    with operator_atomic("test"):
        return Wallet.objects.get(organization_id=somebody.organization_id).balance


def form_of(client: Client, amount: str = "20") -> dict[str, str]:
    """Return what the page's form sends after the amount was looked at."""
    key = re.search(r'name="key" value="([^"]+)"', client.get(PAGE).content.decode())
    assert key
    asked = {"amount": amount, "note": "from the page", "key": key[1]}
    confirming = client.post(PAGE, asked).content.decode()
    assert 'name="confirmed"' in confirming
    assert key[1] in confirming
    return asked | {"confirmed": "yes"}


def test_a_double_click_pays_once_and_only_after_a_second_look() -> None:
    ada = person()
    client = ada.client()
    form = form_of(client)
    assert balance_of(ada) == 0
    for _click in range(2):
        answer = client.post(PAGE, form)
        assert (answer.status_code, answer["Location"]) == (302, "/wallet/")
    assert balance_of(ada) == USD(20)
    text = client.get("/wallet/").content.decode()
    assert "$20.00 was added. The balance is now $20.00." in text
    with operator_atomic("test"):
        row = AuditLog.objects.get(organization_id=ada.organization_id, action="wallet.topup")
    assert (row.user_id, row.data["amount"], row.data["note"]) == (ada.id, "20.0000000000", "from the page")


@pytest.mark.parametrize("amount", ["0", "-5", "10000.01", "much", "0.00000000001", "1e400"])
def test_an_amount_that_is_none_is_named_beside_its_field(amount: str) -> None:
    ada = person()
    answer = ada.client().post(PAGE, {"amount": amount, "key": "k", "confirmed": "yes"})
    assert answer.status_code == 400
    assert "field__error" in answer.content.decode()
    assert balance_of(ada) == 0


def test_the_amount_can_be_changed_after_the_second_look() -> None:
    client = person().client()
    page = client.post(PAGE, form_of(client) | {"back": "yes"})
    assert page.status_code == 200
    assert 'name="confirmed"' not in page.content.decode()


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("member", 403), ("viewer", 403)])
def test_only_those_who_manage_money_top_up(role: str, status: int) -> None:
    _owner, other = team(role)
    client = other.client()
    assert client.get(PAGE).status_code == status
    assert refund_or_topup(client, "topups", {"amount": "1"}).status_code == (201 if status == 200 else 403)
    assert balance_of(other) == (1 if status == 200 else 0)


def test_where_operators_keep_the_money_the_page_says_whom_to_ask(settings: Settings) -> None:
    settings.WALLET_SELF_TOPUP = False
    ada = person("ada.asks@example.com")
    client = ada.client()
    assert "./manage.py wallet_topup ada.asks@example.com 10" in client.get(PAGE).content.decode()
    client.post(PAGE, {"amount": "5", "key": "k", "confirmed": "yes"})
    assert balance_of(ada) == 0
    answer = refund_or_topup(ada.api(), "topups", {"amount": "1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "topup_disabled")


def refund_or_topup(client: Client, what: str, body: dict[str, Any], key: str = "k") -> Any:
    address, headers = f"/api/billing/{what}", {"Idempotency-Key": key}
    return client.post(address, body, content_type="application/json", headers=headers)


def captured_hold(somebody: Person) -> uuid.UUID:
    topped_up(somebody.organization_id, "10")
    spend(somebody, "0.75")
    with operator_atomic("test"):
        return Hold.objects.get(organization_id=somebody.organization_id, status="captured").pk


def test_a_refund_pays_back_at_most_what_was_captured_and_once() -> None:
    ada = person()
    hold_id, client = captured_hold(ada), ada.api()
    body = {"hold_id": str(hold_id), "amount": "0.5", "note": "wrong answer"}
    first = refund_or_topup(client, "refunds", body)
    assert (first.status_code, first.json()) == (201, {"hold_id": str(hold_id), "refunded": "0.5000000000"})
    assert refund_or_topup(client, "refunds", body).content == first.content
    assert balance_of(ada) == USD("9.75")
    too_much = refund_or_topup(client, "refunds", body, key="another")
    assert (too_much.status_code, too_much.json()["error"]["code"]) == (409, "over_refund")
    with operator_atomic("test"):
        assert Transaction.objects.get(organization_id=ada.organization_id, kind="refund").note == "wrong answer"
        assert AuditLog.objects.filter(action="wallet.refund", target_id=str(hold_id)).count() == 1


def test_nobody_refunds_what_is_anothers_but_operators(settings: Settings) -> None:
    ada = person()
    hold_id = captured_hold(ada)
    body = {"hold_id": str(hold_id), "amount": "0.5"}
    assert refund_or_topup(person().api(), "refunds", body).status_code == 404
    settings.WALLET_SELF_TOPUP = False
    assert refund_or_topup(ada.api(), "refunds", body).status_code == 403
    operator = person(is_operator=True)
    assert refund_or_topup(operator.api(), "refunds", body).status_code == 201
    assert balance_of(ada) == USD("9.75")
    with operator_atomic("test"):
        row = AuditLog.objects.get(action="wallet.refund", target_id=str(hold_id))
    assert (row.user_id, row.data["by_operator"]) == (operator.id, True)
