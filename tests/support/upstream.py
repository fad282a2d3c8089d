"""An OpenAI-compatible server of ours for tests: real sockets, no Django, every answer foreseeable.

It keeps its own tally of what it served, so that a ledger can be compared with the other side's books.
Alone: ``python -m tests.support.upstream --port 18080``; ``GET /tally`` then shows the tally.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tests.support.upstream_script import Behaviour, behaviour_for, default_text, prompt_tokens, tokens

__all__ = ["Behaviour", "ScriptedUpstream", "Served"]


@dataclass
class Served:
    """One call as the upstream saw it. ``outcome``: open, completed, client_gone, cut, hung, reset, error."""

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


class _ClientGoneError(Exception):
    """The caller closed its end."""


class ScriptedUpstream:
    """``start()`` it, point a client at ``url``; ``script`` or ``behave`` say how the next calls are answered."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.models = ["scripted"]
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._queue: list[Behaviour] = []
        self._served: list[Served] = []
        self.always = Behaviour()

    # -- for tests -------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """The base URL for clients, ending in /v1."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> "ScriptedUpstream":
        """Serve from a thread of its own. Returns itself once it listens."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted-upstream", daemon=True)
        self._thread.start()
        self._call(self._listen())
        return self

    def stop(self) -> None:
        """Close every socket and end the thread."""
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread:
            self._thread.join(timeout=10)
        self._loop.close()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections for the block, then listen again on the same port."""
        self._call(self._close())
        try:
            yield
        finally:
            self._call(self._listen())

    def reset(self) -> None:
        """Forget the script and the tally, as at the start; open calls are dropped."""
        self._call(self._drop_connections())
        with self._lock:
            self._queue, self._served, self.always, self.models = [], [], Behaviour(), ["scripted"]

    def script(self, *texts: str) -> None:
        """Answer the next calls with exactly these texts, in order; afterwards with the default again."""
        self.behave(*(Behaviour(text=text) for text in texts))

    def behave(self, *behaviours: Behaviour) -> None:
        """Answer the next calls like this, one behaviour a call, each used once (the first that matches)."""
        with self._lock:
            self._queue.extend(behaviours)

    @property
    def served(self) -> list[Served]:
        """What was served since the last reset, in order of arrival (copies)."""
        with self._lock:
            return [replace(item) for item in self._served]

    def wait_idle(self, timeout: float = 10) -> list[Served]:
        """Wait until no call is open, then return the tally; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        while open_calls := [item.request_id for item in self.served if item.outcome == "open"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Still open: {open_calls}")
            time.sleep(0.005)
        return self.served

    def totals(self) -> tuple[int, int, int]:
        """Return (answered calls, prompt tokens, completion tokens) of all calls that produced output or usage."""
        done = [item for item in self.wait_idle() if item.status == 200 and item.outcome != "reset"]
        return len(done), sum(i.prompt_tokens for i in done), sum(i.completion_tokens for i in done)

    # -- sockets ---------------------------------------------------------------------------------------------------

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        await self._drop_connections()

    async def _drop_connections(self) -> None:
        for writer in self._connections.values():
            writer.transport.abort()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections[task] = writer
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            del self._connections[task]
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False when the connection is to be closed."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _version = head[0].split(" ")
        headers = {k.lower(): v.strip() for k, _c, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if (method, path) == ("POST", "/v1/chat/completions"):
            return await self._chat(reader, writer, json.loads(body), headers)
        writer.write(_response(*self._simple(method, path)))
        await writer.drain()
        return True

    def _simple(self, method: str, path: str) -> tuple[int, Any]:
        if (method, path) == ("GET", "/v1/models"):
            entries = [{"id": name, "object": "model", "created": 0, "owned_by": "scripted"} for name in self.models]
            return 200, {"object": "list", "data": entries}
        if (method, path) == ("GET", "/tally"):
            return 200, [asdict(item) for item in self.served]
        return 404, {"error": {"message": f"No {method} {path}.", "type": "invalid_request_error", "code": None}}

    # -- one chat call ---------------------------------------------------------------------------------------------

    async def _chat(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, Any], headers: dict[str, str]
    ) -> bool:
        served, behaviour = self._admit(body, headers)
        served.client_port = writer.get_extra_info("peername")[1]
        gone = asyncio.ensure_future(reader.read(1))
        try:
            return await _Call(served, behaviour, writer, gone).answer()
        except (_ClientGoneError, ConnectionError):
            served.outcome = "client_gone"
            return False
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await gone
            served.ended = time.monotonic()

    def _admit(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[Served, Behaviour]:
        messages = body["messages"]
        with self._lock:
            number = next(self._numbers)
            text = json.dumps(messages, ensure_ascii=False)
            queued = next((b for b in self._queue if b.match in text), None)
            if queued:
                self._queue.remove(queued)
            served = Served(
                request_id=f"chatcmpl-{number:012d}",
                client_request_id=headers.get("x-client-request-id", ""),
                model=body["model"],
                stream=bool(body.get("stream")),
                messages=messages,
                body=body,
            )
            self._served.append(served)
        return served, behaviour_for(body["model"], queued or self.always)


class _Call:
    """Answers one chat call and books it. Every wait ends at once when the caller leaves."""

    def __init__(
        self, served: Served, behaviour: Behaviour, writer: asyncio.StreamWriter, gone: "asyncio.Future[bytes]"
    ) -> None:
        self.served, self.behaviour, self.writer, self.gone = served, behaviour, writer, gone
        as_json = served.body.get("response_format", {}).get("type", "text") != "text"
        text = default_text(served.messages, as_json=as_json) if behaviour.text is None else behaviour.text
        limit = served.body.get("max_completion_tokens") or served.body.get("max_tokens")
        pieces = [] if behaviour.tool_calls else tokens(text)
        self.pieces = pieces[:limit]
        self.finish = behaviour.finish_reason or ("tool_calls" if behaviour.tool_calls else "stop")
        if limit and len(pieces) > limit:
            self.finish = "length"

    async def answer(self) -> bool:
        """Send the answer; False when the connection was broken on purpose."""
        behaviour = self.behaviour
        await self._pause(behaviour.first_delay)
        if behaviour.reset:
            return self._break("reset")
        if behaviour.hang == "first":
            self.served.prompt_tokens = prompt_tokens(self.served.messages)
            await self._pause(3_600_000)
        if behaviour.status != 200:
            return await self._error()
        self.served.prompt_tokens = prompt_tokens(self.served.messages)
        return await (self._stream() if self.served.stream else self._json())

    async def _error(self) -> bool:
        status = self.behaviour.status
        kind = "invalid_request_error" if status < 429 else "rate_limit_error" if status == 429 else "server_error"
        error = {
            "message": f"Scripted {status}.",
            "type": kind,
            "param": None,
            "code": self.behaviour.error_code or None,
        }
        retry = self.behaviour.retry_after
        self.served.status, self.served.outcome = status, "error"
        await self._send(_response(status, {"error": error}, {} if retry is None else {"retry-after": f"{retry:g}"}))
        return True

    async def _json(self) -> bool:
        for _piece in self.pieces:
            await self._pause(self.behaviour.delay)
        if self.behaviour.cut_after is not None:
            return self._break("cut")
        self.served.completion_tokens = max(len(self.pieces), 5 * len(self.behaviour.tool_calls))
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self.pieces)}
        if self.behaviour.tool_calls:
            message |= {"content": None, "tool_calls": list(self.behaviour.tool_calls)}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish}
        answer = self._frame("chat.completion", choices=[choice], **self._usage())
        await self._send(_response(200, answer, {"x-request-id": self.served.request_id}))
        self.served.outcome = "completed"
        return True

    async def _stream(self) -> bool:
        await self._send(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
            f"x-request-id: {self.served.request_id}\r\ntransfer-encoding: chunked\r\n\r\n".encode()
        )
        await self._chunk({"role": "assistant", "content": ""})
        for number, piece in enumerate([*self.pieces, None]):
            if number == self.behaviour.cut_after:
                return self._break("cut")
            if number == self.behaviour.error_after:
                await self._event({"error": {"message": "Scripted error.", "type": "server_error", "code": None}})
                return self._break("cut")
            if self.behaviour.hang == "stream" and number == self.behaviour.hang_after:
                await self._pause(3_600_000)
            if piece is not None:
                await self._pause(self.behaviour.delay)
                await self._chunk({"content": piece})
                self.served.completion_tokens += 1
        for index, call in enumerate(self.behaviour.tool_calls):
            await self._chunk({"tool_calls": [{"index": index, **call}]})
            self.served.completion_tokens += 5
        await self._chunk({}, finish=None if self.finish == "none" else self.finish)
        if self.behaviour.cut_before_usage:
            return self._break("cut")
        if self.served.body.get("stream_options", {}).get("include_usage") and not self.behaviour.omit_usage:
            await self._event(self._frame("chat.completion.chunk", choices=[], **self._usage()))
        await self._send(_chunked(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        self.served.outcome = "completed"
        return True

    def _usage(self) -> dict[str, Any]:
        if self.behaviour.omit_usage:
            return {}
        prompt, completion = self.served.prompt_tokens, self.served.completion_tokens
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        self.served.usage = usage | (self.behaviour.usage or {})
        self.served.prompt_tokens = self.served.usage["prompt_tokens"]
        self.served.completion_tokens = self.served.usage["completion_tokens"]
        return {"usage": self.served.usage}

    def _frame(self, kind: str, **fields: Any) -> dict[str, Any]:
        return {"id": self.served.request_id, "object": kind, "created": 0, "model": self.served.model, **fields}

    async def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        await self._event(self._frame("chat.completion.chunk", choices=[choice], usage=None))

    async def _event(self, data: dict[str, Any]) -> None:
        await self._send(_chunked(b"data: " + json.dumps(data, ensure_ascii=False).encode() + b"\n\n"))

    async def _send(self, data: bytes) -> None:
        if self.gone.done():
            raise _ClientGoneError
        self.writer.write(data)
        await self.writer.drain()

    async def _pause(self, milliseconds: float) -> None:
        if milliseconds:
            await asyncio.wait([self.gone], timeout=milliseconds / 1000)
        else:
            await asyncio.sleep(0)  # lets the loop see that the caller has left
        if self.gone.done():
            raise _ClientGoneError

    def _break(self, outcome: str) -> bool:
        connection = self.writer.get_extra_info("socket")
        if outcome == "reset":
            # Linger 0: the caller gets a reset, not an orderly end.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.served.outcome = outcome
        self.writer.close()
        return False


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _response(status: int, content: Any, headers: dict[str, str] | None = None) -> bytes:
    body = json.dumps(content, ensure_ascii=False).encode()
    lines = [f"HTTP/1.1 {status} Scripted", "content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=18080)
    upstream = ScriptedUpstream(parser.parse_args().port).start()
    print(f"Listening on {upstream.url}", flush=True)  # noqa: T201
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    upstream.stop()


if __name__ == "__main__":
    main()
