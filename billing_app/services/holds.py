"""Holds: money set aside before a call, resolved once after it.

Locks are taken in one order everywhere: the wallet's row, which also guards its holds and budgets, then the roll-ups'.
"""

import logging
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, NotFound
from billing_app.contracts import ZERO, HoldRef
from billing_app.exceptions import BudgetExceeded, HoldResolved, InsufficientFunds, OverCapture, OverRefund
from billing_app.models import Hold, HoldStatus, TransactionKind
from billing_app.services import ledger
from billing_app.services.amounts import amount_checked
from billing_app.signals import hold_expired

logger = logging.getLogger(__name__)

SWEEP = 1000

_REFUSALS = {
    "insufficient_funds": InsufficientFunds,
    "no_wallet": NotFound,
    "not_found": NotFound,
    "resolved": HoldResolved,
}


def wallet_hold(
    *,
    organization_id: UUID,
    amount: Decimal,
    key: str,
    billing_ref_id: str,
    expires_in: timedelta,
    project_id: UUID | None = None,
    api_key_id: UUID | None = None,
) -> HoldRef:
    """Set ``amount`` USD (> 0) aside for what ``billing_ref_id`` names, for at most ``expires_in``.

    It is reserved in each budget of the organization, of the bound person, of the project and of the key as well. The
    same key with the same fields returns the same hold. Raises InsufficientFunds (402), BudgetExceeded (402),
    KeyConflict, NotFound without a wallet, InvalidInput for a bad amount or time, TypeError for a float. One query.
    """
    exact, key, hold_id = amount_checked(amount), ledger.key_checked(key), uuid4()
    asked = ledger.fingerprint(TransactionKind.HOLD, exact, billing_ref_id, expires_in.total_seconds())
    expires_at = _expiry(expires_in)
    answer = ledger.function_call(
        "ledger_hold",
        organization=organization_id,
        project=project_id,
        api_key=api_key_id,
        hold=hold_id,
        amount=exact,
        key=key,
        fingerprint=asked,
        ref=billing_ref_id,
        expires_at=expires_at.isoformat(),
    )
    if answer["outcome"] == ledger.KEY_TAKEN:
        stored = ledger.stored_entry(Q(organization_id=organization_id), key, asked)
        with transaction.atomic():
            return hold_ref(Hold.objects.get(transactions=stored))
    _expect("held", answer)
    return HoldRef(hold_id, UUID(answer["wallet"]), exact, expires_at, billing_ref_id)


def hold_extend(*, hold_id: UUID, amount: Decimal, expires_in: timedelta | None = None) -> HoldRef:
    """Raise an open hold to ``amount`` USD in total (never lower it), and let it live ``expires_in`` from now.

    Needs no key: a hold that is as large already stays as it is. Raises HoldResolved, InsufficientFunds,
    BudgetExceeded, NotFound. One query.
    """
    expires_at = None if expires_in is None else _expiry(expires_in).isoformat()
    answer = ledger.function_call(
        "ledger_extend", organization=ledger.mine(), hold=hold_id, amount=amount_checked(amount), expires_at=expires_at
    )
    _expect("extended", answer)
    until = datetime.fromisoformat(answer["expires_at"])
    return HoldRef(hold_id, UUID(answer["wallet"]), ledger.usd(answer, "amount"), until, answer["ref"])


def hold_capture(*, hold_id: UUID, amount: Decimal, key: str) -> Decimal:
    """Take ``amount`` USD (≥ 0) of an open hold for good, return the rest to the wallet, and return what was taken.

    A hold past its time can be captured until the sweep has expired it. The same key and amount again return the same
    answer. Raises OverCapture, HoldResolved, KeyConflict, NotFound. One query.
    """
    exact = amount_checked(amount, least=ZERO)
    asked = ledger.fingerprint(TransactionKind.CAPTURE, exact, hold_id)
    return _moved("ledger_capture", "captured", hold_id, key, asked, OverCapture, amount=exact)


def hold_release(*, hold_id: UUID, key: str, reason: str = "") -> Decimal:
    """Give the whole of an open hold back to the wallet, and return how much that was (USD).

    The same key and reason again return the same answer. Raises HoldResolved, KeyConflict, NotFound. One query.
    """
    asked = ledger.fingerprint(TransactionKind.RELEASE, hold_id, reason)
    return _moved("ledger_release", "released", hold_id, key, asked, note=reason, status=HoldStatus.RELEASED.value)


def capture_refund(*, hold_id: UUID, amount: Decimal, key: str, note: str = "") -> Decimal:
    """Pay ``amount`` USD of a captured hold back, and return it; all refunds together never exceed the capture.

    The same key with the same fields returns the same answer. Raises OverRefund, KeyConflict, NotFound. One query.
    """
    exact = amount_checked(amount)
    asked = ledger.fingerprint(TransactionKind.REFUND, exact, hold_id, note)
    return _moved("ledger_refund", "refunded", hold_id, key, asked, OverRefund, amount=exact, note=note)


def holds_expire() -> int:
    """Give back every open hold that ran out of time, each in a transaction of its own; return how many.

    Needs an operator context. `hold_expired` is sent in the hold's transaction: when a receiver fails, that hold stays
    open, the failure is logged, and the next sweep tries again.
    """
    with transaction.atomic():
        due = Hold.objects.filter(status=HoldStatus.OPEN, expires_at__lte=timezone.now()).order_by("expires_at")
        hold_ids = list(due.values_list("pk", flat=True)[:SWEEP])
    return sum(_expire(hold_id) for hold_id in hold_ids)


def hold_ref(hold: Hold) -> HoldRef:
    """Return ``hold`` as other rooms see it."""
    return HoldRef(
        id=hold.id,
        wallet_id=hold.wallet_id,
        amount=hold.amount,
        expires_at=hold.expires_at,
        billing_ref_id=hold.billing_ref_id,
        status=hold.status,
        captured=hold.captured,
        refunded=hold.refunded,
    )


def _moved(
    function: str,
    done: str,
    hold_id: UUID,
    key: str,
    asked: str,
    too_much: type[OverCapture | OverRefund] = OverCapture,
    **fields: Any,
) -> Decimal:
    """Move a hold's money by ``function``, or find the same request's entry; return the amount (USD)."""
    answer = ledger.function_call(
        function,
        organization=ledger.mine(),
        hold=hold_id,
        key=ledger.key_checked(key),
        fingerprint=asked,
        **fields,
    )
    if answer["outcome"] == ledger.KEY_TAKEN:
        return ledger.stored_entry(Q(wallet__holds=hold_id), key, asked).amount
    if answer["outcome"] == "over":
        raise too_much
    _expect(done, answer)
    return ledger.usd(answer, "amount")


def _expect(outcome: str, answer: dict[str, Any]) -> None:
    if answer["outcome"] == "budget_exceeded":
        raise BudgetExceeded.of(answer)
    if answer["outcome"] != outcome:
        raise _REFUSALS[answer["outcome"]]


def _expire(hold_id: UUID) -> bool:
    key = f"{ledger.AUTO}expire:{hold_id}"
    try:
        with transaction.atomic():
            answer = ledger.function_call(
                "ledger_release", hold=hold_id, key=key, fingerprint=ledger.fingerprint(TransactionKind.RELEASE, key),
                note="expired", status=HoldStatus.EXPIRED.value,
            )  # fmt: skip
            if answer["outcome"] != "released":
                return False  # its call was settled in this moment
            hold_expired.send(sender=Hold, hold_id=hold_id, billing_ref_id=answer["ref"])
    except Exception:
        logger.exception("hold.expiry_failed", extra={"hold_id": str(hold_id)})
        return False
    return True


def _expiry(expires_in: timedelta) -> datetime:
    if expires_in <= timedelta(0):
        raise InvalidInput.for_field("expires_in", _("A hold lives for some time."))
    return timezone.now() + expires_in
