"""The ledger against a plain model: any order of deeds, and after each of them the books are right."""

import uuid
from dataclasses import dataclass, field
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
from billing_app.exceptions import BudgetExceeded, HoldResolved, InsufficientFunds, OverCapture, OverRefund
from billing_app.models import Budget, BudgetWindow, Hold, Transaction, Wallet
from billing_app.services.budgets import budget_change, budget_remove
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


SUBJECTS = ("organization", "project", "key")


@dataclass
class ModelBudget:
    """What the plain model knows of a budget: its limit and which holds count in it."""

    scope: str
    subject_id: UUID | None
    limit: Decimal
    is_active: bool = True
    holds: list["ModelHold"] = field(default_factory=list)

    @property
    def spent(self) -> Decimal:
        return sum((hold.captured - hold.refunded for hold in self.holds), ZERO)

    @property
    def held(self) -> Decimal:
        return sum((hold.amount for hold in self.holds if hold.state == "open"), ZERO)

    def admits(self, more: Decimal) -> bool:
        return not self.is_active or self.spent + self.held + more <= self.limit


# Compared by identity in lists, by its fields in assertions.
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
    budgets_known = Bundle("budgets")

    def __init__(self) -> None:
        super().__init__()
        self.organization_id = organization_with()
        self.balance = ZERO
        self.known: dict[UUID, ModelHold] = {}
        self.budgets: dict[UUID, ModelBudget] = {}
        # No such project or key is needed to count by its id.
        self.project_id, self.key_id = uuid.uuid4(), uuid.uuid4()
        self.frame = transaction.atomic()
        self.frame.__enter__()
        self.tenant = tenant_context(self.organization_id, role="owner")
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

    def applying(self, with_project: bool, with_key: bool) -> list[ModelBudget]:
        """Return the budgets that a call with or without the project and the key has to fit into."""
        named = {"organization": True, "project": with_project, "key": with_key}
        return [budget for budget in self.budgets.values() if named[budget.scope]]

    @rule(target=budgets_known, scope=st.sampled_from(SUBJECTS), limit=amounts)
    def set_budget(self, scope: str, limit: Decimal) -> UUID:
        subject_id = {"organization": None, "project": self.project_id, "key": self.key_id}[scope]
        budget, created = Budget.objects.get_or_create(
            organization_id=self.organization_id, scope=scope, subject_id=subject_id, period="total",
            defaults={"limit_usd": limit},
        )  # fmt: skip
        if created:
            self.budgets[budget.pk] = ModelBudget(scope, subject_id, limit)
        return budget.pk

    @rule(budget_id=budgets_known, limit=amounts, is_active=st.booleans())
    def change_budget(self, budget_id: UUID, limit: Decimal, is_active: bool) -> None:
        if budget_id in self.budgets:
            budget_change(budget_id=budget_id, limit_usd=limit, is_active=is_active)
            self.budgets[budget_id].limit, self.budgets[budget_id].is_active = limit, is_active

    @rule(budget_id=consumes(budgets_known))
    def remove_budget(self, budget_id: UUID) -> None:
        if self.budgets.pop(budget_id, None):
            budget_remove(budget_id=budget_id)

    @rule(target=holds, amount=amounts, again=st.booleans(), with_project=st.booleans(), with_key=st.booleans())
    def hold(self, amount: Decimal, again: bool, with_project: bool, with_key: bool) -> UUID | None:
        key, budgets = uuid.uuid4().hex, self.applying(with_project, with_key)
        fits = all(budget.admits(amount) for budget in budgets)
        try:
            refs = [
                wallet_hold(
                    organization_id=self.organization_id, amount=amount, key=key, billing_ref_id=key,
                    expires_in=timedelta(hours=1), project_id=self.project_id if with_project else None,
                    api_key_id=self.key_id if with_key else None,
                )
                for _ in range(1 + again)
            ]  # fmt: skip
        except InsufficientFunds:
            assert amount > self.balance - self.frozen
            return None
        except BudgetExceeded:
            assert not fits
            return None
        assert amount <= self.balance - self.frozen
        assert fits
        assert len({ref.id for ref in refs}) == 1
        self.known[refs[0].id] = ModelHold(amount)
        for budget in budgets:
            budget.holds.append(self.known[refs[0].id])
        return refs[0].id

    @rule(hold_id=holds, amount=amounts)
    def extend(self, hold_id: UUID | None, amount: Decimal) -> None:
        if hold_id is None:
            return
        hold, free = self.known[hold_id], self.balance - self.frozen
        counting = [budget for budget in self.budgets.values() if any(hold is each for each in budget.holds)]
        more = amount - hold.amount
        fits = more <= 0 or all(budget.admits(more) for budget in counting)
        try:
            hold_extend(hold_id=hold_id, amount=amount)
        except HoldResolved:
            assert hold.state != "open"
        except InsufficientFunds:
            assert amount - hold.amount > free
        except BudgetExceeded:
            assert not fits
        else:
            assert fits
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
    def the_budgets_are_what_the_model_says(self) -> None:
        stored = {row.budget_id: (row.spent, row.held) for row in BudgetWindow.objects.all()}
        # A window is there from the first call on.
        used = {key: budget for key, budget in self.budgets.items() if budget.holds or key in stored}
        assert stored == {key: (budget.spent, budget.held) for key, budget in used.items()}

    @invariant()
    def entries_sum_to_the_balance_and_every_held_cent_is_somewhere(self) -> None:
        rows = Transaction.objects.order_by().values_list("kind").annotate(Sum("amount"))
        total = dict.fromkeys(("topup", "hold", "capture", "release", "refund", "adjust"), ZERO) | dict(rows)
        assert total["topup"] + total["adjust"] + total["refund"] - total["capture"] == self.balance
        assert total["hold"] == total["capture"] + total["release"] + self.frozen
        assert total["refund"] <= total["capture"]
        by_state = dict.fromkeys(("captured", "released", "expired", "open"), ZERO)
        for hold in self.known.values():
            by_state[hold.state] += hold.amount
        assert sum(by_state.values()) == total["hold"]
        assert all(hold.refunded <= hold.captured <= hold.amount for hold in self.known.values())

    @invariant()
    def each_entry_continues_the_one_before(self) -> None:
        last = ""
        for entry in Transaction.objects.order_by("seq"):
            assert entry.prev_hash == last
            last = entry.hash
        assert Wallet.objects.get().hash == last

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
        settings=settings(max_examples=30, stateful_step_count=25, suppress_health_check=checks),
    )
