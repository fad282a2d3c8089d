"""What is kept by a web process, and how it is loaded."""

import asyncio
import time

import pytest

from gateway_app.v1.shelf import Shelf


class Crowded(Exception):
    """Too many wait."""


class Source:
    """Counts how often it is read; each reading is a new value."""

    def __init__(self) -> None:
        self.reads = 0
        self.at_once = self.most_at_once = 0
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None

    async def load(self) -> str:
        self.reads += 1
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        number = self.reads
        try:
            await self.go.wait()
            await asyncio.sleep(0)
            if self.error:
                raise self.error
            return f"value {number}"
        finally:
            self.at_once -= 1


def shelf(*, seconds: float = 60, size: int = 10, at_once: int = 2, waiting: int = 3) -> Shelf[str, str]:
    return Shelf(seconds=lambda: seconds, size=size, at_once=at_once, waiting=waiting, crowded=Crowded)


async def test_value_is_loaded_once_while_it_is_fresh() -> None:
    source, kept = Source(), shelf()
    assert await kept.get("a", source.load) == await kept.get("a", source.load) == "value 1"


async def test_value_is_loaded_again_when_it_is_old() -> None:
    source, kept = Source(), shelf(seconds=0)
    assert [await kept.get("a", source.load), await kept.get("a", source.load)] == ["value 1", "value 2"]


async def test_many_who_wait_for_the_same_load_it_once() -> None:
    source, kept = Source(), shelf()
    assert set(await asyncio.gather(*(kept.get("a", source.load) for _ in range(50)))) == {"value 1"}
    assert source.reads == 1


async def test_one_who_leaves_does_not_end_the_load_for_others() -> None:
    source, kept = Source(), shelf()
    source.go.clear()
    first, second = (asyncio.ensure_future(kept.get("a", source.load)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    source.go.set()
    assert await second == "value 1"


async def test_error_is_told_to_all_and_not_kept() -> None:
    source, kept = Source(), shelf()
    source.error = LookupError()
    outcomes = await asyncio.gather(*(kept.get("a", source.load) for _ in range(3)), return_exceptions=True)
    assert all(isinstance(outcome, LookupError) for outcome in outcomes)
    source.error = None
    assert await kept.get("a", source.load) == "value 2"


async def test_error_of_a_newer_reading_drops_the_old_value() -> None:
    source, kept = Source(), shelf()
    seen = await kept.get("a", source.load)
    source.error = LookupError()
    with pytest.raises(LookupError):
        await kept.renewed("a", seen, source.load)
    source.error = None
    assert await kept.get("a", source.load) == "value 3"


async def test_loads_at_once_and_those_who_wait_for_them_are_bounded() -> None:
    source, kept = Source(), shelf(at_once=2, waiting=3)
    source.go.clear()
    tasks = [asyncio.ensure_future(kept.get(str(number), source.load)) for number in range(9)]
    await asyncio.sleep(0.01)
    source.go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(outcome, Crowded) for outcome in outcomes) == 4
    assert source.most_at_once == 2


async def test_renewed_loads_once_for_all_who_saw_the_same_old_value() -> None:
    source, kept = Source(), shelf()
    seen = await kept.get("a", source.load)
    first = await kept.renewed("a", seen, source.load)
    assert first == await kept.renewed("a", seen, source.load) == await kept.get("a", source.load) == "value 2"


async def test_shelf_keeps_no_more_than_its_size() -> None:
    source, kept = Source(), shelf(size=2)
    for key in "abc":
        await kept.get(key, source.load)
    await kept.get("c", source.load)
    assert source.reads == 3
    await kept.get("a", source.load)
    assert source.reads == 4


async def test_age_counts_from_the_beginning_of_the_load() -> None:
    source, kept = Source(), shelf()
    assert kept.age("a") == 0
    began = list[float]()

    async def load() -> str:
        began.append(time.monotonic())
        return await source.load()

    source.go.clear()
    loading = asyncio.ensure_future(kept.get("a", load))
    await asyncio.sleep(0.05)
    loaded_for = time.monotonic() - began[0]
    source.go.set()
    await loading
    assert kept.age("a") >= loaded_for
