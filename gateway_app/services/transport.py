"""The road to the provider: one call, its tries, its deltas; once for threads, once for event loops.

Both yield text and leave what they saw in ``call.answer`` and ``call.attempts``. They raise CallError, and close the
provider's connection at once when the caller leaves (GeneratorExit, CancelledError).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any

from asgiref.sync import sync_to_async

from gateway_app.models import AttemptStatus
from gateway_app.services import attempts, leases
from gateway_app.services.answers import SseReader, UpstreamError
from gateway_app.services.clients import async_client, sync_client
from gateway_app.services.failures import UPSTREAM_ERRORS, CallError, failure_of, retry_delay
from gateway_app.services.pipeline import Call, connection_release
from gateway_app.services.watchdog import watchdog

# After [DONE] only the end of the body can come; reading it keeps the connection usable.
_AFTER_DONE = 1.0
_LEFT = "The caller left."


def deltas(call: Call) -> Generator[str, None, None]:
    """Yield the answer's text as it comes, asking again while nothing has come."""
    while True:
        try:
            with closing(_try(call)) as texts:
                yield from texts
            delay = None
        except UPSTREAM_ERRORS as error:
            delay = _after(error, call)
        if delay is None:
            return
        time.sleep(delay)
        _next_try(call)


async def adeltas(call: Call) -> AsyncGenerator[str, None]:
    """The same for event loops."""
    while True:
        try:
            async with aclosing(_atry(call)) as texts:
                async for text in texts:
                    yield text
            delay = None
        except UPSTREAM_ERRORS as error:
            delay = _after(error, call)
        if delay is None:
            return
        await asyncio.sleep(delay)
        await sync_to_async(_next_try, thread_sensitive=False)(call)


def payload(call: Call) -> dict[str, Any]:
    """Return the arguments of the SDK's ``create``. What it does not know goes as it is into the body."""
    assert call.route
    request, route = call.request, call.route
    body: dict[str, Any] = {
        "model": route.upstream_name,
        "messages": list(request.messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens" if route.is_reasoning else "max_tokens": call.max_tokens,
        "extra_body": request.extra or None,
        "extra_headers": {"x-client-request-id": str(call.id)},
    }
    if request.temperature is not None and not route.is_reasoning:
        body["temperature"] = request.temperature
    if request.response_format is not None:
        body["response_format"] = request.response_format
    return body


def _try(call: Call) -> Generator[str, None, None]:
    assert call.route
    attempt, reader = call.attempts[-1], SseReader()
    create = sync_client(call.route.endpoint).chat.completions.with_streaming_response.create
    try:
        with create(**payload(call)) as response:
            _note_head(call, response)
            connection = response.http_response.extensions["network_stream"].get_extra_info("socket")
            with watchdog.watch(connection) as watch:
                watch.expect(_patience(call, reader))
                try:
                    for data in response.iter_bytes():
                        watch.pause()
                        for event in reader.feed(data):
                            if text := call.answer.add(event):
                                yield text
                        if leases.lease_is_short(call):
                            leases.lease_keep(call)
                        watch.expect(_patience(call, reader))
                except UPSTREAM_ERRORS as error:
                    raise (TimeoutError("No token came in time.") if watch.is_late else error) from error
        _note_end(call)
    except GeneratorExit:
        attempt.end(_left_status(call), error=_LEFT)
        raise


async def _atry(call: Call) -> AsyncGenerator[str, None]:
    assert call.route
    attempt, reader = call.attempts[-1], SseReader()
    create = async_client(call.route.endpoint).chat.completions.with_streaming_response.create
    try:
        async with create(**payload(call)) as response:
            _note_head(call, response)
            chunks = response.iter_bytes()
            while True:
                async with asyncio.timeout(_patience(call, reader)):
                    data = await anext(chunks, None)
                if data is None:
                    break
                for event in reader.feed(data):
                    if text := call.answer.add(event):
                        yield text
                if leases.lease_is_short(call):
                    await sync_to_async(leases.lease_keep, thread_sensitive=False)(call)
        _note_end(call)
    except (GeneratorExit, asyncio.CancelledError):
        attempt.end(_left_status(call), error=_LEFT)
        raise


def _patience(call: Call, reader: SseReader) -> float:
    """Seconds to wait for what comes next."""
    assert call.route
    endpoint = call.route.endpoint
    if reader.is_done:
        return _AFTER_DONE
    if call.answer.has_output:
        return max(0, min(endpoint.between_tokens_timeout, call.time_left()))
    waited = time.monotonic() - call.attempts[-1].began
    return max(0, min(endpoint.first_token_timeout - waited, call.time_left()))


def _note_head(call: Call, response: Any) -> None:
    attempt = call.attempts[-1]
    attempt.http_status = response.status_code
    attempt.upstream_request_id = response.headers.get("x-request-id", "")


def _note_end(call: Call) -> None:
    if not call.answer.finish_reason:
        raise UpstreamError("The answer ended without a finish reason.")
    call.attempts[-1].end(AttemptStatus.ANSWERED)


def _left_status(call: Call) -> AttemptStatus:
    return AttemptStatus.ANSWERED if call.answer.has_output else AttemptStatus.FAILED


def _after(error: BaseException, call: Call) -> float | None:
    """Return the seconds until the next try, None when the answer is whole all the same; raises CallError."""
    attempt = call.attempts[-1]
    if call.answer.finish_reason:
        attempt.end(AttemptStatus.ANSWERED, error=str(error))
        return None
    failure = failure_of(error, call)
    attempt.end(AttemptStatus.FAILED, http_status=failure.http_status, error=failure.detail)
    delay = retry_delay(call, failure)
    if delay is None:
        raise CallError(failure) from error
    return delay


def _next_try(call: Call) -> None:
    try:
        attempts.attempt_retry(call)
    finally:
        connection_release()
