"""One event loop of this process, in a thread: for what a thread begins and must be able to break off while it waits.

A blocking read cannot be left; a task can be cancelled, and closes its connection as it goes.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any

# Seconds that a cancelled task has for closing its connection.
_FAREWELL = 5.0


class Work:
    """A coroutine at work in the loop, in the context of whoever began it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> None:
        self._loop = loop
        self._ended = threading.Event()
        self._task: asyncio.Task[None] | None = None
        loop.call_soon_threadsafe(self._start, work, context=contextvars.copy_context())

    @property
    def is_over(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self._ended.is_set()

    def result(self) -> None:
        """Wait for the end; raises what it raised."""
        self._ended.wait()
        assert self._task
        self._task.result()

    def cancel(self) -> None:
        """Break it off, and wait until it has cleaned up after itself."""
        self._loop.call_soon_threadsafe(self._cancel)
        self._ended.wait(_FAREWELL)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(lambda _task: self._ended.set())

    def _cancel(self) -> None:
        assert self._task
        self._task.cancel()


class Background:
    """The loop's thread, started when it is first needed, and again in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, work: Callable[[], Coroutine[Any, Any, None]]) -> Work:
        """Start ``work()`` in the loop."""
        return Work(self._running_loop(), work())

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="gateway-loop", daemon=True)
                self._thread.start()
            return self._loop


background = Background()
