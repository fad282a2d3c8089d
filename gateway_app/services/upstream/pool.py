"""The connections of one event loop, kept open for the next call."""

import asyncio
import socket
import ssl
from collections import defaultdict, deque
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from aiohappyeyeballs import start_connection

from gateway_app.services.egress import checked_socket, trusted_socket
from gateway_app.services.upstream.connection import Connection, Reply
from gateway_app.services.upstream.errors import UpstreamUnreachable

# Connections are kept for less long than servers and balancers usually keep theirs, so that few are found closed.
_KEEP_ALIVE_SECONDS = 30.0
# RFC 8305: so long one address is given before the next is tried beside it.
_NEXT_ADDRESS_SECONDS = 0.25


class Origin(NamedTuple):
    """Where connections lead. ``is_trusted``: the machine's settings name it, see `egress`."""

    host: str
    port: int
    is_tls: bool
    is_trusted: bool


class Pool:
    """Opens connections where none is idle. There is no limit here: slots of the providers limit how many calls run."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._all: set[Connection] = set()
        # Each with the moment from which it is idle, the latest at the end.
        self._idle: defaultdict[Origin, deque[tuple[float, Connection]]] = defaultdict(deque)
        self._sweeping: asyncio.TimerHandle | None = None
        self._lookups: dict[Origin, asyncio.Task[list[Any]]] = {}

    async def ask(self, origin: Origin, request: Sequence[bytes], *, connect_timeout: float) -> Reply:
        """Send ``request``; return its answer's head. ``connect_timeout`` in seconds.

        Raises UpstreamUnreachable, UpstreamBroken.
        """
        connection = self._take(origin) or await self._open(origin, connect_timeout)
        return await connection.ask(request)

    async def close(self) -> None:
        """End every connection."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self._all):
            connection.abort()
        # The loop tells each of its end; until then its socket is open.
        await asyncio.sleep(0)

    def _take(self, origin: Origin) -> Connection | None:
        idle = self._idle[origin]
        while idle:
            since, connection = idle.pop()
            if connection.is_open and self._loop.time() - since < _KEEP_ALIVE_SECONDS:
                return connection
            connection.abort()
        return None

    async def _open(self, origin: Origin, patience: float) -> Connection:
        try:
            async with asyncio.timeout(patience):
                return await self._connect(origin)
        except TimeoutError as error:
            raise UpstreamUnreachable(f"There was no connection to {origin.host} in {patience:g} s.") from error
        except (OSError, RuntimeError) as error:  # no address, none that may be asked, nobody there, no trust
            raise UpstreamUnreachable(f"There is no connection to {origin.host}: {error}") from error

    async def _connect(self, origin: Origin) -> Connection:
        made = await start_connection(
            await self._addresses(origin),
            happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS,
            # Each is checked at the address that it goes to: a name may lead anywhere by now.
            socket_factory=trusted_socket if origin.is_trusted else checked_socket,
        )
        return await self._speak(origin, made)

    async def _addresses(self, origin: Origin) -> list[Any]:
        """Where the name leads; one question for all who want to know it now."""
        lookup = self._lookups.get(origin)
        if lookup is None:
            found = self._loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            lookup = self._lookups[origin] = asyncio.ensure_future(found)
            lookup.add_done_callback(lambda _done: self._lookups.pop(origin))
        return await asyncio.shield(lookup)

    async def _speak(self, origin: Origin, made: socket.socket) -> Connection:
        idle = self._idle[origin]

        def give_back(connection: Connection) -> None:
            idle.append((self._loop.time(), connection))
            if self._sweeping is None:
                self._sweeping = self._loop.call_later(_KEEP_ALIVE_SECONDS, self._sweep)

        try:
            _transport, connection = await self._loop.create_connection(
                lambda: Connection(give_back, self._all.discard),
                sock=made,
                ssl=_tls() if origin.is_tls else None,
                server_hostname=origin.host if origin.is_tls else None,
            )
        except BaseException:
            made.close()
            raise
        self._all.add(connection)
        return connection

    def _sweep(self) -> None:
        """End what has been idle for too long, and look again as long as there is something."""
        oldest_kept = self._loop.time() - _KEEP_ALIVE_SECONDS
        for idle in self._idle.values():
            while idle and (idle[0][0] <= oldest_kept or not idle[0][1].is_open):
                idle.popleft()[1].abort()
        is_needed = any(self._idle.values())
        self._sweeping = self._loop.call_later(_KEEP_ALIVE_SECONDS / 2, self._sweep) if is_needed else None


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
