"""How long Redis is waited for.

A Redis that is gone refuses at once; one that hangs is waited for a second, once, by those who came then. The second is
counted in turns of the loop, so that a loop that stood still itself does not take Redis for hanging.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

_TICK, _TICKS = 0.25, 4
PATIENCE = _TICK * _TICKS  # seconds
T = TypeVar("T")


class _Watch:
    """Cancels a task after so many turns of the loop, each at least so long."""

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self._task, self._loop = task, asyncio.get_running_loop()
        self._left = _TICKS
        self._timer = self._loop.call_later(_TICK, self._tick)

    @property
    def has_ended(self) -> bool:
        """Whether it has cancelled the task."""
        return self._left == 0

    def stop(self) -> None:
        """Look no longer."""
        self._timer.cancel()

    def _tick(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(_TICK, self._tick)
        else:
            self._task.cancel()


async def patiently(request: Awaitable[T]) -> T:
    """Return what Redis answers; raises TimeoutError when it does not."""
    task = asyncio.current_task()
    assert task
    watch = _Watch(task)
    try:
        return await request
    except asyncio.CancelledError:
        if not watch.has_ended or task.uncancel():
            raise
        raise TimeoutError from None
    finally:
        watch.stop()
