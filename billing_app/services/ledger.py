"""The one place where a wallet changes: a guarded UPDATE and its entry, in one statement.

Whoever comes second waits at the wallet's row until the first has committed, and is then judged by the new balance.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import tenant_or_nobody
from billing_app.exceptions import InsufficientFunds, KeyConflict
from billing_app.models import Transaction, TransactionKind, Wallet

T = TypeVar("T")

# kind → how its amount moves (balance, frozen)
EFFECTS: dict[TransactionKind, tuple[int, int]] = {
    TransactionKind.TOPUP: (1, 0),
    TransactionKind.HOLD: (0, 1),
    TransactionKind.CAPTURE: (-1, -1),
    TransactionKind.RELEASE: (0, -1),
    TransactionKind.REFUND: (1, 0),
    TransactionKind.ADJUST: (1, 0),
}
# Keys of entries that this room makes by itself begin so; callers may not use the prefix.
AUTO = "auto:"
MAX_KEY = 120

_POST = """
WITH moved AS (
    UPDATE wallets
    SET balance = balance + %(balance)s, frozen = frozen + %(frozen)s, seq = seq + 1
    WHERE organization_id = %(organization_id)s
      AND balance - frozen >= %(needed)s
      AND NOT EXISTS (
          SELECT FROM transactions t WHERE t.wallet_id = wallets.id AND t.idempotency_key = %(key)s
      )
    RETURNING id, organization_id, balance, frozen, seq
)
INSERT INTO transactions (
    id, organization_id, user_id, wallet_id, seq, kind, amount, balance_after, frozen_after, hold_id,
    idempotency_key, fingerprint, billing_ref_id, trace_id, note, created_at
)
SELECT %(id)s, organization_id, %(user_id)s, id, seq, %(kind)s, %(amount)s, balance, frozen, %(hold_id)s,
       %(key)s, %(fingerprint)s, %(billing_ref_id)s, %(trace_id)s, %(note)s, %(now)s
FROM moved
RETURNING wallet_id, balance_after, frozen_after
"""


class KeyTaken(Exception):
    """The idempotency key has an entry already; `post_once` turns this into its answer or a conflict."""


@dataclass(frozen=True)
class Entry:
    """What is to be written. ``amount`` in USD; ``fields`` are all that a repeated request must have in common."""

    kind: TransactionKind
    amount: Decimal
    key: str
    fields: tuple[object, ...] = ()
    hold_id: UUID | None = None
    billing_ref_id: str = ""
    note: str = ""

    @property
    def fingerprint(self) -> str:
        """A digest of the request: equal for the same request only."""
        request = repr((self.kind.value, *map(str, self.fields)))
        return hashlib.sha256(request.encode()).hexdigest()


@dataclass(frozen=True)
class Posted:
    """The wallet after an entry, in USD."""

    wallet_id: UUID
    balance: Decimal
    frozen: Decimal


def key_checked(key: str) -> str:
    """Return ``key``; raises InvalidInput when it is empty, too long, or of the kind that this room makes itself."""
    if not key or len(key) > MAX_KEY or key.startswith(AUTO):
        raise InvalidInput.for_field("key", _("An idempotency key has 1 to 120 characters."))
    return key


def entry_post(organization_id: UUID, entry: Entry) -> Posted:
    """Move the organization's wallet and write the entry, in one statement within the caller's transaction.

    Raises InsufficientFunds when the available sum does not cover it, NotFound when there is no such wallet for the
    caller, KeyTaken when the key was used. Call it through `post_once`, which also settles races for the key.
    """
    by_balance, by_frozen = (sign * entry.amount for sign in EFFECTS[entry.kind])
    parameters: dict[str, Any] = {
        "id": uuid4(),
        "organization_id": organization_id,
        "user_id": tenant_or_nobody().user_id,
        "kind": entry.kind.value,
        "amount": entry.amount,
        "balance": by_balance,
        "frozen": by_frozen,
        "needed": max(by_frozen - by_balance, Decimal(0)),
        "hold_id": entry.hold_id,
        "key": entry.key,
        "fingerprint": entry.fingerprint,
        "billing_ref_id": entry.billing_ref_id,
        "trace_id": current_trace_id(),
        "note": entry.note,
        "now": timezone.now(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_POST, parameters)
        row = cursor.fetchone()
    if row is None:
        raise _refusal(organization_id, entry.key)
    return Posted(*row)


def post_once(act: Callable[[], T], *, scope: Q, entry: Entry, replay: Callable[[Transaction], T]) -> T:
    """Run ``act``, which posts ``entry``; where its key has an entry already, ``replay`` the stored answer.

    ``scope`` finds the wallet among transactions. Two at once: the second waits for the first, then replays. Raises
    KeyConflict when the stored request was another.
    """
    try:
        with transaction.atomic():
            return act()
    except KeyTaken:
        pass
    except IntegrityError as error:
        if not _violates(error, "transaction_key_once"):
            raise
    with transaction.atomic():
        stored = Transaction.objects.get(scope, idempotency_key=entry.key)
        if stored.fingerprint != entry.fingerprint:
            raise KeyConflict
        return replay(stored)


def key_is_taken(scope: Q, key: str) -> bool:
    """Whether the wallet that ``scope`` finds among transactions has an entry under ``key``."""
    return Transaction.objects.filter(scope, idempotency_key=key).exists()


def _refusal(organization_id: UUID, key: str) -> Exception:
    if key_is_taken(Q(organization_id=organization_id), key):
        return KeyTaken()
    known = Wallet.objects.filter(organization_id=organization_id).exists()
    return InsufficientFunds() if known else NotFound()


def _violates(error: IntegrityError, constraint: str) -> bool:
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and cause.diag.constraint_name == constraint
