"""Idempotency-Key: the same request again gets the same answer, another one under the same key is refused."""

import hashlib
import json
from typing import Any

from accounts_app.tenancy.context import current_organization_id, current_tenant
from tasks_app.exceptions import KeyReused
from tasks_app.models import TaskRequest


def request_claim(*, scope: str, key: str, body: dict[str, Any]) -> TaskRequest | None:
    """Take ``key`` for this request; None without a key. A claim with an ``answer`` is an earlier request's.

    A second request with the same key waits here until the first one's transaction has ended. Raises KeyReused.
    """
    if not key:
        return None
    organization_id = current_organization_id()
    fingerprint = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    mine = TaskRequest(
        organization_id=organization_id, user_id=current_tenant().user_id, key=f"{scope}:{key}", fingerprint=fingerprint
    )
    TaskRequest.objects.bulk_create([mine], ignore_conflicts=True)
    claim = TaskRequest.objects.get(organization_id=organization_id, key=mine.key)
    if claim.fingerprint != fingerprint:
        raise KeyReused
    return claim


def request_answer(claim: TaskRequest | None, answer: dict[str, Any]) -> None:
    """Keep the answer of a claimed request."""
    if claim is not None:
        TaskRequest.objects.filter(pk=claim.pk).update(answer=answer)
