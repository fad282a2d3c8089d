"""The rows of calls: claimed by operation, inserted before dispatch, settled exactly once.

Locks are taken in the order hold, wallet, call, roll-up, here and where a hold expires.
"""

import hashlib
import json
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from billing_app.contracts import HoldRef, TokenBuckets
from billing_app.services.usage import usage_record
from gateway_app.contracts import ChatRequest, ChatResult, Ending
from gateway_app.exceptions import CallInProgress, CallTakenOver, OperationConflict
from gateway_app.models import CallStatus, GatewayCall
from gateway_app.services import liveness
from gateway_app.services.attempts import attempt_insert, attempt_save
from gateway_app.services.leases import LEASE_MARGIN, lease_after
from gateway_app.services.pipeline import Call
from gateway_app.services.recovery import call_abandon, is_abandoned, row_settle

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
        lease_until=lease_after(first_wait),
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
    if not row_settle(call.id, ending, fields):
        raise CallTakenOver
    attempt_save(call, call.attempts[-1])
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
