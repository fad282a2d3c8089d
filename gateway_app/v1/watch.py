"""Ends the work of one call from outside: when its caller leaves, or its provider has been silent for too long."""

import asyncio
import math
from enum import StrEnum

from gateway_app.v1.requests import Receive


class Why(StrEnum):
    """Why the work was ended."""

    GONE = "gone"
    SILENT = "silent"
    OVERDUE = "overdue"


class Watch:
    """Cancels the task that made it; ``why`` then tells the reason. Without one, the server itself is stopping.

    One timer looks now and then how long the provider has been silent: setting a timer for each chunk would cost more
    than the chunk. A caller who reads slowly is not the provider's silence: nothing is awaited meanwhile. Whether the
    caller is still there is asked from `PATIENCE` on: most that end sooner need not be watched.
    """

    PATIENCE = 0.02
    __slots__ = (
        "_between", "_deadline", "_is_closed", "_listener", "_listening", "_loop", "_receive", "_silent_since", "_task",
        "_timer", "why",
    )  # fmt: skip

    def __init__(self, receive: Receive) -> None:
        self.why: Why | None = None
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task
        self._task = task
        self._is_closed = False
        self._between = self._deadline = math.inf
        self._silent_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._receive = receive
        self._listener: asyncio.Task[None] | None = None
        self._listening = self._loop.call_later(self.PATIENCE, self._begin)

    def limit(self, *, between: float, total: float) -> None:
        """Begin to keep time: ``between`` seconds of the provider's silence, ``total`` from now for the rest."""
        self._between, self._deadline = between, self._loop.time() + total
        self._arm(between)

    def waiting(self) -> None:
        """The provider's next bytes are awaited from now."""
        self._silent_since = self._loop.time()

    def busy(self) -> None:
        """They have come."""
        self._silent_since = None

    def close(self) -> None:
        """Nothing is to be ended any more."""
        self._is_closed = True
        self._listening.cancel()
        if self._listener is not None:
            self._listener.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        self._listener = self._loop.create_task(self._listen())

    async def _listen(self) -> None:
        # What may still come before is the end of the request's body.
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._end(Why.GONE)

    def _arm(self, between: float) -> None:
        delay = max(0.001, min(between, self._deadline - self._loop.time()))
        self._timer = self._loop.call_later(delay, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        silent = 0.0 if self._silent_since is None else now - self._silent_since
        if now >= self._deadline:
            self._end(Why.OVERDUE)
        elif silent >= self._between:
            self._end(Why.SILENT)
        else:
            # Not later than a quarter past the limit is early enough.
            self._arm(max(self._between - silent, 0) if silent else self._between / 4)

    def _end(self, why: Why) -> None:
        if not self._is_closed and self.why is None:
            self.why = why
            self._task.cancel()
