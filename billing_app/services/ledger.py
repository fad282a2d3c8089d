"""The ledger's functions (billing_app/sql), called from Python. Money moves there and nowhere else.

Whoever comes second waits at the wallet's row until the first has committed, and is then judged by the new balance.
A function answers with its outcome and has then done all or nothing; none raises for what is to be expected.
"""

import hashlib
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import tenant_or_nobody
from billing_app.exceptions import KeyConflict
from billing_app.models import Transaction, TransactionKind

# kind → how its amount moves (balance, frozen): what `ledger_post` does, for those who show entries.
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

# The outcome of a request whose key has an entry already.
KEY_TAKEN = "key_taken"


def key_checked(key: str) -> str:
    """Return ``key``; raises InvalidInput when it is empty, too long, or of the kind that this room makes itself."""
    if not key or len(key) > MAX_KEY or key.startswith(AUTO):
        raise InvalidInput.for_field("key", _("An idempotency key has 1 to 120 characters."))
    return key


def fingerprint(kind: TransactionKind, *fields: object) -> str:
    """Return a digest of a request: equal for the same request only. ``fields`` are all that it must have in common."""
    request = repr((kind.value, *map(str, fields)))
    return hashlib.sha256(request.encode()).hexdigest()


def function_call(name: str, **fields: Any) -> dict[str, Any]:
    """Run one of the functions and return its answer, of which ``outcome`` says what became of it.

    Adds the bound person and trace. Call it inside a transaction, or in none: it is one statement either way.
    """
    call = {"user": tenant_or_nobody().user_id, "trace": current_trace_id(), **fields}
    # Without a savepoint of its own: nothing is raised inside that the caller could want to survive.
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.execute(f"SELECT {name}(%s::jsonb)", [json.dumps(call, default=str)])
        answer: dict[str, Any] = json.loads(cursor.fetchone()[0])
    return answer


def stored_entry(scope: Q, key: str, asked: str) -> Transaction:
    """Return the entry under ``key`` of the wallet that ``scope`` finds among transactions.

    Raises KeyConflict when the request that made it was not ``asked`` (a fingerprint).
    """
    with transaction.atomic():
        stored = Transaction.objects.get(scope, idempotency_key=key)
    if stored.fingerprint != asked:
        raise KeyConflict
    return stored


def mine() -> UUID | None:
    """The bound organization; None in an operator context, which reaches all."""
    return tenant_or_nobody().organization_id


def usd(answer: dict[str, Any], name: str) -> Decimal:
    """Return one amount (USD) of an answer."""
    return Decimal(answer[name])
