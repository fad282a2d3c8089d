"""Idempotency-Key of the billing API: a POST is carried out once, and answered alike however often it is sent.

All in the transaction of the deed. An advisory lock on the key keeps two at once apart, without making the second wait;
the answer is stored in the same transaction, so there is one exactly where there was a deed.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import current_organization_id, tenant_or_nobody
from billing_app.exceptions import KeyConflict, KeyInUse
from billing_app.models import StoredAnswer

LIFETIME = timedelta(hours=24)
MAX_KEY = 80
# Rows that one clean-up deletes at a time, so that it never holds many locks.
SWEEP = 1000


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as it was sent. ``body`` in bytes."""

    status: int
    content_type: str
    body: bytes


def request_hash(*, method: str, path: str, body: Any) -> str:
    """Return a digest that is equal for the same request only; ``body`` is what was understood of it, not its spacing.

    The caller's id belongs to it: what one person was told is not repeated to another.
    """
    user_id = tenant_or_nobody().user_id
    request = json.dumps([method, path, str(user_id), body], sort_keys=True, default=str)
    return hashlib.sha256(request.encode()).hexdigest()


def answer_stored(*, key: str, request_hash: str) -> Answer | None:
    """Claim ``key`` for the caller's transaction, and return what was answered to the same request before.

    Call it before the deed. Raises KeyInUse while another request with the key is being carried out, KeyConflict when
    the key belongs to another request, InvalidInput for a key that is empty or too long. Two queries.
    """
    if not key or len(key) > MAX_KEY or not key.isprintable():
        raise InvalidInput.for_field("Idempotency-Key", _("A key has 1 to 80 printable characters."))
    if not _claimed(key):
        raise KeyInUse
    known = StoredAnswer.objects.filter(organization_id=current_organization_id(), key=key).first()
    if known is None:
        return None
    if known.expires_at <= timezone.now():
        known.delete()
        return None
    if known.request_hash != request_hash:
        raise KeyConflict
    return Answer(known.status, known.content_type, bytes(known.body))


def answer_store(*, key: str, request_hash: str, answer: Answer) -> None:
    """Keep ``answer`` for LIFETIME, in the transaction of the deed that it tells of."""
    StoredAnswer.objects.create(
        organization_id=current_organization_id(),
        user_id=tenant_or_nobody().user_id,
        key=key,
        request_hash=request_hash,
        status=answer.status,
        content_type=answer.content_type,
        body=answer.body,
        trace_id=current_trace_id(),
        expires_at=timezone.now() + LIFETIME,
    )


def answers_forget() -> int:
    """Delete what has expired, SWEEP rows a transaction; return how many. Needs an operator context."""
    forgotten = 0
    while True:
        with transaction.atomic():
            expired = StoredAnswer.objects.filter(expires_at__lte=timezone.now()).order_by("expires_at")
            count, _by_model = StoredAnswer.objects.filter(pk__in=expired.values("pk")[:SWEEP]).delete()
        forgotten += count
        if count < SWEEP:
            return forgotten


def _claimed(key: str) -> bool:
    digest = hashlib.sha256(f"{current_organization_id()}:{key}".encode()).digest()
    # Let go of by the end of the transaction, also behind a pooler in transaction mode.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(digest[:8], signed=True)])
        return bool(cursor.fetchall()[0][0])
