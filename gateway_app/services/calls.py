"""The rows of calls: claimed by operation, inserted before dispatch, settled exactly once.

Locks are taken in the order hold, wallet, call, roll-up, here and where a hold expires.
"""

import hashlib
import json
import logging
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from accounts_app.tenancy.context import Tenant, bound
from billing_app.contracts import HoldRef, PriceRef, TokenBuckets
from billing_app.exceptions import HoldResolved
from billing_app.services.holds import hold_release
from billing_app.services.usage import usage_record
from gateway_app.contracts import ChatRequest, ChatResult, Ending
from gateway_app.exceptions import CallInProgress, CallTakenOver, OperationConflict
from gateway_app.models import AttemptStatus, CallStatus, GatewayAttempt, GatewayCall
from gateway_app.services import liveness
from gateway_app.services.pipeline import Attempt, Call, connection_release

logger = logging.getLogger(__name__)

# What a lease adds to the longest wait that it covers.
LEASE_MARGIN = timedelta(seconds=30)
# Calls that one sweep looks at.
SWEEP = 1000
# Endings whose answer is whole and is given again for the same operation.
REPLAYED = (Ending.COMPLETED, Ending.NO_USAGE)


def operation_claim(call: Call) -> ChatResult | None:
    """Return the stored answer of ``call``'s operation, or None when it is to be made now.

    A call whose process is gone is settled as worker_killed first. Raises CallInProgress, OperationConflict.
    """
    with transaction.atomic(durable=True):
        earlier = _of_operation(call).first()
    if earlier is None:
        return None
    if earlier.request_hash != request_hash(call.request):
        raise OperationConflict
    if earlier.status == CallStatus.DISPATCHED:
        if not is_abandoned(earlier):
            raise CallInProgress
        call_abandon(earlier)
    elif earlier.ending in REPLAYED:
        return replayed_result(earlier)
    with transaction.atomic(durable=True):
        _of_operation(call).filter(pk=earlier.pk).update(superseded_at=timezone.now())
    return None


def call_insert(call: Call) -> None:
    """Insert the row of ``call`` and its first attempt; raises CallInProgress when another was faster."""
    assert call.route
    assert call.price
    request = call.request
    first_wait = call.route.endpoint.connect_timeout + call.route.endpoint.first_token_timeout
    row = GatewayCall(
        id=call.id,
        organization_id=call.organization_id,
        user_id=call.tenant.user_id,
        operation_key=request.operation_key,
        model=call.route.model_key,
        provider=call.route.endpoint.provider,
        purpose=request.purpose,
        task_id=request.task_id,
        run_id=request.run_id,
        step_key=request.step_key,
        prompt_version_id=request.prompt_version_id,
        request_hash=request_hash(request),
        max_tokens=call.max_tokens,
        price_id=call.price.id,
        owner=liveness.owner_id(),
        lease_until=_lease(first_wait),
        trace_id=call.trace_id,
    )
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:
        raise CallInProgress from error
    call.lease_seconds(first_wait + LEASE_MARGIN.total_seconds())
    attempt_insert(call)


def call_hold(call: Call, hold: HoldRef) -> None:
    """Note the hold of the row just inserted."""
    GatewayCall.objects.filter(pk=call.id).update(hold_id=hold.id)


def attempt_insert(call: Call) -> Attempt:
    """Begin the next try: its row is there before the provider is asked, so that a killed one is seen too."""
    attempt = Attempt(number=len(call.attempts) + 1)
    call.attempts.append(attempt)
    assert call.route
    GatewayAttempt.objects.create(
        organization_id=call.organization_id,
        user_id=call.tenant.user_id,
        call_id=call.id,
        number=attempt.number,
        provider=call.route.endpoint.provider,
        started_at=attempt.started_at,
    )
    return attempt


def attempt_retry(call: Call) -> Attempt:
    """Store how the last try ended, begin the next, and renew the lease for its wait."""
    assert call.route
    endpoint = call.route.endpoint
    with bound(call.tenant), transaction.atomic(durable=True):
        _attempt_save(call, call.attempts[-1])
        lease_renew(call, endpoint.connect_timeout + endpoint.first_token_timeout)
        return attempt_insert(call)


def lease_renew(call: Call, wait: float) -> None:
    """Let the call's lease outlast a wait of that many seconds. In a transaction."""
    GatewayCall.objects.filter(pk=call.id, status=CallStatus.DISPATCHED).update(lease_until=_lease(wait))
    call.lease_seconds(wait + LEASE_MARGIN.total_seconds())


def lease_is_short(call: Call) -> bool:
    """Whether the lease would not outlast a wait for the next token. Asks no database."""
    assert call.route
    return call.lease_left() < call.route.endpoint.between_tokens_timeout + 5


def lease_keep(call: Call) -> None:
    """Renew the lease for the next waits. A database that is away does not end the call."""
    assert call.route
    wait = call.route.endpoint.between_tokens_timeout
    try:
        with bound(call.tenant), transaction.atomic(durable=True):
            lease_renew(call, wait)
    except DatabaseError:
        # The text goes on; at worst the call is given up for dead and not charged.
        logger.warning("call.lease_not_renewed", extra={"call_id": str(call.id)}, exc_info=True)
        call.lease_seconds(wait + 10)
    finally:
        connection_release()


def call_record(call: Call, ending: Ending) -> ChatResult:
    """Settle the row, store the attempts, record the usage; raises CallTakenOver when the row is settled already."""
    assert call.route
    assert call.price
    answer, buckets = call.answer, call.tokens
    fields: dict[str, Any] = {
        "cost_usd": call.cost_usd,
        "charged_usd": call.charged_usd,
        "shortfall_usd": call.shortfall_usd,
        "first_token_ms": answer.first_token_ms,
        "latency_ms": call.latency_ms,
        "finish_reason": answer.finish_reason[:40],
        "response_text": answer.text.replace("\x00", ""),
        "tool_calls": list(answer.tool_calls),
        "error_code": call.error_code,
        **_token_fields(buckets),
    }
    if not _settle_row(call.id, ending, fields):
        raise CallTakenOver
    _attempt_save(call, call.attempts[-1])
    usage_record(
        call_id=call.id,
        model=call.route.model_key,
        provider=call.route.endpoint.provider,
        price=call.price,
        tokens=buckets,
        cost_usd=call.cost_usd,
        charged_usd=call.charged_usd,
        ending=ending.value,
        task_id=call.request.task_id,
        run_id=call.request.run_id,
        step_key=call.request.step_key,
        prompt_version_id=call.request.prompt_version_id,
        meta={"purpose": call.request.purpose, "attempts": len(call.attempts)},
    )
    return _result(call, ending)


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
    if not _settle_row(row.pk, Ending.WORKER_KILLED, {"error_code": Ending.WORKER_KILLED.value}):
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
    return row.lease_until < timezone.now() and not liveness.is_surely_alive(row.owner)


def request_hash(request: ChatRequest) -> str:
    """Return what tells two requests of one operation key apart."""
    parts = [request.messages, request.model, request.max_tokens, request.temperature, request.response_format]
    return hashlib.sha256(json.dumps([*parts, request.extra], sort_keys=True, default=str).encode()).hexdigest()


def replayed_result(row: GatewayCall) -> ChatResult:
    """Return the stored result of a settled call."""
    with transaction.atomic():
        attempts = row.attempts.count()
    return ChatResult(
        call_id=row.pk,
        text=row.response_text,
        finish_reason=row.finish_reason,
        model=row.model,
        provider=row.provider,
        tokens=row.tokens,
        cost_usd=row.cost_usd,
        charged_usd=row.charged_usd,
        ending=row.ending,
        attempts=attempts,
        latency_ms=row.latency_ms or 0,
        replayed=True,
        first_token_ms=row.first_token_ms,
        tool_calls=tuple(row.tool_calls),
    )


def _of_operation(call: Call) -> Any:
    return GatewayCall.objects.filter(
        organization_id=call.organization_id, operation_key=call.request.operation_key, superseded_at__isnull=True
    )


def _settle_row(call_id: UUID, ending: Ending, fields: dict[str, Any]) -> bool:
    """Let one settlement through; the others find the row settled."""
    now = timezone.now()
    row = GatewayCall.objects.filter(pk=call_id, status=CallStatus.DISPATCHED)
    return bool(row.update(status=CallStatus.SETTLED, ending=ending.value, settled_at=now, **fields))


def _attempt_save(call: Call, attempt: Attempt) -> None:
    GatewayAttempt.objects.filter(call_id=call.id, number=attempt.number).update(
        status=attempt.status,
        http_status=attempt.http_status,
        error=attempt.error,
        upstream_request_id=attempt.upstream_request_id[:120],
        ended_at=attempt.ended_at,
        latency_ms=attempt.latency_ms,
    )


def _token_fields(buckets: TokenBuckets) -> dict[str, int]:
    return {
        "input_tokens": buckets.input,
        "cached_input_tokens": buckets.cached_input,
        "cache_write_tokens": buckets.cache_write,
        "output_tokens": buckets.output,
        "reasoning_tokens": buckets.reasoning,
    }


def _result(call: Call, ending: Ending) -> ChatResult:
    assert call.route
    return ChatResult(
        call_id=call.id,
        text=call.answer.text,
        finish_reason=call.answer.finish_reason,
        model=call.route.model_key,
        provider=call.route.endpoint.provider,
        tokens=call.tokens,
        cost_usd=call.cost_usd,
        charged_usd=call.charged_usd,
        ending=ending.value,
        attempts=len(call.attempts),
        latency_ms=call.latency_ms,
        first_token_ms=call.answer.first_token_ms,
        tool_calls=call.answer.tool_calls,
    )


def _lease(wait: float) -> Any:
    return timezone.now() + timedelta(seconds=wait) + LEASE_MARGIN
