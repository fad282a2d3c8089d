"""The reading end of a stream: everything after a seq, in order, nothing twice, until the end."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

import redis
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import DatabaseError
from django.utils import timezone

from accounts_app.tenancy.context import Tenant, bound
from gateway_app.models import LiveStream
from gateway_app.services.streams.buffer import buffer_page
from gateway_app.services.streams.events import END, StreamEvent
from gateway_app.services.streams.rows import stream_get
from gateway_app.services.streams.wakeup import group_of

POLL = 1.0  # seconds: what a lost wake-up costs
CHECK = 5.0  # seconds of silence after which Postgres is asked whether the stream was closed
KEEP_ALIVE = 15.0  # seconds of silence after which the reader is sent a sign of life

Frame = dict[str, object]


async def stream_authorise(tenant: Tenant, stream_id: UUID) -> LiveStream:
    """Return the stream if it is ``tenant``'s; raises NotFound otherwise."""
    stream: LiveStream = await database_sync_to_async(_row)(tenant, stream_id)
    return stream


class StreamReader:
    """Read a stream of ``tenant`` from the event after ``after``.

    `frames` yields events ``{seq, type, at, data}`` up to the ``end`` event, and signs without a number
    (``seq`` null): ``ping`` after silence, ``unavailable`` and ``available`` when Redis cannot say what was
    published and when it can again. Holds no database connection while it waits.
    """

    def __init__(self, tenant: Tenant, stream_id: UUID, after: int = 0) -> None:
        self.tenant = tenant
        self.stream_id = stream_id
        self.last = after
        self._ended = False
        self._available = True
        self._wake = asyncio.Event()
        self._checked_at = float("-inf")
        self._sent_at = time.monotonic()

    async def frames(self) -> AsyncGenerator[Frame]:
        """Yield the frames; close the generator (``contextlib.aclosing``) when leaving early."""
        async with self._listening():
            while not self._ended:
                # Cleared before looking: what is published from here on wakes the wait below.
                self._wake.clear()
                events = await self._next()
                for sign in self._signs(events):
                    yield sign
                for event in events or ():
                    self.last = event.seq
                    yield event.frame()
                    self._ended = self._ended or event.type == END
                if not events and not self._ended:
                    await self._wait()

    async def _next(self) -> list[StreamEvent] | None:
        """Return the events that follow, none if there are none yet, None if nobody can say now."""
        try:
            events = await buffer_page(self.stream_id, self.last)
        except redis.RedisError:
            return await self._stored()
        if events and events[0].first > self.last + 1:
            return await self._stored()
        if not events and time.monotonic() - self._checked_at > CHECK:
            return await self._stored() or []
        return events

    async def _stored(self) -> list[StreamEvent] | None:
        """Return what a closed stream's row still has for this reader; None while the stream is open."""
        self._checked_at = time.monotonic()
        try:
            row = await database_sync_to_async(_row, thread_sensitive=False)(self.tenant, self.stream_id)
        except DatabaseError:
            return None
        if not row.is_closed:
            return None
        events = [StreamEvent.from_row(event) for event in row.events]
        self._ended = True
        return [event for event in events if event.seq > self.last]

    def _signs(self, events: list[StreamEvent] | None) -> list[Frame]:
        signs = []
        if (events is not None) != self._available:
            self._available = events is not None
            signs.append(_sign("available" if self._available else "unavailable"))
        if events or signs:
            self._sent_at = time.monotonic()
        elif time.monotonic() - self._sent_at > KEEP_ALIVE:
            self._sent_at = time.monotonic()
            signs.append(_sign("ping"))
        return signs

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL):
                await self._wake.wait()

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        joined = asyncio.Event()
        task = asyncio.create_task(self._listen(joined))
        try:
            # Joined first, then replayed: an event published in between is in the buffer already.
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await joined.wait()
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _listen(self, joined: asyncio.Event) -> None:
        """Set the wake event for each message of the group. Without Redis there are none, and the reader polls."""
        layer, group, channel = get_channel_layer(), group_of(self.stream_id), ""
        while True:
            try:
                channel = await layer.new_channel()
                await layer.group_add(group, channel)
                joined.set()
                while True:
                    await layer.receive(channel)
                    self._wake.set()
            except (redis.RedisError, OSError):
                await asyncio.sleep(POLL)
            finally:
                if channel:
                    with suppress(redis.RedisError, OSError):
                        await layer.group_discard(group, channel)


def _row(tenant: Tenant, stream_id: UUID) -> LiveStream:
    with bound(tenant):
        return stream_get(stream_id)


def _sign(sign_type: str) -> Frame:
    return {"seq": None, "type": sign_type, "at": timezone.now().isoformat(), "data": {}}
