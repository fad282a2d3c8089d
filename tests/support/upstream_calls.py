"""How the scripted upstream answers one call, whatever its wire: its errors, its faults, its stream, its books."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tests.support.upstream_script import Behaviour, prompt_tokens, tokens

HOUR_MS = 3_600_000


@dataclass
class Served:
    """One call as the upstream saw it. ``outcome``: open, completed, client_gone, cut, hung, reset, error.

    ``usage`` is what it told (or would bill); ``texts`` are the pieces that it sent, in order.
    """

    request_id: str
    client_request_id: str
    model: str
    stream: bool
    messages: list[dict[str, Any]] = field(repr=False)
    body: dict[str, Any] = field(repr=False)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    usage: dict[str, Any] | None = None
    status: int = 200
    outcome: str = "open"
    client_port: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    path: str = "chat/completions"
    number: int = 1
    images: int = 0
    is_usage_told: bool = False
    texts: list[str] = field(default_factory=list, repr=False)
    raw_body: bytes = field(default=b"", repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)


class ClientGoneError(Exception):
    """The caller closed its end."""


class Call:
    """Answers one call and books it. Every wait ends at once when the caller leaves."""

    def __init__(
        self, served: Served, behaviour: Behaviour, writer: asyncio.StreamWriter, gone: "asyncio.Future[bytes]"
    ) -> None:
        self.served, self.behaviour, self.writer, self.gone = served, behaviour, writer, gone
        self.pieces, self.finish = self._script()

    async def answer(self) -> bool:
        """Send the answer; False when the connection was broken on purpose."""
        behaviour = self.behaviour
        await self._pause(behaviour.first_delay)
        if behaviour.reset:
            return self._break("reset")
        if behaviour.hang == "first":
            self.served.prompt_tokens = self._prompt_tokens()
            await self._pause(HOUR_MS)
        if behaviour.status != 200:
            return await self._error()
        self.served.prompt_tokens = self._prompt_tokens()
        return await (self._stream() if self.served.stream else self._json())

    # -- what the wires differ in ----------------------------------------------------------------------------------

    def _text(self) -> str:
        """The text that is answered when nothing was scripted."""
        return ""

    def _prompt_tokens(self) -> int:
        return prompt_tokens(self.served.messages)

    def _limit(self) -> int | None:
        return self.served.body.get("max_completion_tokens") or self.served.body.get("max_tokens")

    def _whole(self) -> dict[str, Any]:
        """The whole answer, booked."""
        raise NotImplementedError

    def _begin(self) -> list[bytes]:
        """The events before the first token."""
        return []

    def _piece(self, text: str) -> list[bytes]:
        """The events of one token."""
        raise NotImplementedError

    def _rest(self) -> Iterator[bytes]:
        """The events after the last token, the finish reason among them; not the usage."""
        raise NotImplementedError

    def _end(self) -> list[bytes]:
        """The events that end the stream, with the usage if it is told."""
        raise NotImplementedError

    # -- the same for all ------------------------------------------------------------------------------------------

    def _script(self) -> tuple[list[str], str]:
        behaviour = self.behaviour
        text = self._text() if behaviour.text is None else behaviour.text
        limit = self._limit()
        pieces = [] if behaviour.tool_calls else tokens(text)
        finish = behaviour.finish_reason or ("tool_calls" if behaviour.tool_calls else "stop")
        return pieces[:limit], "length" if limit and len(pieces) > limit else finish

    async def _error(self) -> bool:
        status = self.behaviour.status
        kind = "invalid_request_error" if status < 429 else "rate_limit_error" if status == 429 else "server_error"
        code = self.behaviour.error_code or None
        error = {"message": f"Scripted {status}.", "type": kind, "param": None, "code": code}
        retry = self.behaviour.retry_after
        self.served.status, self.served.outcome = status, "error"
        await self._send(response(status, {"error": error}, {} if retry is None else {"retry-after": f"{retry:g}"}))
        return True

    async def _json(self) -> bool:
        for _piece in self.pieces:
            await self._pause(self.behaviour.delay)
        if self.behaviour.cut_after is not None or self.behaviour.hang == "stream":
            return self._break("cut")
        answer: Any = self._whole()
        if self.behaviour.raw is not None:
            answer = self.behaviour.raw
        await self._send(response(200, answer, {"x-request-id": self.served.request_id}))
        self.served.outcome = "completed"
        return True

    async def _stream(self) -> bool:
        await self._send(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
            f"x-request-id: {self.served.request_id}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        behaviour = self.behaviour
        if behaviour.raw is not None:
            self._usage()
            await self._events([behaviour.raw])
            return await self._finish()
        await self._events(self._begin())
        for number, piece in enumerate([*self.pieces, None]):
            if number == behaviour.cut_after:
                return self._break("cut")
            if number == behaviour.error_after:
                await self._events([self._told_error()])
                return self._break("cut")
            if behaviour.hang == "stream" and number == behaviour.hang_after:
                await self._pause(HOUR_MS)
            if piece is not None:
                await self._pause(behaviour.delay)
                await self._events(self._piece(piece))
                self.served.texts.append(piece)
                self.served.completion_tokens += 1
        await self._events(list(self._rest()))
        if behaviour.cut_before_usage:
            return self._break("cut")
        await self._events(self._end())
        return await self._finish()

    async def _finish(self) -> bool:
        await self._send(b"0\r\n\r\n")
        self.served.outcome = "completed"
        return True

    def _told_error(self) -> bytes:
        return event({"error": {"message": "Scripted error.", "type": "server_error", "code": None}})

    def _usage(self) -> dict[str, Any]:
        """The usage as this wire writes it, booked; empty when it is not to be told."""
        if self.behaviour.omit_usage:
            return {}
        read, written = self._names
        prompt, completion = self.served.prompt_tokens, self.served.completion_tokens
        usage = {read: prompt, written: completion, "total_tokens": prompt + completion}
        self.served.usage = usage | (self.behaviour.usage or {})
        self.served.prompt_tokens = self.served.usage[read]
        self.served.completion_tokens = self.served.usage[written]
        self.served.is_usage_told = True
        return {"usage": self.served.usage}

    _names: ClassVar[tuple[str, str]] = ("prompt_tokens", "completion_tokens")

    async def _events(self, events: list[bytes]) -> None:
        for data in events:
            written = b": scripted\n\n" + data if self.behaviour.pings else data
            written = written.replace(b"\n", b"\r\n") if self.behaviour.crlf else written
            size = self.behaviour.split or len(written)
            for at in range(0, len(written), size):
                await self._send(_chunked(written[at : at + size]))
                if self.behaviour.split:
                    await asyncio.sleep(0)

    async def _send(self, data: bytes) -> None:
        if self.gone.done():
            raise ClientGoneError
        self.writer.write(data)
        await self.writer.drain()

    async def _pause(self, milliseconds: float) -> None:
        if milliseconds:
            await asyncio.wait([self.gone], timeout=milliseconds / 1000)
        else:
            await asyncio.sleep(0)  # lets the loop see that the caller has left
        if self.gone.done():
            raise ClientGoneError

    def _break(self, outcome: str) -> bool:
        connection = self.writer.get_extra_info("socket")
        if outcome == "reset":
            # Linger 0: the caller gets a reset, not an orderly end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.served.outcome = outcome
        self.writer.close()
        return False


def event(data: dict[str, Any], name: str = "") -> bytes:
    """Return one server-sent event."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def response(status: int, content: Any, headers: dict[str, str] | None = None) -> bytes:
    """Return a whole HTTP response: bytes as they are, all else as JSON."""
    is_raw = isinstance(content, bytes)
    body = content if is_raw else json.dumps(content, ensure_ascii=False).encode()
    kind = (headers or {}).pop("content-type", "application/json") if headers else "application/json"
    lines = [f"HTTP/1.1 {status} Scripted", f"content-type: {kind}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
