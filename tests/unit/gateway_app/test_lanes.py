"""A settlement that nobody waits for rests, and nobody is refused money, nor given less, because of it."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any
from uuid import uuid4

import orjson

from gateway_app.services.books import Answer, Item, Lane

ORGANIZATION = uuid4()
HOUR = 3600.0


class Books(Lane):
    """A lane whose database has money for one call, which a settlement gives back."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[list[str]] = []
        self.money = 1

    async def _execute(self, groups: bytes) -> list[list[Answer]]:
        await asyncio.sleep(0)
        told: list[dict[str, Any]] = orjson.loads(groups)
        self.written.append([row["id"] for group in told for row in group["items"]])
        return [[self._answer(group["do"], row) for row in group["items"]] for group in told]

    def _answer(self, do: str, row: dict[str, Any]) -> Answer:
        if do == "settle":
            self.money += 1
            return {"outcome": "settled"}
        if self.money:
            self.money -= 1
            return {"outcome": "held"}
        if row.get("cheaper"):
            return {"outcome": "held", "option": 1}
        return {"outcome": "insufficient_funds"}

    async def open(self, name: str, **more: Any) -> Answer:
        return await self.do(Item("open", ORGANIZATION, {"id": name, "user": "", **more}))

    async def rest(self, name: str) -> Answer:
        return await self.do(Item("settle", ORGANIZATION, {"id": name, "user": ""}), within=HOUR)

    async def settle(self, name: str) -> Answer:
        return await self.do(Item("settle", ORGANIZATION, {"id": name, "user": ""}))


def _after_one(books: Books, *following: Coroutine[Any, Any, Answer]) -> tuple[list[str], Sequence[list[str]]]:
    """What ``following`` is answered after a call that was held for and whose settlement rests, and what is written."""

    async def scene() -> list[str]:
        await books.open("first")
        resting = asyncio.create_task(books.rest("rests"))
        await asyncio.sleep(0)
        answers = [str((await one).get("option", "")) for one in following]
        resting.cancel()
        return answers

    return asyncio.run(scene()), books.written[1:]


def test_who_finds_too_little_is_asked_again_after_what_rests() -> None:
    books = Books()
    _after_one(books, books.open("second"))
    assert books.written == [["first"], ["second"], ["rests", "second"]]
    assert books.money == 0


def test_who_could_be_given_less_goes_behind_what_rests() -> None:
    books = Books()
    answers, written = _after_one(books, books.open("second", cheaper=[{}]))
    assert (answers, written) == ([""], [["rests", "second"]])


def test_a_settlement_in_a_hurry_takes_those_that_rest_along() -> None:
    books = Books()
    _answers, written = _after_one(books, books.settle("hurries"))
    assert written == [["hurries", "rests"]]


def test_whom_there_is_money_for_does_not_disturb_it() -> None:
    books = Books()
    books.money = 2
    _answers, written = _after_one(books, books.open("second"))
    assert written == [["second"]]


def test_who_finds_too_little_with_nothing_at_rest_is_refused_at_once() -> None:
    books = Books()
    books.money = 0

    async def scene() -> Answer:
        return await books.open("only")

    assert asyncio.run(scene()) == {"outcome": "insufficient_funds"}
    assert books.written == [["only"]]
