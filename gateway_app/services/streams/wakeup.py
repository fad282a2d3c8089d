"""How readers learn at once that something was published: an empty message to the stream's Channels group.

It carries nothing, so losing one costs at most the readers' poll interval. It is sent from one event loop in a
thread of its own a process, so that a worker does not wait for it; the same loop keeps the publishers' timers.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from uuid import UUID

from channels.layers import get_channel_layer

logger = logging.getLogger(__name__)

WAKE = {"type": "stream.wake"}
_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def group_of(stream_id: UUID) -> str:
    """Return the name of the Channels group that the stream's readers join."""
    return f"stream.{stream_id}"


def wake_readers(stream_id: UUID) -> None:
    """Tell the readers to look; returns at once and never raises."""
    asyncio.run_coroutine_threadsafe(_send(group_of(stream_id)), _background_loop())


def call_later(delay: float, function: Callable[[], None]) -> None:
    """Run ``function`` in a thread after ``delay`` seconds."""
    loop = _background_loop()
    loop.call_soon_threadsafe(loop.call_later, delay, loop.run_in_executor, None, function)


async def _send(group: str) -> None:
    try:
        await get_channel_layer().group_send(group, WAKE)
    except Exception:
        logger.debug("wake-up not sent", exc_info=True)


def _background_loop() -> asyncio.AbstractEventLoop:
    global _loop  # noqa: PLW0603 - one a process
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="streams", daemon=True).start()
        return _loop


def _forget() -> None:
    # Threads do not survive a fork; the child starts its own.
    global _loop, _lock
    _loop, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)
