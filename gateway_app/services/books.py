"""The statement that writes calls: `gateway_books`, once over Django's connection, once over a pool of its own.

Threads write through Django, within whatever transaction is open. The event loop of /v1 has its own small pool, and
writes together what comes together: the calls of one organization are always written by the same lane, in order.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import psycopg
import psycopg_pool
from django.db import OperationalError, connection, connections

from gateway_app.services.batches import Batch

Item = dict[str, Any]
Answer = dict[str, Any]

_BOOKS = "SELECT gateway_books(%s::jsonb)"
# Statements at once of one process. Organizations are spread over them; one that waits for a lock delays its own lane.
LANES = 4
# Seconds that a call waits for a connection before it is refused.
PATIENCE = 5.0


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
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg_pool.PoolTimeout) as error:
        raise OperationalError(str(error)) from error


class Lanes:
    """The pool and the batches of one event loop."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._pool = psycopg_pool.AsyncConnectionPool(
            kwargs=_parameters(),
            min_size=1,
            max_size=LANES,
            timeout=PATIENCE,
            max_idle=60,
            reconnect_timeout=5,
            open=False,
        )
        self._opened: asyncio.Task[None] | None = None
        self._batches = [Batch[Item, Answer](self._write) for _number in range(LANES)]

    def lane(self, organization_id: str) -> Batch[Item, Answer]:
        """Return the organization's lane."""
        return self._batches[UUID(organization_id).int % LANES]

    async def close(self) -> None:
        """Close the pool."""
        await self._pool.close()

    async def _write(self, items: Sequence[Item]) -> Sequence[Answer]:
        if self._opened is None:
            self._opened = asyncio.create_task(self._pool.open())
        await self._opened
        # Organizations in one order everywhere: two processes never wait for each other's wallets in a ring.
        order = sorted(range(len(items)), key=lambda index: items[index]["organization"])
        async with self._pool.connection() as database:
            cursor = await database.execute(_BOOKS, [_dump([items[index] for index in order])])
            row = await cursor.fetchone()
        assert row
        answers: list[Answer] = [{}] * len(items)
        for index, answer in zip(order, row[0], strict=True):
            answers[index] = answer
        return answers


_all: "WeakKeyDictionary[asyncio.AbstractEventLoop, Lanes]" = WeakKeyDictionary()


def _lanes() -> Lanes:
    loop = asyncio.get_running_loop()
    lanes = _all.get(loop)
    if lanes is None or lanes.pid != os.getpid():
        lanes = _all[loop] = Lanes()
    return lanes


async def books_close() -> None:
    """Close the running event loop's pool, when the loop is about to end."""
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
