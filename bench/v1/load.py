"""The load, a process of its own: ``python -m bench.v1.load PORT KIND CONNECTIONS SECONDS [KEY]`` prints one JSON line.

KIND is ``whole``, ``burst`` or ``paced``. Each connection sends one request after the other. An answer that is not 200,
or a stream without its end, stops the run: a benchmark counts right answers only.
"""

import asyncio
import json
import re
import sys
import time
from statistics import quantiles
from typing import cast

from bench.v1.upstream import CHUNKS

_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_END = b"0\r\n\r\n"
_DONE = b"data: [DONE]"


def request(kind: str, key: str) -> bytes:
    """Return the bytes of one request."""
    body = {"model": "bench", "max_tokens": 64, "messages": [{"role": "user", "content": "Say hello."}]}
    if kind != "whole":
        body |= {"stream": True, "stream_options": {"include_usage": True}, "user": kind}
    content = json.dumps(body)
    lines = ["POST /v1/chat/completions HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(content)}", f"Authorization: Bearer {key}"]
    return "\r\n".join([*lines, "", content]).encode()


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, sent: bytes, *, is_stream: bool) -> None:
        self.sent, self.is_stream = sent, is_stream
        self.firsts: list[float] = []
        self.totals: list[float] = []
        self.stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.next()

    def next(self) -> None:
        """Send the next request."""
        self.buffer, self.parts, self.began, self.first = b"", 0, time.perf_counter(), 0.0
        self.transport.write(self.sent)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.is_stream and not self.first and b"data:" in self.buffer:
            self.first = time.perf_counter() - self.began
        if not self.is_whole():
            return
        self.check()
        self.totals.append(time.perf_counter() - self.began)
        self.firsts.append(self.first)
        if not self.stopped.done():
            self.next()

    def is_whole(self) -> bool:
        """Whether the answer has come to its end."""
        if self.is_stream and self.buffer.startswith(b"HTTP/1.1 200"):
            return self.buffer.endswith(_END)
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        return bool(blank) and (len(body) >= int(length[1]) if length else body.endswith(_END))

    def check(self) -> None:
        """Stop at a wrong answer."""
        is_right = self.buffer.startswith(b"HTTP/1.1 200") and (not self.is_stream or _DONE in self.buffer)
        if not is_right and not self.stopped.done():
            self.stopped.set_exception(RuntimeError(self.buffer[:600].decode("utf-8", "replace")))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.stopped.done():
            self.stopped.set_exception(RuntimeError(f"The connection was closed: {exc}"))


def _stop(clients: list[Client]) -> None:
    for client in clients:
        if not client.stopped.done():
            client.stopped.set_result(None)


async def main(port: int, kind: str, connections: int, seconds: float, key: str = "") -> dict[str, float]:
    """Run for so many seconds; return what was seen, times in ms."""
    loop = asyncio.get_running_loop()
    sent = request(kind, key)
    clients = [Client(sent, is_stream=kind != "whole") for _number in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    began = time.perf_counter()
    loop.call_later(seconds, _stop, clients)
    await asyncio.gather(*(client.stopped for client in clients))
    took = time.perf_counter() - began
    totals = [total for client in clients for total in client.totals]
    firsts = [first for client in clients for first in client.firsts]
    answers = len(totals)
    return {
        "answers": answers,
        "per_second": answers / took,
        "chunks_per_second": answers * CHUNKS / took,
        "p50_ms": quantiles(totals, n=100)[49] * 1000,
        "p99_ms": quantiles(totals, n=100)[98] * 1000,
        "first_p50_ms": quantiles(firsts, n=100)[49] * 1000,
    }


if __name__ == "__main__":
    import uvloop

    _port, _kind, _connections, _seconds, *_key = sys.argv[1:]
    print(json.dumps(uvloop.run(main(int(_port), _kind, int(_connections), float(_seconds), *_key))))
