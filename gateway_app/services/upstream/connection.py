"""One connection to a provider: HTTP/1.1, one request after the other, each answer read as it comes.

httptools (llhttp) parses; between the socket and whoever reads the answer there is nothing else.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import httptools

from gateway_app.services.upstream.errors import UpstreamBroken

# So much of an answer is kept for a slow reader, before the provider is made to wait.
_BUFFER_BYTES = 64 * 1024
# What comes sooner than this (seconds) after a part was taken goes on with what follows, in one piece: providers that
# write in bursts would cost us the most otherwise. Nobody sees so little, and models take longer for a token.
_GATHER_SECONDS = 0.002
# So much may come that is no body: a head, or what follows the last chunk.
_HEAD_BYTES = 64 * 1024
_FIRST_FINAL_STATUS = 200


class Reply:
    """A provider's answer, its body to be read as it comes; `close` it in the end, however far it was read."""

    __slots__ = (
        "_alarm", "_connection", "_due_at", "_error", "_loop", "_parts", "_reader", "_size", "headers", "is_complete",
        "status",
    )  # fmt: skip

    def __init__(self, connection: "Connection") -> None:
        self.status = 0
        # Names in lower case; of several with one name the last.
        self.headers: dict[str, str] = {}
        # Whether all has come, read or not.
        self.is_complete = False
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._size = 0
        self._error: ConnectionError | None = None
        self._reader: asyncio.Future[None] | None = None
        # The loop's time from which a part is given out although more may come, and what tells the reader then.
        self._due_at = 0.0
        self._alarm: asyncio.TimerHandle | None = None

    async def read(self) -> bytes:
        """Return what has come of the body, at least a byte; nothing at its end.

        The first part comes at once, what follows close behind another in one piece, at the latest _GATHER_SECONDS
        after that. Raises UpstreamBroken when it was broken off, after what had come before that.
        """
        if not self._is_due():
            await self._wait()
        if self._parts:
            parts, self._parts, self._size = self._parts, [], 0
            self._due_at = self._loop.time() + _GATHER_SECONDS
            self._connection.flow(self)
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if self._error is not None:
            raise self._error
        return b""

    def close(self) -> None:
        """Let go of it: what has not come by now ends with its connection, and so does the provider's work."""
        if not self.is_complete:
            self._connection.abort()

    @property
    def is_full(self) -> bool:
        """Whether more has come than a reader should have before it."""
        return self._size > _BUFFER_BYTES

    def add(self, data: bytes) -> None:
        """Take a part of the body."""
        self._parts.append(data)
        self._size += len(data)

    def end(self, error: ConnectionError | None = None) -> None:
        """Nothing more will come."""
        self.is_complete, self._error = error is None, error

    def wake(self) -> None:
        """Tell whoever waits that something has come, if it is to be given out by now; else when it is."""
        if self._reader is None or self._reader.done():
            return
        if self._is_due():
            self._reader.set_result(None)
        elif self._parts and self._alarm is None:
            self._alarm = self._loop.call_at(self._due_at, self._ring)

    def _is_due(self) -> bool:
        if self.is_complete or self._error is not None:
            return True
        return bool(self._parts) and (self.is_full or self._loop.time() >= self._due_at)

    async def _wait(self) -> None:
        self._reader = self._loop.create_future()
        self.wake()
        try:
            await self._reader
        finally:
            self._reader = None
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None

    def _ring(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)


class Connection(asyncio.Protocol):
    """An open connection; ``given_back`` is told when it may be asked again, ``lost`` when it has ended."""

    def __init__(self, given_back: Callable[["Connection"], None], lost: Callable[["Connection"], None]) -> None:
        self._given_back, self._lost = given_back, lost
        self._parser = httptools.HttpResponseParser(self)
        self._reply: Reply | None = None
        self._head: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport
        self._is_paused = False
        # Of the answer under way: what came since the last of its body, and what is known of it.
        self._without_body = 0
        self._headers: dict[str, str] = {}
        self._is_interim = self._is_delimited = self._is_complete = self._keeps = False

    # What its owner does.

    async def ask(self, request: Sequence[bytes]) -> Reply:
        """Send a request; return its answer once the head has come. Raises UpstreamBroken."""
        reply = self._reply = Reply(self)
        self._without_body = 0
        self._is_delimited = self._is_complete = self._keeps = False
        self._head = asyncio.get_running_loop().create_future()
        self._transport.writelines(request)
        try:
            await self._head
        except BaseException:
            self.abort()
            raise
        return reply

    def abort(self) -> None:
        """End it at once, whatever it is doing."""
        self._transport.abort()

    @property
    def is_open(self) -> bool:
        """Whether neither side has ended it, as far as is known."""
        return not self._transport.is_closing()

    def flow(self, reply: Reply) -> None:
        """Stop reading while ``reply`` is full, go on when it is not."""
        if reply is self._reply and self.is_open and reply.is_full is not self._is_paused:
            self._is_paused = not self._is_paused
            if self._is_paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    # What the event loop tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Some of an answer has come."""
        reply = self._reply
        if reply is None:
            # Nothing was asked: whatever it says would be taken for the answer to the next question.
            self.abort()
            return
        self._without_body += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keeps = False
            if not self._is_complete:  # what follows a whole answer is not the answer's fault
                self._tell_head(reply)
                self._fail(UpstreamBroken(f"What came is no HTTP: {error}"))
                return
        if self._without_body > _HEAD_BYTES:
            self._fail(UpstreamBroken("The head of the answer is too large."))
            return
        self._tell_head(reply)
        if self._is_complete:
            self._finish(reply)
        else:
            self.flow(reply)
            reply.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended."""
        self._lost(self)
        reply = self._reply
        if reply is None:
            return
        if exc is None and reply.status and not self._is_delimited:
            self._keeps = False
            self._finish(reply)
        else:
            self._fail(UpstreamBroken(str(exc or "The connection was closed before the answer was whole.")))

    # What the parser tells.

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self._is_complete:  # one that nobody asked for
            self._keeps = False
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come, or a trailer, which nobody reads."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is whole. One that only says that another will follow is passed over."""
        reply, status = self._reply, self._parser.get_status_code()
        self._is_interim = status < _FIRST_FINAL_STATUS
        if self._is_interim or self._is_complete or reply is None:
            return
        headers, self._headers = self._headers, {}
        reply.status, reply.headers = status, headers
        self._is_delimited = "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
        self._keeps = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """A part of the body has come."""
        self._without_body = 0
        if self._reply is not None and not self._is_complete:
            self._reply.add(body)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        self._is_complete = self._is_complete or not self._is_interim

    def _tell_head(self, reply: Reply) -> None:
        if reply.status and self._head is not None and not self._head.done():
            self._head.set_result(None)

    def _finish(self, reply: Reply) -> None:
        keeps = self._keeps and self.is_open
        self._reply = None
        if self._is_paused and self.is_open:
            self._is_paused = False
            self._transport.resume_reading()
        reply.end()
        if keeps:
            self._given_back(self)
        else:
            self._transport.close()
        reply.wake()

    def _fail(self, error: UpstreamBroken) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.end(error)
            reply.wake()
        if self._head is not None and not self._head.done():
            self._head.set_exception(error)
        self.abort()
