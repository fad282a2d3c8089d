"""Doing together what was asked for at the same moment."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Batch(Generic[T, R]):
    """Collects items while earlier ones are being done, and hands them over together. Of one event loop.

    ``work`` takes items and returns as many results, or raises. When it raises for several, each is tried alone, so
    that one that cannot be done does not take the others with it; but errors of the kinds ``of_all`` are no item's own,
    and are told to all.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        most: int = 64,
        of_all: tuple[type[Exception], ...] = (),
    ) -> None:
        self._work = work
        self._most = most
        self._of_all = of_all
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._worker: asyncio.Task[None] | None = None
        # What has time, until its alarm.
        self._resting: list[tuple[T, asyncio.Future[R]]] = []
        self._alarm: asyncio.TimerHandle | None = None

    async def do(self, item: T) -> R:
        """Return the item's result; raises what its work raised. Leaving early does not undo the work."""
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._start()
        return await future

    async def do_within(self, seconds: float, item: T) -> R:
        """The same for an item that nobody waits for: it rests for so long at most, and goes with more of its kind.

        Half a batch of them rests no longer, an eighth goes as soon as nothing else is asked for.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._resting.append((item, future))
        if len(self._resting) >= self._most // 2:
            self.wake()
        elif self._alarm is None:
            self._alarm = loop.call_later(seconds, self.wake)
        return await future

    @property
    def has_resting(self) -> bool:
        """Whether there are items that rest."""
        return bool(self._resting)

    def wake(self) -> None:
        """Let what rests stand in line, before whatever is asked for from now on."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if self._resting:
            self._waiting += self._resting
            self._resting = []
            self._start()

    def _start(self) -> None:
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            await self._together(batch)
            if not self._waiting and len(self._resting) >= self._most // 8:
                self.wake()

    async def _together(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        try:
            results = await self._work([item for item, _future in batch])
        except Exception as error:  # noqa: BLE001 - handed to whoever asked
            if len(batch) == 1 or isinstance(error, self._of_all):
                for _item, future in batch:
                    _tell(future, error=error)
                return
            for single in batch:
                await self._together([single])
            return
        for (_item, future), result in zip(batch, results, strict=True):
            _tell(future, result=result)


def _tell(future: "asyncio.Future[R]", *, result: R | None = None, error: Exception | None = None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
        # Whoever asked may have left; an unread error is no news then.
        future.exception()
    else:
        future.set_result(result)  # type: ignore[arg-type]
