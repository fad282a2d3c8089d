"""The statement that writes calls: `gateway_books`, once over Django's connection, once over connections of its own.

Threads write through Django, within whatever transaction is open. The event loop of /v1 has a few lanes with a
connection each, and writes together what comes together: the calls of one organization always go by the same lane.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
from django.db import OperationalError, connection, connections

from gateway_app.services.batches import Batch

Item = dict[str, Any]
Answer = dict[str, Any]

_BOOKS = "SELECT gateway_books(%s::jsonb)"
# Statements at once of one process. Organizations are spread over them; one that waits for a lock delays its own lane.
LANES = 4


def books_write(item: Item) -> Answer:
    """Write one item in the open transaction; return its answer."""
    with connection.cursor() as cursor:
        cursor.execute(_BOOKS, [_dump([item])])
        ((answers,),) = cursor.fetchall()
    written: Answer = (json.loads(answers) if isinstance(answers, str) else answers)[0]
    return written


async def abooks_write(item: Item) -> Answer:
    """Write one item, together with others of the moment, and commit; return its answer.

    Raises django.db.OperationalError when PostgreSQL cannot be reached or gave up.
    """
    try:
        return await _lanes().lane(item["organization"]).do(item)
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise OperationalError(str(error)) from error


class Lane:
    """One connection, kept open, and what waits for it."""

    def __init__(self) -> None:
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._batch = Batch[Item, Answer](self._write)

    async def do(self, item: Item) -> Answer:
        """Write ``item`` with whatever else waits; return its answer. Raises psycopg.Error."""
        return await self._batch.do(item)

    async def close(self) -> None:
        """Close the connection; the next item opens another."""
        gone, self._connection = self._connection, None
        if gone is not None:
            with suppress(psycopg.Error):
                await gone.close()

    async def _write(self, items: Sequence[Item]) -> Sequence[Answer]:
        # Organizations in one order everywhere: two processes never wait for each other's wallets in a ring.
        order = sorted(range(len(items)), key=lambda index: items[index]["organization"])
        written = await self._execute(_dump([items[index] for index in order]))
        answers: list[Answer] = [{}] * len(items)
        for index, answer in zip(order, written, strict=True):
            answers[index] = answer
        return answers

    async def _execute(self, items: str) -> list[Answer]:
        if self._connection is None or self._connection.closed:
            self._connection = await psycopg.AsyncConnection.connect(**_parameters())
        try:
            cursor = await self._connection.execute(_BOOKS, [items])
            row = await cursor.fetchone()
        except (psycopg.OperationalError, psycopg.InterfaceError):
            await self.close()
            raise
        assert row
        answers: list[Answer] = row[0]
        return answers


class Lanes:
    """The lanes of one event loop."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._lanes = [Lane() for _number in range(LANES)]

    def lane(self, organization_id: str) -> Lane:
        """Return the organization's lane."""
        return self._lanes[UUID(organization_id).int % LANES]

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


async def books_close() -> None:
    """Close the running event loop's connections, when the loop is about to end."""
    lanes = _all.pop(asyncio.get_running_loop(), None)
    if lanes is not None:
        await lanes.close()


def _parameters() -> dict[str, Any]:
    """What Django connects with, without what belongs to its own cursors and pool."""
    parameters = dict(connections["default"].get_connection_params())
    for name in ("context", "cursor_factory", "pool", "prepare_threshold", "server_side_binding"):
        parameters.pop(name, None)
    # PgBouncer in transaction mode keeps no session state, hence no prepared statements either.
    return parameters | {"autocommit": True, "prepare_threshold": None}


def _dump(items: Sequence[Item]) -> str:
    return json.dumps(items, default=str)
