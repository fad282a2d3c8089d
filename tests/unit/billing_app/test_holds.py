"""Holds resolve once, return what was not captured, and answer a repeated request with the same answer."""

from decimal import Decimal

import pytest

from accounts_app.tenancy.context import tenant_atomic
from billing_app import selectors
from billing_app.exceptions import InsufficientFunds
from billing_app.services.holds import hold_capture
from tests.factories.billing import hold_of, organization_with

pytestmark = pytest.mark.django_db
USD = Decimal


def test_hold_freezes_and_capture_returns_the_rest() -> None:
    organization_id = organization_with("10")
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
        assert selectors.wallet_summary(organization_id).available == USD(6)
        assert hold_capture(hold_id=hold.id, amount=USD("1.25"), key="c") == USD("1.25")
        wallet = selectors.wallet_summary(organization_id)
        assert (wallet.balance, wallet.frozen, wallet.credits) == (USD("8.75"), USD(0), 875)
        kinds = [(t.kind, t.amount) for t in selectors.transactions(organization_id).order_by("seq")]
    assert kinds == [("topup", 10), ("hold", 4), ("capture", USD("1.25")), ("release", USD("2.75"))]


def test_hold_refuses_more_than_available() -> None:
    organization_id = organization_with("1")
    with tenant_atomic(organization_id), pytest.raises(InsufficientFunds):
        hold_of(organization_id, "1.0000000001")
