"""What an operation key stands for: the same operation is done once, and answered again from what is stored."""

import hashlib
import json
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from gateway_app.contracts import ChatRequest, ChatResult, Ending, StoredAnswer
from gateway_app.exceptions import NotReplayable
from gateway_app.models import GatewayAnswer, GatewayCall, GatewayOperation
from gateway_app.services.answers import Answer
from gateway_app.services.call import Call


def request_hash(request: ChatRequest) -> str:
    """Return what tells two requests of one operation key apart."""
    parts = [request.messages, request.model, request.max_tokens, request.temperature, request.response_format]
    return hashlib.sha256(json.dumps([*parts, request.extra], sort_keys=True, default=str).encode()).hexdigest()


def chat_result(call: Call, answer: Answer, ending: Ending) -> ChatResult:
    """Return the result of a call just settled."""
    assert call.settlement
    return ChatResult(
        call_id=call.id,
        text=answer.text,
        finish_reason=answer.finish_reason,
        model=call.model_key,
        provider=call.endpoint.provider,
        tokens=call.charged_tokens,
        cost_usd=call.settlement.cost_usd,
        charged_usd=call.settlement.charged_usd,
        ending=ending.value,
        attempts=len(call.attempts),
        latency_ms=call.latency_ms,
        first_token_ms=answer.first_token_ms,
        tool_calls=answer.tool_calls,
    )


def replayed_result(call_id: UUID) -> ChatResult:
    """Return the stored result of a settled call; raises NotReplayable when its answer was not kept."""
    with transaction.atomic():
        row, stored = GatewayCall.objects.get(pk=call_id), GatewayAnswer.objects.filter(pk=call_id).first()
        attempts = row.attempts.count()
    if stored is None:
        raise NotReplayable
    return ChatResult(
        call_id=row.pk,
        text=stored.text,
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
        tool_calls=tuple(stored.tool_calls),
    )


def stored_answer(call_id: UUID) -> StoredAnswer:
    """Return the answer that a call from outside got, as it was sent; raises NotReplayable when it was not kept.

    Needs the call's tenant bound; opens its own transaction.
    """
    with transaction.atomic():
        stored = GatewayAnswer.objects.filter(pk=call_id).first()
    if stored is None or stored.http_status is None:
        raise NotReplayable
    return StoredAnswer(stored.http_status, stored.content_type, bytes(stored.body))


def operations_forget() -> int:
    """Forget operations and answers older than OPERATION_RETENTION_DAYS; return how many. Needs an operator context."""
    before = timezone.now() - timedelta(days=settings.OPERATION_RETENTION_DAYS)
    with transaction.atomic():
        GatewayAnswer.objects.filter(created_at__lt=before).delete()
        return GatewayOperation.objects.filter(created_at__lt=before).delete()[0]
