"""The statement that writes calls: `gateway_books`, once over Django's connection, once over connections of its own.

Threads write through Django, within whatever transaction is open. The event loop of /v1 has a few lanes with a
connection each, and writes together what comes together: the calls of one organization always go by the same lane.
"""

import asyncio
import os
from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

import orjson
import psycopg
from django.db import OperationalError, connection, connections

from gateway_app.services.batches import Batch
from gateway_app.services.pg_wire import Wire

Row = dict[str, Any]
Answer = dict[str, Any]


class Item(NamedTuple):
    """What is to be written of one call. ``revisions``: what was decided by, if it was not read afresh."""

    do: str
    organization_id: UUID
    row: Row
    revisions: dict[str, int] | None = None


_BOOKS = "SELECT gateway_books(%s::jsonb)"
_ASK = b"SELECT gateway_books($1::jsonb)"
# Statements at once of one process. Organizations are spread over them; one that waits for a lock delays its own lane.
LANES = 4


def books_write(item: Item) -> Answer:
    """Write one item in the open transaction; return its answer."""
    with connection.cursor() as cursor:
        cursor.execute(_BOOKS, [_dump([[item]]).decode()])
        ((answers,),) = cursor.fetchall()
    written: Answer = (orjson.loads(answers) if isinstance(answers, str) else answers)[0][0]
    return written


async def abooks_write(item: Item, *, within: float = 0.0) -> Answer:
    """Write one item, together with others of the moment, and commit; return its answer.

    One that nobody waits for may be written ``within`` so many seconds, together with more.
    Raises django.db.OperationalError when PostgreSQL cannot be reached or gave up.
    """
    try:
        return await _lanes().lane(item.organization_id).do(item, within=within)
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise OperationalError(str(error)) from error


# What the books say to who finds too little money. Nothing is left of such an item: it can be asked for again.
_WITHOUT_MONEY = {"insufficient_funds", "budget_exceeded"}


def _may_get_less(item: Item) -> bool:
    """Whether too little money does not refuse ``item``, but makes less of it: a cheaper model, a shortfall."""
    return item.do == "settle" or bool(item.row.get("cheaper"))


class ConnectionLost(psycopg.OperationalError):
    """PostgreSQL went away before it answered: whether the work was committed is not known."""


class Lane:
    """One connection, kept open, and what waits for it."""

    def __init__(self) -> None:
        self._wire: Wire | None = None
        # Tried again, an opening that was committed would only be refused as one that is there already.
        self._batch = Batch[Item, Answer](self._write, of_all=(ConnectionLost,))

    async def do(self, item: Item, *, within: float = 0.0) -> Answer:
        """Write ``item`` with whatever else waits; return its answer. Raises psycopg.Error.

        What rests gives money back: nobody is refused any, nor given less, because of it.
        """
        if within:
            return await self._batch.do_within(within, item)
        has_resting = self._batch.has_resting
        if has_resting and _may_get_less(item):
            self._batch.wake()
        answer = await self._batch.do(item)
        if has_resting and answer["outcome"] in _WITHOUT_MONEY:
            self._batch.wake()
            answer = await self._batch.do(item)
        return answer

    def wake(self) -> None:
        """Let what rests be written now."""
        self._batch.wake()

    async def close(self) -> None:
        """Close the connection; the next item opens another."""
        gone, self._wire = self._wire, None
        if gone is not None:
            await gone.close()

    async def _write(self, items: Sequence[Item]) -> Sequence[Answer]:
        groups = _grouped(items)
        written = await self._execute(_dump([[items[index] for index in group] for group in groups]))
        answers: list[Answer] = [{}] * len(items)
        for group, told in zip(groups, written, strict=True):
            for index, answer in zip(group, told, strict=True):
                answers[index] = answer
        return answers

    async def _execute(self, groups: bytes) -> list[list[Answer]]:
        if self._wire is not None and not self._wire.is_open:
            await self.close()
        try:
            if self._wire is None:
                self._wire = await Wire.open(_parameters())
            answer = await self._wire.ask(_ASK, groups)
        except (psycopg.OperationalError, psycopg.InterfaceError, asyncio.CancelledError) as error:
            # Whatever may still come on this connection is nobody's answer any more.
            await self.close()
            if _is_lost(error):
                raise ConnectionLost(str(error)) from error
            raise
        answers: list[list[Answer]] = orjson.loads(answer)
        return answers


class Lanes:
    """The lanes of one event loop."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lanes = [Lane() for _number in range(LANES)]

    def lane(self, organization_id: UUID) -> Lane:
        """Return the organization's lane."""
        return self._lanes[organization_id.int % LANES]

    def wake(self) -> None:
        """Let what rests in any of them be written now."""
        for lane in self._lanes:
            lane.wake()

    async def close(self) -> None:
        """Close every connection."""
        for lane in self._lanes:
            await lane.close()


_all: "WeakKeyDictionary[asyncio.AbstractEventLoop, Lanes]" = WeakKeyDictionary()


def _lanes() -> Lanes:
    loop = asyncio.get_running_loop()
    lanes = _all.get(loop)
    if lanes is None or lanes.pid != os.getpid():
        lanes = _all[loop] = Lanes()
    return lanes


def books_wake() -> None:
    """Let what rests in the running event loop be written now."""
    _lanes().wake()


async def books_close() -> None:
    """Close the running event loop's connections, when the loop is about to end."""
    lanes = _all.pop(asyncio.get_running_loop(), None)
    if lanes is not None:
        await lanes.close()


def _is_lost(error: BaseException) -> bool:
    """Whether ``error`` is the connection's: without a code, or with those of its end and of the server's."""
    state = getattr(error, "sqlstate", None)
    return isinstance(error, psycopg.Error) and (state is None or state.startswith(("08", "57P")))


def _parameters() -> dict[str, Any]:
    """What Django connects with, without what belongs to its own cursors and pool."""
    parameters = dict(connections["default"].get_connection_params())
    for name in ("context", "cursor_factory", "pool", "prepare_threshold", "server_side_binding"):
        parameters.pop(name, None)
    # PgBouncer in transaction mode keeps no session state, hence no prepared statements either.
    return parameters | {"autocommit": True, "prepare_threshold": None}


# What gives money back goes before what asks for it.
_ORDER = {"settle": 0, "open": 1}


def _grouped(items: Sequence[Item]) -> list[list[int]]:
    """The items' places, those together that can be written together.

    Organizations in one order everywhere: two processes never wait for each other's wallets in a ring.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for index, (do, organization_id, _row, revisions) in enumerate(items):
        key = (organization_id, _ORDER.get(do, 2), do, tuple(revisions.values()) if revisions else ())
        groups.setdefault(key, []).append(index)
    return [sorted(groups[key], key=lambda index: items[index].row["id"]) for key in sorted(groups)]


def _dump(groups: Sequence[Sequence[Item]]) -> bytes:
    told = [
        {
            "organization": group[0].organization_id,
            "user": group[0].row["user"],
            "do": group[0].do,
            "revisions": group[0].revisions,
            "items": [item.row for item in group],
        }
        for group in groups
    ]
    return orjson.dumps(told, default=str)
