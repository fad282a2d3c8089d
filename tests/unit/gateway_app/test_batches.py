"""Together what comes together, alone what cannot be done."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway_app.services.batches import Batch


class Work:
    """Doubles numbers, one batch at a time; 13 cannot be doubled."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.at_once = 0

    async def __call__(self, items: Sequence[int]) -> Sequence[int]:
        self.batches.append(list(items))
        self.at_once += 1
        assert self.at_once == 1
        await asyncio.sleep(0)
        self.at_once -= 1
        if 13 in items:
            raise ValueError("13")
        return [2 * item for item in items]


def test_what_comes_while_others_are_being_done_goes_together() -> None:
    async def scene() -> tuple[list[int], list[list[int]]]:
        work = Work()
        batch = Batch(work, most=4)
        first = asyncio.create_task(batch.do(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        results = await asyncio.gather(*(batch.do(number) for number in range(2, 9)))
        return [await first, *results], work.batches

    results, batches = asyncio.run(scene())
    assert results == [2, 4, 6, 8, 10, 12, 14, 16]
    assert batches == [[1], [2, 3, 4, 5], [6, 7, 8]]


def test_one_that_cannot_be_done_does_not_take_the_others_with_it() -> None:
    async def scene() -> tuple[list[int | BaseException], list[list[int]]]:
        work = Work()
        batch = Batch(work)
        return await asyncio.gather(*map(batch.do, (1, 13, 3)), return_exceptions=True), work.batches

    results, batches = asyncio.run(scene())
    assert (results[0], results[2]) == (2, 6)
    assert isinstance(results[1], ValueError)
    assert batches == [[1, 13, 3], [1], [13], [3]]


def test_what_is_no_items_own_is_told_to_all_and_not_tried_again() -> None:
    async def scene() -> tuple[list[int | BaseException], list[list[int]]]:
        work = Work()
        batch = Batch(work, of_all=(ValueError,))
        return await asyncio.gather(*map(batch.do, (1, 13, 3)), return_exceptions=True), work.batches

    results, batches = asyncio.run(scene())
    assert [type(result) for result in results] == [ValueError] * 3
    assert batches == [[1, 13, 3]]


def test_whoever_leaves_does_not_undo_the_work() -> None:
    async def scene() -> list[list[int]]:
        work = Work()
        batch = Batch(work)
        leaving = asyncio.create_task(batch.do(1))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await batch.do(2) == 4
        return work.batches

    assert asyncio.run(scene()) == [[1], [2]]


def test_what_nobody_waits_for_rests_until_its_alarm_and_goes_together() -> None:
    async def scene() -> tuple[list[int], list[list[int]]]:
        work = Work()
        batch = Batch(work)
        resting = [asyncio.create_task(batch.do_within(0.05, number)) for number in (1, 2)]
        await asyncio.sleep(0)
        assert await batch.do(3) == 6
        assert batch.has_resting
        return await asyncio.gather(*resting), work.batches

    assert asyncio.run(scene()) == ([2, 4], [[3], [1, 2]])


def test_half_a_batch_rests_no_longer() -> None:
    async def scene() -> list[list[int]]:
        work = Work()
        batch = Batch(work, most=4)
        await asyncio.gather(*(batch.do_within(3600, number) for number in (1, 2)))
        assert not batch.has_resting
        return work.batches

    assert asyncio.run(scene()) == [[1, 2]]


def test_what_is_woken_stands_before_what_is_asked_for_later() -> None:
    async def scene() -> list[list[int]]:
        work = Work()
        batch = Batch(work)
        resting = asyncio.create_task(batch.do_within(3600, 1))
        first = asyncio.create_task(batch.do(2))
        await asyncio.sleep(0)
        batch.wake()
        await asyncio.gather(resting, first, batch.do(3), batch.do(4))
        batch.wake()
        return work.batches

    assert asyncio.run(scene()) == [[2, 1], [3, 4]]


def test_an_eighth_of_a_batch_goes_as_soon_as_nothing_else_is_asked_for() -> None:
    async def scene() -> tuple[list[int], list[list[int]]]:
        work = Work()
        batch = Batch(work, most=16)
        resting = [asyncio.create_task(batch.do_within(3600, number)) for number in (1, 2)]
        await asyncio.gather(batch.do(3), batch.do(4))
        return await asyncio.gather(*resting), work.batches

    assert asyncio.run(scene()) == ([2, 4], [[3, 4], [1, 2]])
