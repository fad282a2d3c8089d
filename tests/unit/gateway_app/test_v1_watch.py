"""Who leaves or keeps silent ends the work, and nobody else does."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway_app.v1.watch import Watch, Why
from tests.support.asgi import Visit

Work = Callable[[Watch], Awaitable[None]]


async def ended(visit: Visit, work: Work, *, between: float = 60, total: float = 60) -> Why | None:
    """Do ``work`` under a watch; return why it was ended, None when it was not."""

    async def watched() -> Why | None:
        watch = Watch(visit.receive)
        watch.limit(between=between, total=total)
        try:
            await work(watch)
        except asyncio.CancelledError:
            return watch.why
        finally:
            watch.close()
        return None

    return await asyncio.wait_for(asyncio.ensure_future(watched()), 10)


async def test_caller_who_leaves_ends_the_work() -> None:
    visit = Visit(bodies=[])
    asyncio.get_running_loop().call_later(0.02, visit.leave)
    assert await ended(visit, lambda _watch: asyncio.sleep(10)) is Why.GONE


async def test_end_of_the_body_is_no_leaving() -> None:
    assert await ended(Visit(bodies=[b"rest", b""]), lambda _watch: asyncio.sleep(0.1)) is None


async def test_silence_ends_the_work() -> None:
    async def silent(watch: Watch) -> None:
        watch.waiting()
        await asyncio.sleep(10)

    assert await ended(Visit(bodies=[]), silent, between=0.05) is Why.SILENT


async def test_silence_begins_anew_with_each_wait() -> None:
    async def talking(watch: Watch) -> None:
        for _number in range(30):
            watch.waiting()
            await asyncio.sleep(0.05)
            watch.busy()

    assert await ended(Visit(bodies=[]), talking, between=1) is None


async def test_slow_reader_is_not_the_providers_silence() -> None:
    async def busy(watch: Watch) -> None:
        watch.waiting()
        watch.busy()
        await asyncio.sleep(0.2)

    assert await ended(Visit(bodies=[]), busy, between=0.03) is None


async def test_whole_call_has_a_limit_whatever_it_waits_for() -> None:
    assert await ended(Visit(bodies=[]), lambda _watch: asyncio.sleep(10), total=0.05) is Why.OVERDUE


async def test_closed_watch_ends_nothing() -> None:
    visit = Visit(bodies=[])

    async def outlasting(watch: Watch) -> None:
        watch.close()
        visit.leave()
        await asyncio.sleep(0.1)

    assert await ended(visit, outlasting, between=0.01, total=0.02) is None


async def test_cancelling_without_a_reason_is_the_servers_own() -> None:
    watch: list[Watch] = []

    async def work() -> None:
        watch.append(Watch(Visit(bodies=[]).receive))
        await asyncio.sleep(10)

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert watch[0].why is None
    watch[0].close()
