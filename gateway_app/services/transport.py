"""The road to the provider: one call, its tries, its deltas; once for threads, once for event loops.

Both yield text and leave what they saw in ``chat.answer`` and ``chat.call.attempts``. They raise CallError, and close
the provider's connection at once when the caller leaves (GeneratorExit, CancelledError). A thread that may have to
leave while the provider says nothing gives ``should_stop``: its tries run in the background's event loop.
"""

import asyncio
import logging
import queue
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.db import DatabaseError

from gateway_app.catalogue import EFFORTS
from gateway_app.contracts import ChatRequest
from gateway_app.models import AttemptStatus
from gateway_app.services import breakers
from gateway_app.services.answers import Answer, SseReader, UpstreamError
from gateway_app.services.background import background
from gateway_app.services.call import Call
from gateway_app.services.clients import async_client, sync_client
from gateway_app.services.failures import UPSTREAM_ERRORS, CallError, failure_of, retry_delay
from gateway_app.services.pipeline import lease, retry
from gateway_app.services.watchdog import watchdog

# After [DONE] only the end of the body can come; reading it keeps the connection usable.
_AFTER_DONE = 1.0
_LEFT = "The caller left."
# Seconds between two questions whether to stop.
_ASK = 0.25

logger = logging.getLogger(__name__)


@dataclass
class Chat:
    """One chat call: what was asked, the books' side of it, and the answer as it grows."""

    request: ChatRequest
    call: Call
    answer: Answer = field(default_factory=Answer)


class CallerLeftError(Exception):
    """The caller's ``should_stop`` said so while nothing came."""


def deltas(chat: Chat, should_stop: Callable[[], bool] | None = None) -> Generator[str, None, None]:
    """Yield the answer's text as it comes, asking again while nothing has come; raises CallerLeftError."""
    while True:
        try:
            with closing(_try(chat) if should_stop is None else _try_unless(should_stop, chat)) as texts:
                yield from texts
            delay = None
        except UPSTREAM_ERRORS as error:
            delay = _after(error, chat)
        if delay is None:
            return
        _pause(delay, should_stop)
        _next_try(chat)


async def adeltas(chat: Chat) -> AsyncGenerator[str, None]:
    """The same for event loops."""
    while True:
        try:
            async with aclosing(_atry(chat)) as texts:
                async for text in texts:
                    yield text
            delay = None
        except UPSTREAM_ERRORS as error:
            delay = _after(error, chat)
        if delay is None:
            return
        await asyncio.sleep(delay)
        await sync_to_async(_next_try, thread_sensitive=False)(chat)


def payload(chat: Chat) -> dict[str, Any]:
    """Return the arguments of the SDK's ``create``. What it does not know goes as it is into the body."""
    request, call, model = chat.request, chat.call, chat.call.chosen.model
    effort = {"reasoning_effort": EFFORTS[model.key]} if model.key in EFFORTS else {}
    body: dict[str, Any] = {
        "model": call.candidate.upstream_name,
        "messages": list(request.messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens" if model.is_reasoning else "max_tokens": call.max_tokens,
        "extra_body": effort | request.extra or None,
        "extra_headers": {"x-client-request-id": str(call.id)},
    }
    if request.temperature is not None and not model.is_reasoning:
        body["temperature"] = request.temperature
    if request.response_format is not None:
        body["response_format"] = request.response_format
    return body


def _try(chat: Chat) -> Generator[str, None, None]:
    call, reader = chat.call, SseReader()
    attempt = call.attempts[-1]
    create = sync_client(call.endpoint).chat.completions.with_streaming_response.create
    try:
        with create(**payload(chat)) as response:
            _note_head(call, response)
            connection = response.http_response.extensions["network_stream"].get_extra_info("socket")
            with watchdog.watch(connection) as watch:
                watch.expect(_patience(chat, reader))
                try:
                    for data in response.iter_bytes():
                        watch.pause()
                        for event in reader.feed(data):
                            if text := chat.answer.add(event):
                                yield text
                        if _lease_is_short(call):
                            _lease_keep(call)
                        watch.expect(_patience(chat, reader))
                except UPSTREAM_ERRORS as error:
                    raise (TimeoutError("No token came in time.") if watch.is_late else error) from error
        _note_end(chat)
    except GeneratorExit:
        attempt.end(_left_status(chat), error=_LEFT)
        raise


def _try_unless(should_stop: Callable[[], bool], chat: Chat) -> Generator[str, None, None]:
    """A try in the background's loop; it is broken off as soon as the caller leaves or wants to stop."""
    texts: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    async def read() -> None:
        try:
            async with aclosing(_atry(chat)) as coming:
                async for text in coming:
                    texts.put(text)
        finally:
            texts.put(None)

    work = background.begin(read)
    try:
        while (text := _next_text(texts, should_stop)) is not None:
            yield text
        work.result()
    finally:
        if not work.is_over:
            work.cancel()
            chat.call.attempts[-1].end(_left_status(chat), error=_LEFT)


def _next_text(texts: "queue.SimpleQueue[str | None]", should_stop: Callable[[], bool]) -> str | None:
    while True:
        try:
            return texts.get(timeout=_ASK)
        except queue.Empty:
            if should_stop():
                raise CallerLeftError from None


def _pause(seconds: float, should_stop: Callable[[], bool] | None) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(left if should_stop is None else min(left, _ASK))
        if should_stop is not None and should_stop():
            raise CallerLeftError


async def _atry(chat: Chat) -> AsyncGenerator[str, None]:
    call, reader = chat.call, SseReader()
    attempt = call.attempts[-1]
    create = async_client(call.endpoint).chat.completions.with_streaming_response.create
    try:
        async with create(**payload(chat)) as response:
            _note_head(call, response)
            chunks = response.iter_bytes()
            while True:
                async with asyncio.timeout(_patience(chat, reader)):
                    data = await anext(chunks, None)
                if data is None:
                    break
                for event in reader.feed(data):
                    if text := chat.answer.add(event):
                        yield text
                if _lease_is_short(call):
                    await database_sync_to_async(_lease_keep, thread_sensitive=False)(call)
        _note_end(chat)
    except (GeneratorExit, asyncio.CancelledError):
        attempt.end(_left_status(chat), error=_LEFT)
        raise


def _patience(chat: Chat, reader: SseReader) -> float:
    """Seconds to wait for what comes next."""
    call, endpoint = chat.call, chat.call.endpoint
    if reader.is_done:
        return _AFTER_DONE
    if chat.answer.has_output:
        return max(0, min(endpoint.between_tokens_timeout, call.time_left()))
    waited = time.monotonic() - call.attempts[-1].began
    return max(0, min(endpoint.first_token_timeout - waited, call.time_left()))


def _note_head(call: Call, response: Any) -> None:
    attempt = call.attempts[-1]
    attempt.http_status = response.status_code
    attempt.upstream_request_id = response.headers.get("x-request-id", "")


def _note_end(chat: Chat) -> None:
    if not chat.answer.finish_reason:
        raise UpstreamError("The answer ended without a finish reason.")
    chat.call.attempts[-1].end(AttemptStatus.ANSWERED)
    breakers.success(chat.call.endpoint.provider)


def _left_status(chat: Chat) -> AttemptStatus:
    return AttemptStatus.ANSWERED if chat.answer.has_output else AttemptStatus.FAILED


def _after(error: BaseException, chat: Chat) -> float | None:
    """Return the seconds until the next try, None when the answer is whole all the same; raises CallError."""
    attempt = chat.call.attempts[-1]
    if chat.answer.finish_reason:
        attempt.end(AttemptStatus.ANSWERED, error=str(error))
        return None
    failure = failure_of(error, has_output=chat.answer.has_output)
    attempt.end(AttemptStatus.FAILED, http_status=failure.http_status, error=failure.detail)
    if breakers.counts_as_failure(failure.http_status, told_when=failure.retry_after > 0):
        breakers.failure(chat.call.endpoint.provider)
    delay = retry_delay(failure, tries=len(chat.call.attempts), time_left=chat.call.time_left())
    if delay is None:
        raise CallError(failure) from error
    return delay


def _next_try(chat: Chat) -> None:
    tried = chat.call.attempts[-1]
    retry(chat.call, error=tried.error, http_status=tried.http_status, upstream_request_id=tried.upstream_request_id)


def _lease_is_short(call: Call) -> bool:
    """Whether the lease would not outlast a wait for the next token. Asks no database."""
    return call.lease_left() < call.endpoint.between_tokens_timeout + 5


def _lease_keep(call: Call) -> None:
    """Renew the lease for the next waits. A database that is away does not end the call."""
    wait = call.endpoint.between_tokens_timeout
    try:
        lease(call, wait)
    except DatabaseError:
        # The text goes on; at worst the call is given up for dead.
        logger.warning("call.lease_not_renewed", extra={"call_id": str(call.id)}, exc_info=True)
        call.lease_seconds(wait + 10)
