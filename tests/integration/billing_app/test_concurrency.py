"""Many at once on one wallet: the guard lets through what is covered, and each hold resolves once."""

import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import TypeVar
from uuid import UUID

import pytest
from django.db import connection

from accounts_app.exceptions import Conflict, NotFound
from accounts_app.tenancy.context import operator_atomic, operator_context, tenant_atomic
from billing_app import selectors
from billing_app.contracts import HoldRef, TokenBuckets
from billing_app.exceptions import BudgetExceeded, HoldResolved, InsufficientFunds, KeyConflict
from billing_app.models import BudgetWindow, Hold, Transaction
from billing_app.services.budgets import budget_remove, budget_set
from billing_app.services.checks import ledger_check
from billing_app.services.holds import (
    capture_refund,
    hold_capture,
    hold_extend,
    hold_release,
    holds_expire,
    wallet_hold,
)
from billing_app.services.usage import usage_record
from billing_app.services.wallets import wallet_topup
from tests.factories.billing import hold_of, organization_with, price_of, usage_of

pytestmark = pytest.mark.usefixtures("committed_db")
USD = Decimal
T = TypeVar("T")


def at_once(deeds: Iterable[Callable[[], T]], *, threads: int) -> list[T]:
    """Run the deeds in ``threads`` threads that all begin together."""
    barrier = threading.Barrier(threads, timeout=60)
    queue = list(deeds)
    lanes = [queue[number::threads] for number in range(threads)]

    def lane(deeds: list[Callable[[], T]]) -> list[T]:
        # A connection for each thread: with the pool, most of them would wait for each other outside PostgreSQL.
        options = {name: value for name, value in connection.settings_dict["OPTIONS"].items() if name != "pool"}
        connection.settings_dict = connection.settings_dict | {"OPTIONS": options}
        barrier.wait()
        try:
            return [deed() for deed in deeds]
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return [answer for answers in pool.map(lane, lanes) for answer in answers]


def outcome(deed: Callable[[], object]) -> str:
    """Return the name of the error, or "done"."""
    try:
        deed()
    except (Conflict, InsufficientFunds, BudgetExceeded) as error:
        return type(error).__name__
    return "done"


def differences(organization_id: UUID) -> object:
    with tenant_atomic(organization_id):
        return ledger_check().differences


def test_100_threads_with_money_for_7_holds_get_exactly_7() -> None:
    organization_id = organization_with("7.5")

    def hold() -> str:
        with tenant_atomic(organization_id):
            return outcome(lambda: hold_of(organization_id, "1"))

    assert Counter(at_once([hold] * 100, threads=100)) == {"done": 7, "InsufficientFunds": 93}
    with tenant_atomic(organization_id):
        wallet = selectors.wallet_summary(organization_id)
        assert (wallet.balance, wallet.frozen, wallet.available) == (USD("7.5"), USD(7), USD("0.5"))
        assert Hold.objects.count() == 7
    assert differences(organization_id) == ()


def test_500_holds_captured_and_released_at_once_each_resolve_once() -> None:
    organization_id, price = organization_with("500"), price_of()
    with tenant_atomic(organization_id):
        holds = [hold_of(organization_id, "1") for _ in range(500)]

    def capture(hold: HoldRef) -> str:
        def settle() -> None:
            with tenant_atomic(organization_id):
                charged = hold_capture(hold_id=hold.id, amount=USD("0.25"), key=uuid.uuid4().hex)
                usage_record(
                    call_id=UUID(hold.billing_ref_id), model=price.model_key, provider="scripted", price=price,
                    tokens=TokenBuckets(input=1), cost_usd=charged, charged_usd=charged, ending="completed",
                )  # fmt: skip

        return outcome(settle)

    def release(hold: HoldRef) -> str:
        def give_back() -> None:
            with tenant_atomic(organization_id):
                hold_release(hold_id=hold.id, key=uuid.uuid4().hex)

        return outcome(give_back)

    deeds = [partial(act, hold) for hold in holds for act in (capture, release) for _ in range(2)]
    random.Random(7).shuffle(deeds)
    assert Counter(at_once(deeds, threads=20)) == {"done": 500, "HoldResolved": 1500}
    with tenant_atomic(organization_id):
        states = Counter(Hold.objects.values_list("status", flat=True))
        wallet = selectors.wallet_summary(organization_id)
        per_hold = Counter(
            Transaction.objects.filter(kind__in=["capture", "release"]).values_list("hold_id", "kind")
        ).values()
    assert states["captured"] + states["released"] == 500
    assert wallet.frozen == 0
    assert wallet.balance == 500 - states["captured"] * USD("0.25")
    assert set(per_hold) == {1}
    assert differences(organization_id) == ()


def test_the_same_key_from_many_threads_moves_money_once() -> None:
    organization_id = organization_with()

    def topup() -> Decimal:
        with tenant_atomic(organization_id):
            return wallet_topup(organization_id=organization_id, amount=USD(5), key="same").balance

    assert set(at_once([topup] * 24, threads=12)) == {USD(5)}
    with tenant_atomic(organization_id):
        assert Transaction.objects.count() == 1


def test_the_same_key_with_other_fields_conflicts_also_when_racing() -> None:
    organization_id = organization_with()

    def topup(amount: int) -> str:
        def add() -> None:
            with tenant_atomic(organization_id):
                wallet_topup(organization_id=organization_id, amount=USD(amount), key="same")

        return outcome(add)

    outcomes = Counter(at_once([partial(topup, amount) for amount in range(1, 13)], threads=12))
    assert outcomes == {"done": 1, KeyConflict.__name__: 11}


def test_the_same_hold_key_from_many_threads_gives_one_hold() -> None:
    organization_id = organization_with("100")

    def hold() -> UUID:
        with tenant_atomic(organization_id):
            return wallet_hold(
                organization_id=organization_id,
                amount=USD(1),
                key="same",
                billing_ref_id="call",
                expires_in=timedelta(minutes=5),
            ).id

    assert len(set(at_once([hold] * 24, threads=12))) == 1
    with tenant_atomic(organization_id):
        assert selectors.wallet_summary(organization_id).frozen == USD(1)


def test_expiry_and_capture_race_for_a_hold_and_one_wins() -> None:
    organization_id, price = organization_with("60"), price_of()
    with tenant_atomic(organization_id):
        holds = [hold_of(organization_id, "1") for _ in range(60)]
        Hold.objects.update(expires_at="2020-01-01T00:00:00Z")

    def capture(hold: HoldRef) -> str:
        def settle() -> None:
            with tenant_atomic(organization_id):
                hold_capture(hold_id=hold.id, amount=USD(1), key=uuid.uuid4().hex)
                usage_record(
                    call_id=UUID(hold.billing_ref_id), model=price.model_key, provider="scripted", price=price,
                    tokens=TokenBuckets(input=1), cost_usd=USD(1), charged_usd=USD(1), ending="completed",
                )  # fmt: skip

        return outcome(settle)

    def sweep() -> str:
        with operator_context("test"):
            holds_expire()
        return "swept"

    deeds: list[Callable[[], str]] = [sweep, sweep, *(partial(capture, hold) for hold in holds)]
    outcomes = Counter(at_once(deeds, threads=6))
    with tenant_atomic(organization_id):
        states = Counter(Hold.objects.values_list("status", flat=True))
        wallet = selectors.wallet_summary(organization_id)
    assert states["captured"] == outcomes["done"]
    assert states["expired"] == outcomes[HoldResolved.__name__] == 60 - states["captured"]
    assert (wallet.balance, wallet.frozen) == (USD(60 - states["captured"]), USD(0))
    assert differences(organization_id) == ()


def test_refunds_at_once_never_exceed_the_capture() -> None:
    organization_id, price = organization_with("10"), price_of()
    call_id = uuid.uuid4()
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "3", ref=str(call_id))
        hold_capture(hold_id=hold.id, amount=USD(3), key="capture")
    usage_of(organization_id, price, call_id=call_id, charged_usd=USD(3))

    def refund() -> str:
        def pay() -> None:
            with tenant_atomic(organization_id):
                capture_refund(hold_id=hold.id, amount=USD(1), key=uuid.uuid4().hex)

        return outcome(pay)

    assert Counter(at_once([refund] * 20, threads=10)) == {"done": 3, "OverRefund": 17}
    assert differences(organization_id) == ()


def test_extending_and_releasing_at_once_gives_everything_back() -> None:
    organization_id = organization_with("100")
    with tenant_atomic(organization_id):
        holds = [hold_of(organization_id, "1") for _ in range(30)]

    def act(hold: HoldRef, deed: Callable[[HoldRef], object]) -> str:
        def run() -> None:
            with tenant_atomic(organization_id):
                deed(hold)

        return outcome(run)

    def extend(hold: HoldRef) -> object:
        return hold_extend(hold_id=hold.id, amount=USD(2))

    def release(hold: HoldRef) -> object:
        return hold_release(hold_id=hold.id, key=uuid.uuid4().hex)

    at_once([partial(act, hold, deed) for hold in holds for deed in (extend, release)], threads=6)
    with tenant_atomic(organization_id):
        wallet = selectors.wallet_summary(organization_id)
    assert (wallet.balance, wallet.frozen) == (USD(100), USD(0))
    assert differences(organization_id) == ()


def test_roll_up_equals_a_recount_after_random_usage_at_once() -> None:
    organization_id = organization_with()
    prices, random_source = [price_of(), price_of()], random.Random(11)

    def call() -> None:
        price, call_id = random_source.choice(prices), uuid.uuid4()
        tokens = TokenBuckets(*(random_source.randrange(1000) for _ in range(5)))
        for _ in range(2):  # settled twice, counted once
            usage_of(organization_id, price, call_id=call_id, tokens=tokens, cost_usd=USD(tokens.total).scaleb(-7))

    at_once([call] * 120, threads=12)
    with tenant_atomic(organization_id):
        assert selectors.usage_records(organization_id).count() == 120
    assert differences(organization_id) == ()


def test_200_threads_on_a_budget_with_room_for_7_get_exactly_7() -> None:
    organization_id = organization_with("1000")
    with operator_atomic("test"):
        budget_set(organization_id=organization_id, scope="organization", period="month", limit_usd=USD("7.5"))

    def hold() -> str:
        with tenant_atomic(organization_id):
            return outcome(lambda: hold_of(organization_id, "1"))

    # No more threads than the server takes connections; each asks as soon as it was answered.
    assert Counter(at_once([hold] * 200, threads=80)) == {"done": 7, "BudgetExceeded": 193}
    with tenant_atomic(organization_id):
        assert BudgetWindow.objects.values_list("spent", "held").get() == (USD(0), USD(7))
        assert selectors.wallet_summary(organization_id).frozen == USD(7)
    assert differences(organization_id) == ()


def test_first_calls_of_a_period_at_once_share_one_window() -> None:
    organization_id = organization_with("100")
    with operator_atomic("test"):
        budget_set(organization_id=organization_id, scope="organization", period="day", limit_usd=USD(50))
        BudgetWindow.objects.filter(organization_id=organization_id).delete()

    def settle() -> str:
        with tenant_atomic(organization_id):
            hold = hold_of(organization_id, "2")
        with tenant_atomic(organization_id):
            return outcome(lambda: hold_release(hold_id=hold.id, key=uuid.uuid4().hex))

    assert Counter(at_once([settle] * 60, threads=20)) == {"done": 60}
    with tenant_atomic(organization_id):
        assert BudgetWindow.objects.values_list("spent", "held").get() == (USD(0), USD(0))
    assert differences(organization_id) == ()


def test_changing_budgets_while_calls_run_keeps_the_books_right() -> None:
    organization_id = organization_with("1000")

    def call(number: int) -> str:
        if number % 5 == 0:
            with operator_atomic("test"):
                limit = USD(number % 7 + 1)
                budget = budget_set(
                    organization_id=organization_id, scope="organization", period="month", limit_usd=limit
                )
            return "set" if number % 10 else outcome(lambda: remove(budget.id))
        with tenant_atomic(organization_id):
            return outcome(lambda: hold_release(hold_id=hold_of(organization_id, "1").id, key=uuid.uuid4().hex))

    def remove(budget_id: UUID) -> None:
        # Two at once may set the same one, and then the second to remove it finds none.
        with operator_atomic("test"), suppress(NotFound):
            budget_remove(budget_id=budget_id)

    assert Counter(at_once([partial(call, number) for number in range(200)], threads=12)).keys() <= {
        "set", "done", "BudgetExceeded",
    }  # fmt: skip
    assert differences(organization_id) == ()


def test_500_captures_each_reverted_twice_at_once_are_reverted_once() -> None:
    organization_id, price = organization_with("500"), price_of()
    with tenant_atomic(organization_id):
        holds = [hold_of(organization_id, "1") for _ in range(500)]

    def capture(hold: HoldRef) -> str:
        with tenant_atomic(organization_id):
            hold_capture(hold_id=hold.id, amount=USD(1), key=f"settle:{hold.id}")
            usage_record(
                call_id=UUID(hold.billing_ref_id), model=price.model_key, provider="scripted", price=price,
                tokens=TokenBuckets(input=1), cost_usd=USD(1), charged_usd=USD(1), ending="completed",
            )  # fmt: skip
        return "captured"

    def revert(hold: HoldRef) -> str:
        def pay_back() -> None:
            with tenant_atomic(organization_id):
                capture_refund(hold_id=hold.id, amount=USD(1), key=uuid.uuid4().hex)

        return outcome(pay_back)

    at_once([partial(capture, hold) for hold in holds], threads=20)
    reverts = [partial(revert, hold) for hold in holds for _ in range(2)]
    assert Counter(at_once(reverts, threads=20)) == {"done": 500, "OverRefund": 500}
    with tenant_atomic(organization_id):
        wallet = selectors.wallet_summary(organization_id)
    assert (wallet.balance, wallet.frozen) == (USD(500), USD(0))
    assert differences(organization_id) == ()


def test_batches_in_any_order_and_the_sweep_do_not_lock_each_other_out() -> None:
    """As the gateway writes: one transaction opens some calls and settles others, in the order in which they came."""
    organization_id = organization_with("100")
    with tenant_atomic(organization_id):
        holds = [hold_of(organization_id, "1") for _ in range(60)]
        Hold.objects.update(expires_at="2020-01-01T00:00:00Z")

    def batch(order: list[HoldRef]) -> set[str]:
        answers = set()
        with tenant_atomic(organization_id):
            for hold in order:
                answers.add(outcome(partial(hold_release, hold_id=hold.id, key=uuid.uuid4().hex)))
                hold_release(hold_id=hold_of(organization_id, "0.1").id, key=uuid.uuid4().hex)
        return answers

    def sweep() -> set[str]:
        with operator_context("test"):
            holds_expire()
        return {"done"}

    orders = [holds, holds[::-1], holds[30:] + holds[:30]]
    deeds: list[Callable[[], set[str]]] = [sweep, *(partial(batch, order) for order in orders)]
    assert set().union(*at_once(deeds, threads=4)) <= {"done", "HoldResolved"}
    with tenant_atomic(organization_id):
        assert selectors.wallet_summary(organization_id).frozen == USD(0)
    assert differences(organization_id) == ()
