"""Wallets begin with their organization; money comes in by top-up and adjustment, once per key."""

import uuid
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.selectors import audit_recent
from accounts_app.signals import user_signed_up
from accounts_app.tenancy.context import operator_atomic, tenant_atomic
from billing_app import selectors
from billing_app.exceptions import InsufficientFunds, KeyConflict
from billing_app.models import Transaction, Wallet
from billing_app.services.wallets import wallet_adjust, wallet_topup
from tests.factories.accounts import person
from tests.factories.billing import hold_of, organization_with

pytestmark = pytest.mark.django_db
USD = Decimal


def test_every_organization_begins_with_an_empty_wallet() -> None:
    ada = person()
    with ada.at_work():
        wallet = Wallet.objects.get(organization_id=ada.organization_id)
    assert (wallet.balance, wallet.frozen, wallet.seq, wallet.user_id) == (USD(0), USD(0), 0, ada.id)


def test_topup_adds_once_per_key_and_says_what_there_is() -> None:
    organization_id = organization_with()
    with tenant_atomic(organization_id):
        for _ in range(2):
            wallet = wallet_topup(organization_id=organization_id, amount=USD("5.5"), key="k", note="thanks")
            assert (wallet.balance, wallet.available, wallet.credits) == (USD("5.5"), USD("5.5"), 550)
        with pytest.raises(KeyConflict) as caught:
            wallet_topup(organization_id=organization_id, amount=USD("5.6"), key="k", note="thanks")
        assert (caught.value.code, caught.value.status) == ("idempotency_conflict", 409)
        entry = Transaction.objects.get()
        assert (entry.kind, entry.balance_after, entry.note, entry.seq) == ("topup", USD("5.5"), "thanks", 1)


def test_equal_amounts_written_differently_are_the_same_request() -> None:
    organization_id = organization_with()
    with tenant_atomic(organization_id):
        wallet_topup(organization_id=organization_id, amount=USD("5"), key="k")
        assert wallet_topup(organization_id=organization_id, amount=USD("5.00"), key="k").balance == USD(5)


def test_adjustment_goes_both_ways_but_not_below_what_is_frozen() -> None:
    organization_id = organization_with("10")
    with tenant_atomic(organization_id):
        hold_of(organization_id, "4")
        assert wallet_adjust(organization_id=organization_id, amount=USD(-5), key="a", reason="x").balance == USD(5)
        assert wallet_adjust(organization_id=organization_id, amount=USD(1), key="b", reason="x").balance == USD(6)
        with pytest.raises(InsufficientFunds):
            wallet_adjust(organization_id=organization_id, amount=USD("-2.1"), key="c", reason="x")


@pytest.mark.parametrize("bad", [{"amount": USD(0)}, {"reason": "  "}, {"key": ""}])
def test_adjustment_needs_amount_reason_and_key(bad: dict[str, Any]) -> None:
    organization_id = organization_with("10")
    fields: dict[str, Any] = {"amount": USD(1), "key": "a", "reason": "x"} | bad
    with tenant_atomic(organization_id), pytest.raises(InvalidInput):
        wallet_adjust(organization_id=organization_id, **fields)


def test_money_in_is_audited_with_who_and_how_much() -> None:
    ada = person()
    with ada.at_work():
        wallet_topup(organization_id=ada.organization_id, amount=USD(5), key="k", note="thanks")
        row = audit_recent()[0]
    assert (row.action, row.user_id, row.data["amount"]) == ("wallet.topup", ada.id, "5.0000000000")


def test_someone_elses_wallet_is_not_found() -> None:
    organization_id = organization_with("10")
    with tenant_atomic(organization_with("10")):
        with pytest.raises(NotFound):
            wallet_topup(organization_id=organization_id, amount=USD(1), key="k")
        with pytest.raises(NotFound):
            selectors.wallet_summary(organization_id)


@pytest.mark.parametrize(("credit", "balance"), [("0", "0"), ("2.5", "2.5")])
def test_sign_up_gives_the_credit_that_the_operator_set(settings: Settings, credit: str, balance: str) -> None:
    settings.SIGNUP_CREDIT_USD = USD(credit)
    ada = person()
    with ada.at_work():
        for _ in range(2):
            user_signed_up.send(sender=None, organization_id=ada.organization_id, user_id=ada.id)
        assert selectors.wallet_summary(ada.organization_id).balance == USD(balance)


def test_command_tops_up_the_personal_organization() -> None:
    email, out = f"{uuid.uuid4().hex}@example.com", StringIO()
    ada = person(email)
    call_command("wallet_topup", email.upper(), "25", "--key", "once", stdout=out)
    call_command("wallet_topup", email, "25", "--key", "once", stdout=out)
    call_command("wallet_topup", email, "0.5", "--note", "welcome", stdout=out)
    assert out.getvalue().splitlines()[-1] == f"{email}: 25.5000000000 USD"
    with ada.at_work():
        assert selectors.wallet_summary(ada.organization_id).balance == USD("25.5")


@pytest.mark.parametrize("amount", ["ten", "0", "-1", "NaN", "1e11", "0.00000000001", ""])
def test_command_refuses_bad_amounts_and_adds_nothing(amount: str) -> None:
    ada = person()
    with pytest.raises(CommandError):
        call_command("wallet_topup", "--", ada.user.email, amount)
    with ada.at_work():
        assert selectors.wallet_summary(ada.organization_id).balance == 0


def test_command_names_an_unknown_address() -> None:
    with pytest.raises(CommandError, match=r"nobody@example\.com"):
        call_command("wallet_topup", "nobody@example.com", "1")


def test_operators_topping_up_are_audited() -> None:
    organization_with("1")
    with operator_atomic("test"):
        rows = apps.get_model("accounts_app", "AuditLog").objects.filter(action="wallet.topup", operator="factory")
        assert rows.exists()
