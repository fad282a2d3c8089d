"""The tries of one call at its providers, until one answers: nothing of a failed one ever reaches the caller."""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass

from django.conf import settings

from gateway_app.services.breakers import breakers, counts_as_failure, slots
from gateway_app.services.call import Call
from gateway_app.services.pipeline import aretry
from gateway_app.services.upstream import UPSTREAM_ERRORS, Reply, UpstreamBroken, upstream_post
from gateway_app.v1 import failures
from gateway_app.v1.failures import Failure, TryFailed
from gateway_app.wire import Reading, Wanted, Wire

_OK = 200


# After the end of a stream only the end of the body can come: read, it leaves the connection usable.
_DRAIN_SECONDS = 1.0
_draining: set["asyncio.Task[None]"] = set()


@dataclass(slots=True)
class Opened:
    """A provider's answer that has begun. ``data``: the whole body, or what of a stream is to be relayed first."""

    provider: str
    reply: Reply
    reading: Reading
    data: bytes

    def close(self) -> None:
        """End the provider's work if it still goes on, else keep its connection for the next; give its slot back."""
        slots.give(self.provider)
        if self.reading.is_done and not self.reply.is_complete:
            task = asyncio.get_running_loop().create_task(_drain(self.reply))
            _draining.add(task)
            task.add_done_callback(_draining.discard)
        else:
            self.reply.close()


class Tries:
    """Asks for one call: its candidates one after the other, each at most as often as it makes sense."""

    def __init__(self, call: Call, wire: Wire, wanted: Wanted, body: bytes) -> None:
        self._call, self._wire, self._wanted, self._body = call, wire, wanted, body
        self._count = 0

    async def answered(self) -> Opened:
        """Return the first answer that is one; it is to be closed. Raises TryFailed with the last failure."""
        while True:
            self._count += 1
            try:
                return await self._try()
            except TryFailed as error:
                delay = self._delay(error.failure)
                if delay is None:
                    raise
                failure = error.failure
            if delay:
                await asyncio.sleep(delay)
            await aretry(
                self._call,
                error=failure.detail,
                http_status=failure.http_status,
                upstream_request_id=self._call.attempts[-1].upstream_request_id,
            )

    async def _try(self) -> Opened:
        endpoint = self._call.endpoint
        provider = endpoint.provider
        # An open breaker keeps calls away only while there is anywhere else to go.
        if not breakers.allow(provider) and self._has_untried:
            raise TryFailed(failures.kept_away(provider))
        if not slots.take(provider, endpoint.max_concurrency):
            raise TryFailed(failures.busy(provider))
        opened = None
        try:
            opened = await self._open(provider)
        except TryFailed as error:
            self._blame(provider, error.failure)
            raise
        finally:
            if opened is None:
                slots.give(provider)
        breakers.success(provider)
        return opened

    async def _open(self, provider: str) -> Opened:
        call, wanted = self._call, self._wanted
        candidate = call.candidate
        body, content_type = self._wire.upstream_body(self._body, wanted, model=candidate.upstream_name)
        endpoint, reply = candidate.endpoint, None
        patience = endpoint.first_token_timeout if wanted.is_stream else endpoint.total_timeout
        is_good = False
        try:
            async with asyncio.timeout(patience):
                reply = await upstream_post(
                    endpoint,
                    self._wire.path,
                    body,
                    content_type=content_type,
                    is_stream=wanted.is_stream,
                    call_id=str(call.id),
                )
                opened = await self._begun(provider, reply)
            is_good = True
        except UPSTREAM_ERRORS as error:
            raise TryFailed(failures.of_exception(error)) from error
        finally:
            if reply is not None and not is_good:
                reply.close()
        return opened

    async def _begun(self, provider: str, reply: Reply) -> Opened:
        attempt = self._call.attempts[-1]
        attempt.http_status, attempt.upstream_request_id = reply.status, reply.headers.get("x-request-id", "")
        if reply.status != _OK:
            raise TryFailed(await _refused(reply))
        reading = self._wire.reading(self._wanted)
        read = _first_block if self._wanted.is_stream else _whole
        return Opened(provider, reply, reading, await read(reply, reading))

    @property
    def _has_untried(self) -> bool:
        return self._count < len(self._call.candidates)

    def _delay(self, failure: Failure) -> float | None:
        """Return the seconds to wait before the next try; None when there is to be none.

        Another provider is asked at once. The same one after a pause that doubles, with jitter, and never sooner than
        it asks for; not at all when it asks for more than GATEWAY_RETRY_MAX_MS.
        """
        if not failure.is_retryable or self._count >= settings.GATEWAY_MAX_ATTEMPTS:
            return None
        if self._has_untried:
            return 0.0
        if not failure.same_again:
            return None
        longest = settings.GATEWAY_RETRY_MAX_MS / 1000
        step = min(longest, settings.GATEWAY_RETRY_BASE_MS / 1000 * 2 ** (self._count - 1))
        delay = max(failure.retry_after, step * random.uniform(0.5, 1))
        return delay if delay <= longest else None

    @staticmethod
    def _blame(provider: str, failure: Failure) -> None:
        told_when = bool(failure.retry_after)
        # An error told inside an answer of status 200 is one of the provider's all the same.
        if failure.http_status == _OK or counts_as_failure(failure.http_status, told_when=told_when):
            breakers.failure(provider)
        else:
            breakers.success(provider)


async def _drain(reply: Reply) -> None:
    try:
        with suppress(*UPSTREAM_ERRORS):
            async with asyncio.timeout(_DRAIN_SECONDS):
                await reply.read()
    finally:
        reply.close()


async def _whole(reply: Reply, reading: Reading) -> bytes:
    """Read a whole answer; raises TryFailed for one that is too large, or none."""
    parts: list[bytes] = []
    size = 0
    while part := await reply.read():
        size += len(part)
        if size > settings.GATEWAY_ANSWER_LIMIT:
            raise TryFailed(failures.of_told_error("The answer is too large.", "answer_too_large"))
        parts.append(part)
    data = parts[0] if len(parts) == 1 else b"".join(parts)
    reading.body(data)
    if reading.error is not None:
        raise TryFailed(failures.of_told_error(*reading.error))
    return data


async def _first_block(reply: Reply, reading: Reading) -> bytes:
    """Read a stream until there is something to relay; raises TryFailed for one that ends or fails before."""
    while True:
        data = await reply.read()
        if relay := reading.feed(data):
            return relay
        if reading.error is not None:
            raise TryFailed(failures.of_told_error(*reading.error))
        if reading.is_done:
            return b""
        if not data:
            raise UpstreamBroken("The stream ended before it began.")


async def _refused(reply: Reply) -> Failure:
    body = b""
    while len(body) < failures.ERROR_BODY_BYTES and (part := await reply.read()):
        body += part
    content_type = reply.headers.get("content-type", "").encode("latin-1", "ignore")
    return failures.of_answer(reply.status, content_type, body[: failures.ERROR_BODY_BYTES], _retry_after(reply))


def _retry_after(reply: Reply) -> float:
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        with suppress(KeyError, ValueError):
            return max(0.0, float(reply.headers[name]) / unit)
    return 0.0
