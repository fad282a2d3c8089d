"""Holds resolve once, return what was not captured, and answer a repeated request with the same answer."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.dispatch import receiver
from django.utils import timezone

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.tenancy.context import operator_context, tenant_atomic
from billing_app import selectors, tasks
from billing_app.contracts import HoldRef
from billing_app.exceptions import HoldResolved, InsufficientFunds, KeyConflict, OverCapture, OverRefund
from billing_app.models import Hold, Transaction
from billing_app.services.holds import (
    capture_refund,
    hold_capture,
    hold_extend,
    hold_release,
    holds_expire,
    wallet_hold,
)
from billing_app.signals import hold_expired
from tests.factories.billing import hold_of, organization_with

pytestmark = pytest.mark.django_db
USD = Decimal


@pytest.fixture
def organization_id() -> UUID:
    return organization_with("10")


def entries(organization_id: UUID) -> list[tuple[str, Decimal]]:
    return [(row.kind, row.amount) for row in selectors.transactions(organization_id).order_by("seq")][1:]


def figures(organization_id: UUID) -> tuple[Decimal, Decimal]:
    wallet = selectors.wallet_summary(organization_id)
    return wallet.balance, wallet.frozen


def put_off(hold: HoldRef) -> None:
    """Let the hold's time be over."""
    Hold.objects.filter(pk=hold.id).update(expires_at=timezone.now() - timedelta(seconds=1))


def test_hold_freezes_and_capture_returns_the_rest(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
        assert figures(organization_id) == (USD(10), USD(4))
        assert hold_capture(hold_id=hold.id, amount=USD("1.25"), key="c") == USD("1.25")
        assert figures(organization_id) == (USD("8.75"), USD(0))
        assert entries(organization_id) == [("hold", USD(4)), ("capture", USD("1.25")), ("release", USD("2.75"))]


def test_capture_of_the_whole_hold_returns_nothing(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
        hold_capture(hold_id=hold.id, amount=USD(4), key="c")
        assert entries(organization_id) == [("hold", USD(4)), ("capture", USD(4))]
        assert figures(organization_id) == (USD(6), USD(0))


def test_capture_of_nothing_ends_the_hold_and_returns_all(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
        assert hold_capture(hold_id=hold.id, amount=USD(0), key="c") == 0
        assert figures(organization_id) == (USD(10), USD(0))
        with pytest.raises(HoldResolved):
            hold_release(hold_id=hold.id, key="r")


def test_hold_refuses_more_than_available(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold_of(organization_id, "9")
        with pytest.raises(InsufficientFunds) as caught:
            hold_of(organization_id, "1.0000000001")
        assert (caught.value.code, caught.value.status) == ("insufficient_funds", 402)
        assert figures(organization_id) == (USD(10), USD(9))
        assert Hold.objects.count() == 1


def test_over_capture_is_refused_and_changes_nothing(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
        with pytest.raises(OverCapture):
            hold_capture(hold_id=hold.id, amount=USD("4.0000000001"), key="c")
        assert figures(organization_id) == (USD(10), USD(4))
        assert hold_capture(hold_id=hold.id, amount=USD(4), key="c") == USD(4)


def test_release_returns_everything(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
        assert hold_release(hold_id=hold.id, key="r", reason="upstream refused") == USD(4)
        assert figures(organization_id) == (USD(10), USD(0))
        assert Transaction.objects.get(kind="release").note == "upstream refused"


@pytest.mark.parametrize("first", ["capture", "release"])
@pytest.mark.parametrize("second", ["capture", "release", "extend"])
def test_a_resolved_hold_stays_resolved(organization_id: UUID, first: str, second: str) -> None:
    deeds: dict[str, Callable[[UUID], Any]] = {
        "capture": lambda hold_id: hold_capture(hold_id=hold_id, amount=USD(1), key=uuid.uuid4().hex),
        "release": lambda hold_id: hold_release(hold_id=hold_id, key=uuid.uuid4().hex),
        "extend": lambda hold_id: hold_extend(hold_id=hold_id, amount=USD(5)),
    }
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
        deeds[first](hold.id)
        before = figures(organization_id)
        with pytest.raises(HoldResolved):
            deeds[second](hold.id)
        assert figures(organization_id) == before


def test_repeated_requests_get_the_same_answer_and_move_nothing(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        asked: dict[str, Any] = {"amount": USD(4), "key": "h", "billing_ref_id": "call", "expires_in": timedelta(60)}
        hold = wallet_hold(organization_id=organization_id, **asked)
        assert wallet_hold(organization_id=organization_id, **asked).id == hold.id
        for _ in range(2):
            assert hold_capture(hold_id=hold.id, amount=USD(1), key="c") == USD(1)
            assert capture_refund(hold_id=hold.id, amount=USD("0.5"), key="f", note="sorry") == USD("0.5")
        other = hold_of(organization_id, "2")
        for _ in range(2):
            assert hold_release(hold_id=other.id, key="r") == USD(2)
        assert figures(organization_id) == (USD("9.5"), USD(0))
        assert len(entries(organization_id)) == 6


def test_the_same_key_for_something_else_is_a_conflict(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold, other = hold_of(organization_id, "2"), hold_of(organization_id, "2")
        hold_capture(hold_id=hold.id, amount=USD(1), key="c")
        capture_refund(hold_id=hold.id, amount=USD("0.5"), key="f", note="sorry")
        before = figures(organization_id), entries(organization_id)
        deeds: list[Callable[[], Any]] = [
            lambda: hold_capture(hold_id=hold.id, amount=USD(2), key="c"),
            lambda: hold_capture(hold_id=other.id, amount=USD(1), key="c"),
            lambda: hold_release(hold_id=other.id, key="c"),
            lambda: capture_refund(hold_id=hold.id, amount=USD("0.5"), key="f", note="other words"),
            lambda: wallet_hold(
                organization_id=organization_id, amount=USD(1), key="c", billing_ref_id="x", expires_in=timedelta(1)
            ),
        ]
        for deed in deeds:
            with pytest.raises(KeyConflict):
                deed()
        assert (figures(organization_id), entries(organization_id)) == before
        assert hold_release(hold_id=other.id, key="r") == USD(2)


def test_nothing_is_stored_for_a_refused_request(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        with pytest.raises(InsufficientFunds):
            wallet_hold(
                organization_id=organization_id, amount=USD(11), key="k", billing_ref_id="x", expires_in=timedelta(1)
            )
        assert wallet_hold(
            organization_id=organization_id, amount=USD(1), key="k", billing_ref_id="x", expires_in=timedelta(1)
        ).amount == USD(1)


def test_refunds_never_exceed_the_capture(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
        with pytest.raises(OverRefund):
            capture_refund(hold_id=hold.id, amount=USD(1), key="early")
        hold_capture(hold_id=hold.id, amount=USD(3), key="c")
        capture_refund(hold_id=hold.id, amount=USD(2), key="f1")
        with pytest.raises(OverRefund):
            capture_refund(hold_id=hold.id, amount=USD("1.0000000001"), key="f2")
        capture_refund(hold_id=hold.id, amount=USD(1), key="f2")
        assert figures(organization_id) == (USD(10), USD(0))


def test_extend_raises_a_hold_to_a_total_and_never_lowers_it(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "2")
        assert hold_extend(hold_id=hold.id, amount=USD(5)).amount == USD(5)
        assert hold_extend(hold_id=hold.id, amount=USD(5)).amount == USD(5)
        assert hold_extend(hold_id=hold.id, amount=USD(1)).amount == USD(5)
        assert entries(organization_id) == [("hold", USD(2)), ("hold", USD(3))]
        with pytest.raises(InsufficientFunds):
            hold_extend(hold_id=hold.id, amount=USD("10.1"))
        assert figures(organization_id) == (USD(10), USD(5))
        assert hold_release(hold_id=hold.id, key="r") == USD(5)


def test_extend_gives_a_hold_more_time_and_never_less(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "2", seconds=600)
        assert (
            hold_extend(hold_id=hold.id, amount=USD(2), expires_in=timedelta(seconds=1)).expires_at == hold.expires_at
        )
        longer = hold_extend(hold_id=hold.id, amount=USD(2), expires_in=timedelta(hours=1))
        assert longer.expires_at > hold.expires_at


def test_expired_holds_go_back_and_the_owner_of_the_call_is_told(organization_id: UUID) -> None:
    told: list[tuple[UUID, str]] = []

    @receiver(hold_expired)
    def on_expiry(*, hold_id: UUID, billing_ref_id: str, **_signal: Any) -> None:
        told.append((hold_id, billing_ref_id))

    with tenant_atomic(organization_id):
        due, later = hold_of(organization_id, "4", ref="due"), hold_of(organization_id, "3", ref="later")
        put_off(due)
    with operator_context("test"):
        assert holds_expire() == 1
        assert holds_expire() == 0
    with tenant_atomic(organization_id):
        assert figures(organization_id) == (USD(10), USD(3))
        assert Hold.objects.get(pk=due.id).status == "expired"
        assert Hold.objects.get(pk=later.id).status == "open"
        with pytest.raises(HoldResolved):
            hold_capture(hold_id=due.id, amount=USD(1), key="late")
    assert told == [(due.id, "due")]


def test_a_hold_past_its_time_can_be_captured_before_the_sweep(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
        put_off(hold)
        assert hold_capture(hold_id=hold.id, amount=USD(1), key="c") == USD(1)
    with operator_context("test"):
        assert holds_expire() == 0


def test_a_failing_receiver_keeps_its_hold_open_and_the_sweep_goes_on(
    organization_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    @receiver(hold_expired)
    def on_expiry(*, billing_ref_id: str, **_signal: Any) -> None:
        if billing_ref_id == "broken":
            raise ZeroDivisionError

    with tenant_atomic(organization_id):
        broken, sound = hold_of(organization_id, "4", ref="broken"), hold_of(organization_id, "3", ref="sound")
        put_off(broken)
        put_off(sound)
    with operator_context("test"):
        assert holds_expire() == 1
    with tenant_atomic(organization_id):
        assert Hold.objects.get(pk=broken.id).status == "open"
        assert figures(organization_id) == (USD(10), USD(4))
    assert "hold.expiry_failed" in caplog.text


def test_the_beat_task_sweeps_in_an_operator_context(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        put_off(hold_of(organization_id, "4"))
    assert tasks.expire_holds() == 1


@pytest.mark.parametrize("bad", [{"key": ""}, {"key": "k" * 121}, {"key": "auto:x"}, {"expires_in": timedelta(0)}])
def test_bad_keys_and_times_are_refused(organization_id: UUID, bad: dict[str, Any]) -> None:
    asked: dict[str, Any] = {"amount": USD(1), "key": "k", "billing_ref_id": "x", "expires_in": timedelta(1)} | bad
    with tenant_atomic(organization_id), pytest.raises(InvalidInput):
        wallet_hold(organization_id=organization_id, **asked)


def test_floats_are_refused_everywhere(organization_id: UUID) -> None:
    amount: Any = 1.0
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
        for deed in (
            lambda: hold_capture(hold_id=hold.id, amount=amount, key="c"),
            lambda: hold_extend(hold_id=hold.id, amount=amount),
            lambda: capture_refund(hold_id=hold.id, amount=amount, key="f"),
        ):
            with pytest.raises(TypeError):
                deed()


def test_others_holds_are_not_found(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
    with tenant_atomic(organization_with("10")):
        deeds: list[Callable[[], Any]] = [
            lambda: hold_capture(hold_id=hold.id, amount=USD(1), key="c"),
            lambda: hold_release(hold_id=hold.id, key="r"),
            lambda: hold_extend(hold_id=hold.id, amount=USD(5)),
            lambda: capture_refund(hold_id=hold.id, amount=USD(1), key="f"),
            lambda: hold_of(organization_id, "1"),
        ]
        for deed in deeds:
            with pytest.raises(NotFound):
                deed()
    with tenant_atomic(organization_id):
        assert figures(organization_id) == (USD(10), USD(4))


def test_each_deed_is_one_statement(organization_id: UUID, django_assert_num_queries: Any) -> None:
    with tenant_atomic(organization_id):
        with django_assert_num_queries(1):
            hold = hold_of(organization_id, "4")
        with django_assert_num_queries(1):
            hold_extend(hold_id=hold.id, amount=USD(5))
        with django_assert_num_queries(1):
            hold_capture(hold_id=hold.id, amount=USD(1), key="c1")
        with django_assert_num_queries(1):
            capture_refund(hold_id=hold.id, amount=USD(1), key="f1")
        other = hold_of(organization_id, "1")
        with django_assert_num_queries(1):
            hold_release(hold_id=other.id, key="r")
