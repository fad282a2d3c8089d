"""One connection to PostgreSQL for an event loop: one statement at a time with one text parameter and one value back.

psycopg opens it and brings libpq; its cursors are left out, which cost the hot path as much as the rest of a batch:
here the loop watches the socket once for as long as the connection lives, and nothing is adapted or planned around.
"""

import asyncio
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq

_GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)


class Wire:
    """An open connection in autocommit."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._pg = connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._socket = self._pg.socket
        self._answer: asyncio.Future[None] | None = None
        self._loop.add_reader(self._socket, self._came)

    @classmethod
    async def open(cls, parameters: dict[str, Any]) -> "Wire":
        """Connect; raises psycopg.OperationalError."""
        return cls(await psycopg.AsyncConnection.connect(**parameters))

    @property
    def is_open(self) -> bool:
        """Whether the server has not closed it, as far as is known."""
        return self._pg.status == pq.ConnStatus.OK

    async def ask(self, statement: bytes, parameter: bytes) -> bytes:
        """Run ``statement`` with ``$1`` and return the one value that it brings. Raises psycopg.Error.

        After an OperationalError, and when it is cancelled, the connection is to be closed.
        """
        assert self._answer is None
        self._answer = self._loop.create_future()
        try:
            self._pg.send_query_params(statement, [parameter])
            while self._pg.flush():
                await self._writable()
            await self._answer
        finally:
            self._answer = None
        return self._value()

    async def close(self) -> None:
        """Close it, whatever it is doing."""
        self._loop.remove_reader(self._socket)
        with suppress(psycopg.Error):
            await self._connection.close()

    def _came(self) -> None:
        answer = self._answer
        try:
            self._pg.consume_input()
            if answer is None or answer.done() or self._pg.is_busy():
                # Without a question it is a notice, or the end: the next question tells.
                if answer is None and not self.is_open:
                    self._loop.remove_reader(self._socket)
                return
        except psycopg.OperationalError as error:
            self._loop.remove_reader(self._socket)
            if answer is not None and not answer.done():
                answer.set_exception(error)
            return
        answer.set_result(None)

    async def _writable(self) -> None:
        """Wait until more of a long question can be sent."""
        free = asyncio.Event()
        self._loop.add_writer(self._socket, free.set)
        try:
            await free.wait()
        finally:
            self._loop.remove_writer(self._socket)

    def _value(self) -> bytes:
        value: bytes | None = None
        failed: psycopg.Error | None = None
        while (result := self._pg.get_result()) is not None:
            if result.status in _GOOD:
                value = result.get_value(0, 0)
            else:
                failed = _error(result)
        if failed is not None:
            raise failed
        assert value is not None
        return value


def _error(result: Any) -> psycopg.Error:
    """What PostgreSQL said as psycopg's exception; a broken connection, which says no code, is operational."""
    code = result.error_field(pq.DiagnosticField.SQLSTATE)
    message = result.error_message.decode("utf-8", "replace").strip()
    kind: type[psycopg.Error] = psycopg.OperationalError
    if code:
        with suppress(KeyError):
            kind = psycopg.errors.lookup(code.decode())
    return kind(message)
