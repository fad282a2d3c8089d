"""What the database itself refuses, whoever asks: each constraint, and any change of a written entry."""

import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts_app.tenancy.context import operator_atomic, tenant_atomic
from billing_app.exceptions import KeyConflict
from billing_app.models import Hold, Transaction, UsageDaily, UsageRecord, Wallet
from billing_app.services.holds import hold_capture
from tests.factories.billing import hold_of, organization_with, price_of, usage_of

pytestmark = pytest.mark.django_db
USD = Decimal


@pytest.fixture
def organization_id() -> UUID:
    return organization_with("10")


def entry(organization_id: UUID, **fields: Any) -> Transaction:
    """Return an entry that would be accepted as it stands, unsaved, with ``fields`` changed."""
    wallet = Wallet.objects.get(organization_id=organization_id)
    values: dict[str, Any] = {
        "organization_id": organization_id, "wallet": wallet, "seq": 1000, "kind": "topup", "amount": USD(1),
        "balance_after": USD(1), "frozen_after": USD(0), "idempotency_key": uuid.uuid4().hex, "fingerprint": "0" * 64,
        "created_at": timezone.now(),
    }  # fmt: skip
    return Transaction(**(values | fields))


def refused(constraint: str, deed: Callable[[], Any]) -> None:
    def deed_checked() -> None:
        with transaction.atomic():
            deed()
            connection.check_constraints()

    with pytest.raises(IntegrityError, match=constraint):
        deed_checked()


def test_the_sound_entry_is_accepted(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        entry(organization_id).save()
        connection.check_constraints()


@pytest.mark.parametrize(("changed", "constraint"), [
    ({"balance": USD(-1)}, "wallet_balance_not_negative|wallet_available_not_negative"),
    ({"frozen": USD(-1)}, "wallet_frozen_not_negative"),
    ({"frozen": USD("10.0000000001")}, "wallet_available_not_negative"),
])  # fmt: skip
def test_wallets_stay_at_or_above_zero(organization_id: UUID, changed: dict[str, Any], constraint: str) -> None:
    with tenant_atomic(organization_id):
        refused(constraint, lambda: Wallet.objects.filter(organization_id=organization_id).update(**changed))


def test_an_organization_has_one_wallet(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        refused("wallet_one_per_organization", lambda: Wallet.objects.create(organization_id=organization_id))


@pytest.mark.parametrize(("changed", "constraint"), [
    ({"kind": "gift"}, "transaction_kind_known"),
    ({"amount": USD(0)}, "transaction_amount_sign"),
    ({"amount": USD(-1)}, "transaction_amount_sign"),
    ({"kind": "adjust", "amount": USD(0)}, "transaction_amount_sign"),
    ({"kind": "hold"}, "transaction_hold_when_about_one"),
    ({"kind": "release"}, "transaction_hold_when_about_one"),
    ({"kind": "capture", "amount": USD(-1)}, "transaction_amount_sign|transaction_hold_when_about_one"),
    ({"seq": 1}, "transaction_seq_once"),
    ({"idempotency_key": "factory"}, "transaction_key_once"),
])  # fmt: skip
def test_entries_are_well_formed(organization_id: UUID, changed: dict[str, Any], constraint: str) -> None:
    with tenant_atomic(organization_id):
        refused(constraint, lambda: entry(organization_id, **changed).save())


def test_an_entry_without_need_names_no_hold(organization_id: UUID) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "1")
        wrong = entry(organization_id, kind="topup", hold_id=hold.id)
        refused("transaction_hold_when_about_one", wrong.save)


@pytest.mark.parametrize(("kind", "constraint"), [
    ("capture", "transaction_one_capture"), ("release", "transaction_one_release"),
])  # fmt: skip
def test_a_hold_has_one_capture_and_one_release(organization_id: UUID, kind: str, constraint: str) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "2")
        hold_capture(hold_id=hold.id, amount=USD(1), key="c")
        refused(constraint, entry(organization_id, kind=kind, hold_id=hold.id).save)


@pytest.mark.parametrize(("changed", "constraint"), [
    ({"status": "lost"}, "hold_status_known|hold_resolved_at_when_resolved"),
    ({"amount": USD(0)}, "hold_amount_positive"),
    ({"captured": USD(5), "status": "captured", "resolved_at": timezone.now()}, "hold_captured_within_amount"),
    ({"captured": USD(-1), "status": "captured", "resolved_at": timezone.now()}, "hold_captured_within_amount"),
    ({"captured": USD(1), "status": "released", "resolved_at": timezone.now()}, "hold_captured_only_when_captured"),
    ({"refunded": USD(1)}, "hold_refunded_within_captured"),
    ({"status": "released"}, "hold_resolved_at_when_resolved"),
    ({"resolved_at": timezone.now()}, "hold_resolved_at_when_resolved"),
])  # fmt: skip
def test_holds_are_well_formed(organization_id: UUID, changed: dict[str, Any], constraint: str) -> None:
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "4")
        refused(constraint, lambda: Hold.objects.filter(pk=hold.id).update(**changed))


@pytest.mark.parametrize(("changed", "constraint"), [
    ({"uncached_input_tokens": -1}, "usage_tokens_not_negative"),
    ({"reasoning_tokens": -1}, "usage_tokens_not_negative"),
    ({"cost_usd": USD(-1)}, "usage_money_not_negative"),
    ({"charged_usd": USD(-1)}, "usage_money_not_negative"),
])  # fmt: skip
def test_usage_is_not_negative(organization_id: UUID, changed: dict[str, Any], constraint: str) -> None:
    price = price_of()
    fields: dict[str, Any] = {
        "organization_id": organization_id, "price_id": price.id, "model": "m",
        "provider": "p", "ending": "completed", "cost_usd": USD(0), "charged_usd": USD(0),
    }  # fmt: skip
    with tenant_atomic(organization_id):
        refused(constraint, UsageRecord(**(fields | changed)).save)


def test_a_call_is_recorded_once_also_across_organizations(organization_id: UUID) -> None:
    price, call_id = price_of(), uuid.uuid4()
    usage_of(organization_with(), price, call_id=call_id)
    with pytest.raises(KeyConflict):
        usage_of(organization_id, price, call_id=call_id)


def test_a_day_model_and_caller_have_one_roll_up(organization_id: UUID) -> None:
    price = price_of()
    usage_of(organization_id, price)
    with tenant_atomic(organization_id):
        day = UsageDaily.objects.get()
        day.pk = None
        refused("usage_daily_once", lambda: day.save(force_insert=True))


@pytest.mark.parametrize("statement", [
    "UPDATE transactions SET amount = amount + 1",
    "UPDATE transactions SET note = 'nothing to see here'",
    "DELETE FROM transactions",
    "UPDATE openai_usage SET cost_usd = 0",
    "DELETE FROM openai_usage",
])  # fmt: skip
def test_written_rows_cannot_be_changed_by_sql(organization_id: UUID, statement: str) -> None:
    usage_of(organization_id, price_of())
    for frame in (tenant_atomic(organization_id), operator_atomic("test")):
        with frame, pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            connection.cursor().execute(statement)


def test_written_rows_cannot_be_changed_through_models(organization_id: UUID) -> None:
    usage_of(organization_id, price_of())
    with operator_atomic("test"):
        entry_row = Transaction.objects.filter(organization_id=organization_id).get()
        usage_row = UsageRecord.objects.filter(organization_id=organization_id).get()
        for deed in (entry_row.save, entry_row.delete, usage_row.save, usage_row.delete):
            with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
                deed()


def test_rows_cannot_refer_to_another_organizations_wallet_or_hold(organization_id: UUID) -> None:
    other_id = organization_with("10")
    with tenant_atomic(organization_id):
        my_hold = hold_of(organization_id, "1")
    with operator_atomic("test"):  # even a context that sees both
        my_wallet = Wallet.objects.get(organization_id=organization_id)
        refused("transactions_wallet_id_same_organization", entry(other_id, wallet=my_wallet, seq=1001).save)
        refused("transactions_hold_id_same_organization", entry(other_id, kind="hold", hold_id=my_hold.id).save)
        moved = Hold(
            organization_id=other_id, wallet=my_wallet, amount=USD(1), billing_ref_id="x", expires_at=timezone.now()
        )
        refused("holds_wallet_id_same_organization", moved.save)
