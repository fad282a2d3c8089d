"""Calls whose process was killed: told from living ones, settled once, not charged."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts_app.tenancy.context import Tenant, bound
from billing_app.contracts import PriceRef, TokenBuckets
from billing_app.exceptions import HoldResolved
from billing_app.services.holds import hold_release
from billing_app.services.usage import usage_record
from gateway_app.contracts import Ending
from gateway_app.models import AttemptStatus, CallStatus, GatewayAttempt, GatewayCall
from gateway_app.services import liveness

# Calls that one sweep looks at.
SWEEP = 1000
# How long past its lease a call of a living process is still taken to run.
GRACE = timedelta(minutes=2)


def call_abandon(row: GatewayCall) -> bool:
    """Settle a call whose process is gone: nothing is charged, its hold goes back. False when it was settled already.

    Works in a tenant's and in an operator's context.
    """
    owner = Tenant(organization_id=row.organization_id, user_id=row.user_id)
    with bound(owner), transaction.atomic():
        if row.hold_id is not None:
            # Resolved already: it expired, or the call was settled in this moment; the row tells.
            with suppress(HoldResolved):
                hold_release(hold_id=row.hold_id, key=f"abandon:{row.id}", reason=Ending.WORKER_KILLED.value)
        return call_bury(row)


def calls_sweep() -> int:
    """Settle every call that was given up by a killed process, and return how many. Needs an operator context."""
    with transaction.atomic():
        dispatched = GatewayCall.objects.filter(status=CallStatus.DISPATCHED, lease_until__lt=timezone.now())
        late = list(dispatched.order_by("lease_until")[:SWEEP])
    return sum(call_abandon(row) for row in late if is_abandoned(row))


def call_bury(row: GatewayCall) -> bool:
    """Settle the row of a call whose process is gone and whose hold is resolved. In a transaction, as its tenant."""
    if not row_settle(row.pk, Ending.WORKER_KILLED, {"error_code": Ending.WORKER_KILLED.value}):
        return False
    running = GatewayAttempt.objects.filter(call_id=row.pk, status=AttemptStatus.RUNNING)
    running.update(status=AttemptStatus.ABANDONED, ended_at=timezone.now())
    zero = Decimal(0)
    usage_record(
        call_id=row.pk,
        model=row.model,
        provider=row.provider,
        price=PriceRef(row.price_id, row.model, zero, zero, zero, zero, zero),
        tokens=TokenBuckets(),
        cost_usd=zero,
        charged_usd=zero,
        ending=Ending.WORKER_KILLED.value,
        task_id=row.task_id,
        run_id=row.run_id,
        step_key=row.step_key,
        prompt_version_id=row.prompt_version_id,
        meta={"purpose": row.purpose},
    )
    return True


def is_abandoned(row: GatewayCall) -> bool:
    """Whether nobody is working on a dispatched call any more."""
    if liveness.is_surely_gone(row.owner):
        return True
    late = timezone.now() - row.lease_until
    # A living process may be kept by its own reader; but one whose settlement failed lives on too.
    return late > (GRACE if liveness.is_surely_alive(row.owner) else timedelta(0))


def row_settle(call_id: UUID, ending: Ending, fields: dict[str, Any]) -> bool:
    """Let one settlement through; the others find the row settled."""
    now = timezone.now()
    row = GatewayCall.objects.filter(pk=call_id, status=CallStatus.DISPATCHED)
    return bool(row.update(status=CallStatus.SETTLED, ending=ending.value, settled_at=now, **fields))
