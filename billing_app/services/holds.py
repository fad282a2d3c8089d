"""Holds: money set aside before a call, resolved once after it.

Locks are taken in one order everywhere: the hold's row, then the wallet's, then the daily roll-up's.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.exceptions import DeepSpaceError, InvalidInput, NotFound
from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import tenant_or_nobody
from billing_app.contracts import ZERO, HoldRef
from billing_app.exceptions import HoldResolved, OverCapture, OverRefund
from billing_app.models import Hold, HoldStatus, Transaction, TransactionKind
from billing_app.services import ledger
from billing_app.services.amounts import amount_checked
from billing_app.signals import hold_expired

logger = logging.getLogger(__name__)

SWEEP = 1000


def wallet_hold(
    *, organization_id: UUID, amount: Decimal, key: str, billing_ref_id: str, expires_in: timedelta
) -> HoldRef:
    """Set ``amount`` USD (> 0) aside for what ``billing_ref_id`` names, for at most ``expires_in``.

    The same key with the same fields returns the same hold. Raises InsufficientFunds (402), KeyConflict, NotFound
    without a wallet, InvalidInput for a bad amount or time, TypeError for a float. Queries: 2 in a transaction.
    """
    exact, key = amount_checked(amount), ledger.key_checked(key)
    hold = Hold(
        id=uuid4(),
        organization_id=organization_id,
        user_id=tenant_or_nobody().user_id,
        amount=exact,
        billing_ref_id=billing_ref_id,
        trace_id=current_trace_id(),
        expires_at=_expiry(expires_in),
    )
    fields = (exact, billing_ref_id, expires_in.total_seconds())
    entry = ledger.Entry(TransactionKind.HOLD, exact, key, fields, hold.id, billing_ref_id)

    def act() -> HoldRef:
        hold.wallet_id = ledger.entry_post(organization_id, entry).wallet_id
        hold.save(force_insert=True)
        return hold_ref(hold)

    return ledger.post_once(act, scope=Q(organization_id=organization_id), entry=entry, replay=_stored_hold)


def hold_extend(*, hold_id: UUID, amount: Decimal, expires_in: timedelta | None = None) -> HoldRef:
    """Raise an open hold to ``amount`` USD in total (never lower it), and let it live ``expires_in`` from now.

    Needs no key: a hold that is as large already stays as it is. Raises HoldResolved, InsufficientFunds, NotFound.
    """
    exact = amount_checked(amount)
    with transaction.atomic():
        hold = _mine().select_for_update().filter(pk=hold_id).first()
        if hold is None:
            raise NotFound
        if hold.status != HoldStatus.OPEN:
            raise HoldResolved
        if exact > hold.amount:
            key = f"{ledger.AUTO}extend:{hold.id}:{exact}"
            entry = ledger.Entry(TransactionKind.HOLD, exact - hold.amount, key, (), hold.id, hold.billing_ref_id)
            ledger.entry_post(hold.organization_id, entry)
            hold.amount = exact
        if expires_in is not None:
            hold.expires_at = max(hold.expires_at, _expiry(expires_in))
        hold.save(update_fields=["amount", "expires_at"])
    return hold_ref(hold)


def hold_capture(*, hold_id: UUID, amount: Decimal, key: str) -> Decimal:
    """Take ``amount`` USD (≥ 0) of an open hold for good, return the rest to the wallet, and return what was taken.

    A hold past its time can be captured until the sweep has expired it. The same key and amount again return the same
    answer. Raises OverCapture, HoldResolved, KeyConflict, NotFound. Queries: 3 in a transaction, 2 without a rest.
    """
    exact, key = amount_checked(amount, least=ZERO), ledger.key_checked(key)
    entry = ledger.Entry(TransactionKind.CAPTURE, exact, key, (exact, hold_id), hold_id)

    def act() -> Decimal:
        held = _resolve(hold_id, HoldStatus.CAPTURED, key, captured=exact)
        ledger.entry_post(held.organization_id, replace(entry, billing_ref_id=held.billing_ref_id))
        if held.amount > exact:
            rest = ledger.Entry(
                TransactionKind.RELEASE, held.amount - exact, f"{ledger.AUTO}rest:{hold_id}", (), hold_id,
                held.billing_ref_id,
            )  # fmt: skip
            ledger.entry_post(held.organization_id, rest)
        return exact

    return ledger.post_once(act, scope=_wallet_of(hold_id), entry=entry, replay=_stored_amount)


def hold_release(*, hold_id: UUID, key: str, reason: str = "") -> Decimal:
    """Give the whole of an open hold back to the wallet, and return how much that was (USD).

    The same key and reason again return the same answer. Raises HoldResolved, KeyConflict, NotFound.
    """
    return _give_back(hold_id, HoldStatus.RELEASED, ledger.key_checked(key), reason)


def capture_refund(*, hold_id: UUID, amount: Decimal, key: str, note: str = "") -> Decimal:
    """Pay ``amount`` USD of a captured hold back, and return it; all refunds together never exceed the capture.

    The same key with the same fields returns the same answer. Raises OverRefund, KeyConflict, NotFound.
    """
    exact, key = amount_checked(amount), ledger.key_checked(key)
    entry = ledger.Entry(TransactionKind.REFUND, exact, key, (exact, hold_id, note), hold_id, note=note)

    def act() -> Decimal:
        captured = _mine().filter(pk=hold_id, captured__gte=F("refunded") + exact)
        if not captured.update(refunded=F("refunded") + exact):
            raise _refusal(hold_id, key, OverRefund())
        hold = Hold.objects.get(pk=hold_id)
        ledger.entry_post(hold.organization_id, replace(entry, billing_ref_id=hold.billing_ref_id))
        return exact

    return ledger.post_once(act, scope=_wallet_of(hold_id), entry=entry, replay=_stored_amount)


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


@dataclass(frozen=True)
class _Held:
    organization_id: UUID
    billing_ref_id: str
    amount: Decimal


_RESOLVE = """
UPDATE holds SET status = %(status)s, captured = %(captured)s, resolved_at = %(now)s
WHERE id = %(hold_id)s AND status = 'open' AND amount >= %(captured)s
  AND (%(mine)s::uuid IS NULL OR organization_id = %(mine)s::uuid)
RETURNING organization_id, billing_ref_id, amount
"""


def _resolve(hold_id: UUID, status: HoldStatus, key: str, *, captured: Decimal = ZERO) -> _Held:
    """End the hold: the guard lets one caller through, the others find it resolved."""
    parameters: dict[str, Any] = {
        "hold_id": hold_id,
        "status": status.value,
        "captured": captured,
        "now": timezone.now(),
        "mine": tenant_or_nobody().organization_id,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RESOLVE, parameters)
        row = cursor.fetchone()
    if row is None:
        raise _refusal(hold_id, key, OverCapture())
    return _Held(*row)


def _refusal(hold_id: UUID, key: str, too_much: DeepSpaceError) -> Exception:
    """Why the guard let nobody through: a repeated request, no such hold, a resolved one, or too large an amount."""
    if ledger.key_is_taken(_wallet_of(hold_id), key):
        return ledger.KeyTaken()
    hold = _mine().filter(pk=hold_id).first()
    if hold is None:
        return NotFound()
    resolved = hold.status != HoldStatus.OPEN and isinstance(too_much, OverCapture)
    return HoldResolved() if resolved else too_much


def _give_back(hold_id: UUID, status: HoldStatus, key: str, note: str) -> Decimal:
    def act() -> Decimal:
        held = _resolve(hold_id, status, key)
        posted = replace(entry, amount=held.amount, billing_ref_id=held.billing_ref_id)
        ledger.entry_post(held.organization_id, posted)
        return held.amount

    # How much it is shows only under the lock: the hold may just be growing.
    entry = ledger.Entry(TransactionKind.RELEASE, ZERO, key, (hold_id, note), hold_id, note=note)
    return ledger.post_once(act, scope=_wallet_of(hold_id), entry=entry, replay=_stored_amount)


def _expire(hold_id: UUID) -> bool:
    try:
        with transaction.atomic():
            _give_back(hold_id, HoldStatus.EXPIRED, f"{ledger.AUTO}expire:{hold_id}", "expired")
            billing_ref_id = Hold.objects.values_list("billing_ref_id", flat=True).get(pk=hold_id)
            hold_expired.send(sender=Hold, hold_id=hold_id, billing_ref_id=billing_ref_id)
    except HoldResolved:
        return False  # its call was settled in this moment
    except Exception:
        logger.exception("hold.expiry_failed", extra={"hold_id": str(hold_id)})
        return False
    return True


def _mine() -> QuerySet[Hold]:
    """The bound organization's holds; all of them in an operator context."""
    organization_id = tenant_or_nobody().organization_id
    return Hold.objects.all() if organization_id is None else Hold.objects.filter(organization_id=organization_id)


def _wallet_of(hold_id: UUID) -> Q:
    return Q(wallet__holds=hold_id)


def _stored_hold(stored: Transaction) -> HoldRef:
    return hold_ref(Hold.objects.get(transactions=stored))


def _stored_amount(stored: Transaction) -> Decimal:
    return stored.amount


def _expiry(expires_in: timedelta) -> datetime:
    if expires_in <= timedelta(0):
        raise InvalidInput.for_field("expires_in", _("A hold lives for some time."))
    return timezone.now() + expires_in
