"""The ledger against a plain model: any order of deeds, and after each of them the books are right."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from accounts_app.tenancy.context import operator_context, tenant_context
from billing_app import selectors
from billing_app.exceptions import HoldResolved, InsufficientFunds, OverCapture, OverRefund
from billing_app.models import Hold, Transaction
from billing_app.services.checks import ledger_check
from billing_app.services.holds import (
    capture_refund,
    hold_capture,
    hold_extend,
    hold_release,
    holds_expire,
    wallet_hold,
)
from billing_app.services.wallets import wallet_adjust, wallet_topup
from tests.factories.billing import organization_with

USD = Decimal
ZERO = USD(0)
amounts = st.decimals(min_value="0.0000000001", max_value="20", places=10)


@dataclass
class ModelHold:
    """What the plain model knows of a hold."""

    amount: Decimal
    state: str = "open"
    captured: Decimal = ZERO
    refunded: Decimal = ZERO


class Ledger(RuleBasedStateMachine):
    """The real ledger on the real database, and a dictionary that says what must be in it."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.organization_id = organization_with()
        self.balance = ZERO
        self.known: dict[UUID, ModelHold] = {}
        self.frame = transaction.atomic()
        self.frame.__enter__()
        self.tenant = tenant_context(self.organization_id)
        self.tenant.__enter__()

    def teardown(self) -> None:
        self.tenant.__exit__(None, None, None)
        self.frame.__exit__(None, None, None)

    @property
    def frozen(self) -> Decimal:
        return sum((hold.amount for hold in self.known.values() if hold.state == "open"), ZERO)

    @rule(amount=amounts, again=st.booleans())
    def topup(self, amount: Decimal, again: bool) -> None:
        key = uuid.uuid4().hex
        for _ in range(1 + again):
            wallet_topup(organization_id=self.organization_id, amount=amount, key=key)
        self.balance += amount

    @rule(amount=amounts, sign=st.sampled_from([1, -1]))
    def adjust(self, amount: Decimal, sign: int) -> None:
        change = amount * sign
        try:
            wallet_adjust(organization_id=self.organization_id, amount=change, key=uuid.uuid4().hex, reason="test")
        except InsufficientFunds:
            assert self.balance - self.frozen + change < 0
        else:
            assert self.balance - self.frozen + change >= 0
            self.balance += change

    @rule(target=holds, amount=amounts, again=st.booleans())
    def hold(self, amount: Decimal, again: bool) -> UUID | None:
        key = uuid.uuid4().hex
        try:
            refs = [
                wallet_hold(
                    organization_id=self.organization_id, amount=amount, key=key, billing_ref_id=key,
                    expires_in=timedelta(hours=1),
                )
                for _ in range(1 + again)
            ]  # fmt: skip
        except InsufficientFunds:
            assert amount > self.balance - self.frozen
            return None
        assert amount <= self.balance - self.frozen
        assert len({ref.id for ref in refs}) == 1
        self.known[refs[0].id] = ModelHold(amount)
        return refs[0].id

    @rule(hold_id=holds, amount=amounts)
    def extend(self, hold_id: UUID | None, amount: Decimal) -> None:
        if hold_id is None:
            return
        hold, free = self.known[hold_id], self.balance - self.frozen
        try:
            hold_extend(hold_id=hold_id, amount=amount)
        except HoldResolved:
            assert hold.state != "open"
        except InsufficientFunds:
            assert amount - hold.amount > free
        else:
            assert hold.state == "open"
            assert amount - hold.amount <= free
            hold.amount = max(hold.amount, amount)

    @rule(hold_id=holds, amount=st.one_of(st.just(ZERO), amounts), whole=st.booleans(), again=st.booleans())
    def capture(self, hold_id: UUID | None, amount: Decimal, whole: bool, again: bool) -> None:
        if hold_id is None:
            return
        hold, key = self.known[hold_id], uuid.uuid4().hex
        taken = hold.amount if whole else amount
        try:
            for _ in range(1 + again):
                assert hold_capture(hold_id=hold_id, amount=taken, key=key) == taken
        except HoldResolved:
            assert hold.state != "open"
        except OverCapture:
            assert hold.state == "open"
            assert taken > hold.amount
        else:
            assert hold.state == "open"
            assert taken <= hold.amount
            hold.state, hold.captured = "captured", taken
            self.balance -= taken

    @rule(hold_id=holds, again=st.booleans())
    def release(self, hold_id: UUID | None, again: bool) -> None:
        if hold_id is None:
            return
        hold, key = self.known[hold_id], uuid.uuid4().hex
        try:
            for _ in range(1 + again):
                assert hold_release(hold_id=hold_id, key=key) == hold.amount
        except HoldResolved:
            assert hold.state != "open"
        else:
            assert hold.state == "open"
            hold.state = "released"

    @rule(hold_id=consumes(holds))
    def expire(self, hold_id: UUID | None) -> None:
        if hold_id is None:
            return
        Hold.objects.filter(pk=hold_id).update(expires_at="2020-01-01T00:00:00Z")
        with operator_context("test"):
            swept = holds_expire()
        hold = self.known[hold_id]
        assert swept == (hold.state == "open")
        if swept:
            hold.state = "expired"

    @rule(hold_id=holds, amount=amounts, again=st.booleans())
    def refund(self, hold_id: UUID | None, amount: Decimal, again: bool) -> None:
        if hold_id is None:
            return
        hold, key = self.known[hold_id], uuid.uuid4().hex
        try:
            for _ in range(1 + again):
                capture_refund(hold_id=hold_id, amount=amount, key=key)
        except OverRefund:
            assert hold.refunded + amount > hold.captured
        else:
            assert hold.refunded + amount <= hold.captured
            hold.refunded += amount
            self.balance += amount

    @invariant()
    def the_wallet_is_what_the_model_says(self) -> None:
        wallet = selectors.wallet_summary(self.organization_id)
        assert (wallet.balance, wallet.frozen) == (self.balance, self.frozen)
        assert wallet.available >= 0

    @invariant()
    def the_holds_are_what_the_model_says(self) -> None:
        stored = {
            hold.id: ModelHold(hold.amount, hold.status, hold.captured, hold.refunded) for hold in Hold.objects.all()
        }
        assert stored == self.known

    @invariant()
    def entries_sum_to_the_balance_and_every_held_cent_is_somewhere(self) -> None:
        rows = Transaction.objects.order_by().values_list("kind").annotate(Sum("amount"))
        total = dict.fromkeys(("topup", "hold", "capture", "release", "refund", "adjust"), ZERO) | dict(rows)
        assert total["topup"] + total["adjust"] + total["refund"] - total["capture"] == self.balance
        assert total["hold"] == total["capture"] + total["release"] + self.frozen
        assert total["refund"] <= total["capture"]

    @invariant()
    def the_check_finds_no_difference(self) -> None:
        # These captures belong to no model call, which is the one thing that the check may say.
        assert [
            item for item in ledger_check().differences if item.table != "holds" or "no record" not in item.stored
        ] == []


@pytest.mark.django_db
def test_any_order_of_deeds_leaves_the_books_right() -> None:
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Ledger,
        settings=settings(max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=checks),
    )
