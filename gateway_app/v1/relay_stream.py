"""A streamed answer: handed on event by event, paid for as it grows, closed as soon as its caller leaves."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError

from billing_app.exceptions import InsufficientFunds
from gateway_app.contracts import Ending, Settlement, StoredAnswer
from gateway_app.services import metrics
from gateway_app.services.calls import EXTENSION
from gateway_app.services.charging import charge_for
from gateway_app.services.pipeline import aextend, alease
from gateway_app.v1 import heads
from gateway_app.v1.answers import STREAM
from gateway_app.v1.errors import error_type, told_code
from gateway_app.v1.relay import Relay
from gateway_app.wire import Reading

logger = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")

_PING = b": ping\n\n"
# The hold is extended when so much of what it covers has been written: the answer need not wait for it then.
_NEARLY = 0.9
# A lease is renewed when it would not outlast one more wait by this.
_LEASE_MARGIN = 5.0
# What is left to say at the end is short; a caller who does not read even that is left.
_LAST_WORDS_SECONDS = 30


class StreamRelay(Relay):
    """An answer in events. Its head goes out with the first of them, so that what fails before has a status of its own;
    or with the first sign of life, when the model thinks for long."""

    _relayed = 0

    async def serve(self) -> None:
        """Serve the call, counted as a live stream meanwhile."""
        # What was relayed, for as long as it may have to be given again or logged.
        self._kept: list[bytes] | None = [] if self.call.request.operation_key or self.logs_prompts else None
        self._covered = self._look_at = round(self.call.max_tokens * _NEARLY)
        with metrics.stream_live():
            await super().serve()

    async def work(self) -> Ending:
        """Hand the stream on until it ends."""
        await self._patiently(self._open())
        assert self.opened
        opened, reading, watch = self.opened, self.opened.reading, self.watch
        watch.limit(between=self.call.endpoint.between_tokens_timeout, total=self.call.time_left())
        data = opened.data
        while True:
            if data:
                await self._hand_on(data, reading)
            if reading.error is not None:
                return self.broken_off(reading.error[0])
            if self._relayed > self._look_at and not await self._is_covered(reading):
                self.error = InsufficientFunds()
                return Ending.NO_FUNDS
            if reading.is_done and not self._is_raw:
                break
            watch.waiting()
            came = await self._next()
            watch.busy()
            if not came:
                break
            data = reading.feed(came)
        if not reading.is_done and not reading.finish_reason:
            return self.broken_off("The stream ended without an end.")
        return self.natural_ending(reading)

    def stored(self, ending: Ending) -> StoredAnswer | None:
        """Return all events as they were sent, if they are small enough to be kept."""
        if self._kept is None:
            return None
        body = b"".join([*self._kept, self._last_words(ending)])
        if len(body) > settings.GATEWAY_REPLAY_LIMIT:
            return None
        return StoredAnswer(200, STREAM[0][1].decode(), body)

    def said(self) -> bytes:
        """Return the events, if they were kept."""
        return b"".join(self._kept or ())

    async def finish(self, ending: Ending, settled: Settlement | None) -> None:
        """Send the usage and the end; or why it ends, as an event once there was one, else as an answer."""
        if self.error is not None and not self.answer.is_begun:
            return await self.refuse(self.error, settled)
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._begin()
                if last := self._last_words(ending):
                    await self.answer.piece(last)
                await self.answer.end()
        return None

    @property
    def _is_raw(self) -> bool:
        """Whether nothing is known of the stream but its bytes."""
        return self.wire.kind == "other"

    async def _open(self) -> None:
        self.opened = await self.tries.answered()

    async def _next(self) -> bytes:
        assert self.opened
        reading = self.opened.reply.read()
        return await (reading if self.opened.reading.has_output else self._patiently(reading))

    async def _patiently(self, work: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Do ``work``, which may last long, and show the caller now and then that we are here."""
        task = asyncio.get_running_loop().create_task(work)
        try:
            while not (await asyncio.wait((task,), timeout=settings.GATEWAY_PING_SECONDS))[0]:
                await self._begin()
                await self.answer.piece(_PING)
            return task.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))

    async def _begin(self) -> None:
        if not self.answer.is_begun:
            await self.answer.begin(200, [*STREAM, *heads.of_call(self.call)])

    async def _hand_on(self, data: bytes, reading: Reading) -> None:
        if self.first_token_at is None and reading.has_output:
            self.first_token_at = time.monotonic()
        if not self.answer.is_begun:
            await self._begin()
        await self.answer.piece(data)
        self._relayed += len(data)
        if self._kept is not None:
            self._kept.append(data)
            if self._relayed > settings.GATEWAY_REPLAY_LIMIT:
                self._kept = None
        if self.call.lease_left() < self.call.endpoint.between_tokens_timeout + _LEASE_MARGIN:
            await self._lease()

    async def _is_covered(self, reading: Reading) -> bool:
        """Whether the hold pays for what has been written, after asking for more where it nearly does not.

        A token is at least one byte of what is relayed: until as many bytes as tokens are left, nobody need look.
        """
        written = reading.output_tokens_so_far
        if written > self._covered:
            with suppress(OperationalError, InterfaceError):
                # While Postgres is away the text goes on; at worst the wallet is asked for more at the end.
                if not await aextend(self.call, written):
                    return False
            self._covered = round(written * EXTENSION * _NEARLY)
        self._look_at = self._relayed + self._covered - written
        return True

    async def _lease(self) -> None:
        wait = self.call.endpoint.between_tokens_timeout
        try:
            await alease(self.call, wait)
        except (OperationalError, InterfaceError):
            # The text goes on; at worst the call is given up for dead and charged by its recovery.
            logger.warning("call.lease_not_renewed", extra={"call_id": str(self.call.id)}, exc_info=True)
            self.call.lease_seconds(wait + 2 * _LEASE_MARGIN)

    def _last_words(self, ending: Ending) -> bytes:
        """Return what the stream ends with: usage and end, or the error."""
        assert self.opened or self.error
        reading = self.reading or self.wire.reading(self.wanted)
        if self.error is not None:
            message, code = self.error.message, told_code(self.error)
            if reading.error is not None:
                message, code = reading.error[0], reading.error[1] or code
            return reading.error_event(message, error_type(self.error.status), code)
        usage = reading.usage_event(self._money(ending, reading)) if self.wanted.wants_usage else None
        return (usage or b"") + reading.done_event()

    def _money(self, ending: Ending, reading: Reading) -> dict[str, str]:
        """What a stream tells of its cost, as the settlement will find it."""
        charge = charge_for(
            ending,
            reported=reading.reported,
            delivered=reading.delivered,
            price=self.call.price,
            images=reading.images,
            image_tier=self.call.request.image_tier,
        )
        return {"cost": heads.usd(charge.due_usd), "model": self.call.model_key}
