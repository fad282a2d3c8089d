"""Calls whose process was killed: told from living ones, kept as unknown, resolved once.

What the provider did for such a call is not known here. So its money stays held until the provider's report says what
it was worth, or until GATEWAY_UNKNOWN_SECONDS are over; it is never given back in silence (docs/charging.md).
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import Tenant, bound, operator_atomic
from billing_app.contracts import PriceRef, TokenBuckets
from billing_app.exceptions import HoldResolved
from billing_app.services.holds import hold_extend
from billing_app.services.prices import price_get
from billing_app.services.provider_reports import report_for_call
from billing_app.services.usage import usage_record
from gateway_app.contracts import Ending
from gateway_app.models import AttemptStatus, CallStatus, GatewayAttempt, GatewayCall
from gateway_app.services import liveness
from gateway_app.services.books import Item, Row, books_write
from gateway_app.services.charging import charge_for
from gateway_app.services.rows import HOLD_MARGIN, charge_row

# Calls that one sweep looks at.
SWEEP = 1000
# How long past its lease a call of a living process is still taken to run.
GRACE = timedelta(minutes=2)
_LEAST = Decimal("0.0000000001")


def operation_free(call_id: str) -> bool:
    """Give up the call that has an operation's key, if its process is gone; return whether the key is free."""
    with transaction.atomic(durable=True):
        row = GatewayCall.objects.filter(pk=call_id).first()
    return row is not None and is_abandoned(row) and call_abandon(row)


def call_abandon(row: GatewayCall) -> bool:
    """Note that the process of a dispatched call is gone; False when it was settled or given up already.

    Works in a tenant's and in an operator's context.
    """
    with _as_owner(row), transaction.atomic():
        now = timezone.now()
        mine = GatewayCall.objects.filter(pk=row.pk, status=CallStatus.DISPATCHED)
        if not mine.update(status=CallStatus.UNKNOWN, unknown_at=now):
            return False
        _abandoned_attempt(row)
        _keep_hold(row)
    row.unknown_at = now
    if not settings.GATEWAY_UNKNOWN_SECONDS:
        call_resolve(row)
    return True


def call_resolve(row: GatewayCall) -> bool:
    """Settle an unknown call by the provider's report, or, once its time is over, without; False: not yet, or done.

    Works in a tenant's and in an operator's context.
    """
    report = _report(row)
    with _as_owner(row), transaction.atomic():
        if report is None and timezone.now() < _deadline(row):
            return False
        answer = books_write(_settlement(row, report))
        if answer["outcome"] != "settled":
            return False
        audit_record(
            action="call.resolve",
            target_type="gateway_call",
            target_id=row.pk,
            data={"reported": report is not None, "charged_usd": answer["charged"]},
        )
    return True


def calls_sweep() -> int:
    """Give up every call of a killed process, resolve what can be; return how many were. Needs an operator context."""
    with transaction.atomic():
        dispatched = GatewayCall.objects.filter(status=CallStatus.DISPATCHED, lease_until__lt=timezone.now())
        late = list(dispatched.order_by("lease_until")[:SWEEP])
    given_up = sum(call_abandon(row) for row in late if is_abandoned(row))
    return given_up + calls_resolve()


def calls_resolve() -> int:
    """Resolve the unknown calls that can be; return how many were. Needs an operator context."""
    with transaction.atomic():
        unknown = list(GatewayCall.objects.filter(status=CallStatus.UNKNOWN).order_by("unknown_at")[:SWEEP])
    return sum(call_resolve(row) for row in unknown)


def call_bury(row: GatewayCall) -> bool:
    """Settle the row of a call whose hold has run out. In the expiry's transaction, as its tenant."""
    fields = {"error_code": Ending.WORKER_KILLED.value, "ending": Ending.WORKER_KILLED.value}
    open_row = GatewayCall.objects.filter(pk=row.pk).exclude(status=CallStatus.SETTLED)
    if not open_row.update(status=CallStatus.SETTLED, settled_at=timezone.now(), **fields):
        return False
    if row.status == CallStatus.DISPATCHED:
        _abandoned_attempt(row)
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
    if row.status != CallStatus.DISPATCHED:
        return False
    if liveness.is_surely_gone(row.owner):
        return True
    late = timezone.now() - row.lease_until
    # A living process may be kept by its own reader; but one whose settlement failed lives on too.
    return late > (GRACE if liveness.is_surely_alive(row.owner) else timedelta(0))


def _as_owner(row: GatewayCall) -> Any:
    return bound(Tenant(organization_id=row.organization_id, user_id=row.user_id))


def _report(row: GatewayCall) -> TokenBuckets | None:
    # Reports are the operators': they are about all tenants.
    with operator_atomic("call_resolve"):
        request_ids = row.attempts.exclude(upstream_request_id="").values_list("upstream_request_id", flat=True)
        return report_for_call(row.pk, list(request_ids))


def _deadline(row: GatewayCall) -> datetime:
    assert row.unknown_at
    return row.unknown_at + timedelta(seconds=settings.GATEWAY_UNKNOWN_SECONDS)


def _abandoned_attempt(row: GatewayCall) -> None:
    """Store the try that was under way. Tries are stored when they have ended, and nobody was left to end this one."""
    GatewayAttempt.objects.create(
        organization_id=row.organization_id,
        call=row,
        number=row.attempts.count() + 1,
        provider=row.provider,
        status=AttemptStatus.ABANDONED,
        started_at=row.created_at,
        ended_at=timezone.now(),
    )


def _keep_hold(row: GatewayCall) -> None:
    """Let the hold outlive the time in which the call can be resolved."""
    if row.hold_id is None:
        return
    wait = timedelta(seconds=settings.GATEWAY_UNKNOWN_SECONDS + HOLD_MARGIN)
    try:
        hold_extend(hold_id=row.hold_id, amount=_LEAST, expires_in=wait)
    except HoldResolved:
        return  # it ran out in this moment, and settled the call


def _settlement(row: GatewayCall, report: TokenBuckets | None) -> Item:
    charge = charge_for(
        Ending.WORKER_KILLED, reported=report, delivered=TokenBuckets(), price=price_get(price_id=row.price_id)
    )
    told = charge_row(charge, Ending.WORKER_KILLED) | {
        "id": row.pk,
        "hold": row.hold_id,
        # More than is held is asked for; the function looks the hold up.
        "held": 0,
        "key": f"resolve:{row.pk}",
        "trace": row.trace_id,
        "error_code": Ending.WORKER_KILLED.value,
        "images": 0,
        "finish_reason": "",
        "attempt": None,
        "answer": None,
    }
    return Item("settle", row.organization_id, _usage(row) | told)


def _usage(row: GatewayCall) -> Row:
    return {
        "user": row.user_id,
        "project": row.project_id,
        "api_key": row.api_key_id,
        "task": row.task_id,
        "run": row.run_id,
        "prompt_version": row.prompt_version_id,
        "price": row.price_id,
        "endpoint": row.endpoint,
        "step_key": row.step_key,
        "provider": row.provider,
        "model": row.model,
        "meta": {"purpose": row.purpose},
    }
