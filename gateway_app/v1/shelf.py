"""Values that are dear to load and change seldom: kept for a while, loaded once however many wait for them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")
Load = Callable[[], Awaitable[ValueT]]


class Shelf(Generic[KeyT, ValueT]):
    """Keeps what was loaded for ``seconds()``, at most ``size`` values; errors are never kept.

    No more than ``at_once`` loads run at the same time, and no more than ``waiting`` wait for their turn: beyond that
    ``crowded()`` is raised, so that many who ask for nothing real cannot fill the database's queue.
    """

    def __init__(
        self,
        *,
        seconds: Callable[[], float],
        size: int,
        at_once: int,
        waiting: int,
        crowded: Callable[[], Exception],
    ) -> None:
        self._seconds, self._size = seconds, size
        self._at_once, self._waiting, self._crowded = at_once, waiting, crowded
        # The value, and when its loading began.
        self._kept: dict[KeyT, tuple[ValueT, float]] = {}
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue[KeyT, ValueT]] = WeakKeyDictionary()

    async def get(self, key: KeyT, load: Load[ValueT]) -> ValueT:
        """Return the value of ``key``, loaded now or not long ago; raises what ``load`` raises."""
        kept = self._kept.get(key)
        if kept is not None and time.monotonic() - kept[1] < self._seconds():
            return kept[0]
        return await self._loaded(key, load)

    async def renewed(self, key: KeyT, seen: ValueT, load: Load[ValueT]) -> ValueT:
        """Return a newer value than ``seen``, which has turned out to be old: loaded now, unless somebody just did."""
        kept = self._kept.get(key)
        if kept is not None and kept[0] is not seen:
            return kept[0]
        return await self._loaded(key, load)

    def age(self, key: KeyT) -> float:
        """Return how many seconds ago the value of ``key`` was read; 0 when there is none."""
        kept = self._kept.get(key)
        return 0.0 if kept is None else time.monotonic() - kept[1]

    def clear(self) -> None:
        """Forget everything, as a new process."""
        self._kept.clear()

    async def _loaded(self, key: KeyT, load: Load[ValueT]) -> ValueT:
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None:
            queue = self._queues[loop] = _Queue(self._at_once)
        task = queue.running.get(key)
        if task is None:
            if len(queue.running) >= self._at_once + self._waiting:
                raise self._crowded()
            task = queue.running[key] = loop.create_task(self._fetch(queue, key, load))
        # One that leaves must not end the load for the others.
        return await asyncio.shield(task)

    async def _fetch(self, queue: "_Queue[KeyT, ValueT]", key: KeyT, load: Load[ValueT]) -> ValueT:
        try:
            async with queue.turns:
                # As old as its first query, not as its last.
                began = time.monotonic()
                value = await load()
        except Exception:
            self._kept.pop(key, None)
            raise
        finally:
            del queue.running[key]
        self._kept.pop(key, None)
        self._kept[key] = (value, began)
        if len(self._kept) > self._size:
            # The one that was loaded longest ago.
            del self._kept[next(iter(self._kept))]
        return value


class _Queue(Generic[KeyT, ValueT]):
    """What is being loaded in one event loop."""

    def __init__(self, at_once: int) -> None:
        self.turns = asyncio.Semaphore(at_once)
        self.running: dict[KeyT, asyncio.Task[ValueT]] = {}
