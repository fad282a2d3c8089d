"""A call as `gateway_books` (gateway_app/sql) is told of it: flat, each fact once, by the columns' short names."""

import base64
from datetime import UTC, datetime

from gateway_app.contracts import Ending
from gateway_app.services import liveness
from gateway_app.services.books import Row
from gateway_app.services.call import Attempt, Call, Option
from gateway_app.services.charging import Charge

# A hold outlives its call's own time limit by this many seconds, so that only a killed process's hold ever expires.
HOLD_MARGIN = 300.0


def option_row(option: Option) -> Row:
    """What the opening needs of one model that the call can be made with."""
    endpoint = option.candidates[0].endpoint
    return {
        "amount": option.amount,
        "hold_seconds": endpoint.total_timeout + HOLD_MARGIN,
        "model": option.model.key,
        "provider": endpoint.provider,
        "price": option.price.id,
        "max_tokens": option.max_tokens,
    }


def call_row(call: Call) -> Row:
    """What is known before the call, but for its options: for its hold and for gateway_calls."""
    request, card = call.request, call.card
    call_id = str(call.id)
    return {
        "id": call.id,
        "user": call.tenant.user_id,
        "hold": call.hold_id,
        "key": f"call:{call_id}",
        "ref": call_id,
        "created_at": datetime.now(UTC),
        "endpoint": request.endpoint,
        "operation_key": request.operation_key,
        "request_hash": request.request_hash,
        "asked_model": call.options[0].model.key,
        "purpose": request.purpose,
        "api_key": card.api_key_id if card else None,
        "project": card.project_id if card else None,
        "task": request.task_id,
        "run": request.run_id,
        "step_key": request.step_key,
        "prompt_version": request.prompt_version_id,
        "client_address": call.client_address or None,
        "is_stream": request.is_stream,
        "owner": liveness.owner_id(),
        "trace": call.trace_id,
    }


def attempt_row(call: Call, attempt: Attempt) -> Row:
    """The columns of gateway_attempts."""
    return {
        "id": attempt.id,
        "call_id": call.id,
        "number": attempt.number,
        "provider": attempt.provider,
        "status": attempt.status.value,
        "http_status": attempt.http_status,
        "error": attempt.error.replace("\x00", ""),
        "upstream_request_id": attempt.upstream_request_id[:120],
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "latency_ms": attempt.latency_ms,
    }


def usage_row(call: Call) -> Row:
    """What the usage record says of the call, but for its ending, tokens and money."""
    request, card = call.request, call.card
    return {
        "user": call.tenant.user_id,
        "task": request.task_id,
        "run": request.run_id,
        "project": card.project_id if card else None,
        "api_key": card.api_key_id if card else None,
        "endpoint": request.endpoint,
        "step_key": request.step_key,
        "prompt_version": request.prompt_version_id,
        "provider": call.endpoint.provider,
        "model": call.model_key,
        "price": call.price.id,
        "meta": _meta(call),
    }


def charge_row(charge: Charge, ending: Ending) -> Row:
    """What a settlement says of tokens and money. What is charged is what is due, unless the hold was too small."""
    tokens = charge.tokens
    return {
        "ending": ending.value,
        "due": charge.due_usd,
        "charged_usd": charge.due_usd,
        "cost_usd": charge.cost_usd,
        "uncached_input_tokens": tokens.input,
        "cached_input_tokens": tokens.cached_input,
        "cache_write_tokens": tokens.cache_write,
        "visible_output_tokens": tokens.output,
        "reasoning_tokens": tokens.reasoning,
    }


def _meta(call: Call) -> Row:
    """What reports may name the call by, beside our own id, and what it took."""
    told = [attempt.upstream_request_id[:120] for attempt in call.attempts if attempt.upstream_request_id]
    ids = {"upstream_request_id": told[-1]} if told else {}
    return {"purpose": call.request.purpose, "attempts": len(call.attempts), **ids}


def answer_row(call: Call) -> Row | None:
    """The answer to be kept; None where there is nothing to be answered again."""
    if call.answer is None or not call.request.operation_key:
        return None
    row = dict(call.answer)
    if "bytes" in row:
        row["base64"] = base64.b64encode(row.pop("bytes")).decode()
    return row
