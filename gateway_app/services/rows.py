"""A call as the rows of its tables: what `gateway_app.services.calls` writes."""

import base64
from datetime import UTC, datetime
from uuid import UUID

from gateway_app.models import CallStatus
from gateway_app.services import liveness
from gateway_app.services.books import Item
from gateway_app.services.call import Attempt, Call, Option

# A hold outlives its call's own time limit by this many seconds, so that only a killed process's hold ever expires.
HOLD_MARGIN = 300.0

_ZEROS = (
    "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens", "images",
    "cost_usd", "charged_usd", "shortfall_usd",
)  # fmt: skip


def item(call: Call, what: str) -> Item:
    """What every item says: what to do, and for whom."""
    user_id = call.tenant.user_id
    return {"do": what, "organization": str(call.organization_id), "user": str(user_id) if user_id else None}


def option_row(option: Option) -> Item:
    """What the opening needs of one model that the call can be made with."""
    return {
        "amount": str(option.amount),
        "hold_seconds": option.candidates[0].endpoint.total_timeout + HOLD_MARGIN,
        "call": {
            "model": option.model.key,
            "provider": option.candidates[0].endpoint.provider,
            "price_id": str(option.price.id),
            "max_tokens": option.max_tokens,
        },
    }


def call_row(call: Call) -> Item:
    """The columns of gateway_calls that are known before the call, but for those of the option."""
    request, now = call.request, datetime.now(UTC).isoformat()
    zeros = dict.fromkeys(_ZEROS, 0)
    return zeros | {
        "id": str(call.id),
        "organization_id": str(call.organization_id),
        "user_id": _text(call.tenant.user_id),
        "created_at": now,
        "endpoint": request.endpoint,
        "operation_key": request.operation_key,
        "asked_model": call.options[0].model.key,
        "purpose": request.purpose,
        "api_key_id": _text(call.card.api_key_id) if call.card else None,
        "project_id": _text(call.card.project_id) if call.card else None,
        "task_id": _text(request.task_id),
        "run_id": _text(request.run_id),
        "step_key": request.step_key,
        "prompt_version_id": _text(request.prompt_version_id),
        "client_address": call.client_address or None,
        "is_stream": request.is_stream,
        "status": CallStatus.DISPATCHED.value,
        "ending": "",
        "error_code": "",
        "hold_id": str(call.hold_id),
        "finish_reason": "",
        "owner": liveness.owner_id(),
        "trace_id": call.trace_id,
    }


def attempt_row(call: Call, attempt: Attempt) -> Item:
    """The columns of gateway_attempts."""
    return {
        "id": str(attempt.id),
        "organization_id": str(call.organization_id),
        "call_id": str(call.id),
        "number": attempt.number,
        "provider": attempt.provider,
        "status": attempt.status.value,
        "http_status": attempt.http_status,
        "error": attempt.error.replace("\x00", ""),
        "upstream_request_id": attempt.upstream_request_id[:120],
        "started_at": attempt.started_at.isoformat(),
        "ended_at": attempt.ended_at.isoformat() if attempt.ended_at else None,
        "latency_ms": attempt.latency_ms,
    }


def usage_row(call: Call) -> Item:
    """What `usage_insert` is told of the call, but for tokens and money."""
    request = call.request
    return {
        "id": str(call.id),
        "organization": str(call.organization_id),
        "user": _text(call.tenant.user_id),
        "task": _text(request.task_id),
        "run": _text(request.run_id),
        "project": _text(call.card.project_id) if call.card else None,
        "api_key": _text(call.card.api_key_id) if call.card else None,
        "endpoint": request.endpoint,
        "step_key": request.step_key,
        "prompt_version": _text(request.prompt_version_id),
        "provider": call.endpoint.provider,
        "model": call.model_key,
        "price": str(call.price.id),
        "trace": call.trace_id,
        "meta": _meta(call),
        "created_at": datetime.now(UTC).isoformat(),
    }


def _meta(call: Call) -> Item:
    """What reports may name the call by, beside our own id, and what it took."""
    told = [attempt.upstream_request_id[:120] for attempt in call.attempts if attempt.upstream_request_id]
    ids = {"upstream_request_id": told[-1]} if told else {}
    return {"purpose": call.request.purpose, "attempts": len(call.attempts), **ids}


def answer_row(call: Call) -> Item | None:
    """The answer to be kept; None where there is nothing to be answered again."""
    if call.answer is None or not call.request.operation_key:
        return None
    row = dict(call.answer)
    if "bytes" in row:
        row["base64"] = base64.b64encode(row.pop("bytes")).decode()
    return row


def _text(value: UUID | None) -> str | None:
    return str(value) if value is not None else None
