"""A model server that costs next to nothing: ``python -m bench.v1.upstream PORT``.

It answers every POST at once, whole or as a stream of CHUNKS words; with ``"user":"paced"`` in the body these come
INTERVAL apart. Far cheaper than what is measured, it must not be what is measured.
"""

import asyncio
import json
import re
import sys
from typing import Any, cast

CHUNKS, INTERVAL = 50, 0.010
PACED = '"paced"'
_LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream":\s*true')
_USAGE = {"prompt_tokens": 20, "completion_tokens": CHUNKS, "total_tokens": 20 + CHUNKS}
_FRAME = {"id": "chatcmpl-bench", "created": 0, "model": "bench"}
_WORD = "word "


def _json(**fields: Any) -> bytes:
    return json.dumps({**_FRAME, **fields}, separators=(",", ":")).encode()


def _chunk(delta: dict[str, str], finish: str | None = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _event(_json(object="chat.completion.chunk", choices=[choice], **fields))


def _event(payload: bytes) -> bytes:
    data = b"data: %s\n\n" % payload
    return b"%x\r\n%s\r\n" % (len(data), data)


_MESSAGE = {"role": "assistant", "content": _WORD * CHUNKS}
_WHOLE_BODY = _json(
    object="chat.completion", choices=[{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}], usage=_USAGE
)
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(_WHOLE_BODY),
    _WHOLE_BODY,
)
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_FIRST = _HEAD + _chunk({"role": "assistant", "content": ""})
_WORDS = _chunk({"content": _WORD})
_LAST = (
    _chunk({}, "stop")
    + _event(_json(object="chat.completion.chunk", choices=[], usage=_USAGE))
    + _event(b"[DONE]")
    + b"0\r\n\r\n"
)


class Server(asyncio.Protocol):
    """One connection; requests come one after the other."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport, self.buffer = cast(asyncio.Transport, transport), b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not blank or (length and len(body) < int(length[1])):
            return
        self.buffer = b""
        if not _STREAM.search(body):
            self.transport.write(_WHOLE)
            return
        self.transport.write(_FIRST)
        self.words(CHUNKS, INTERVAL if PACED.encode() in body else 0)

    def words(self, left: int, interval: float) -> None:
        """Write the next word in a write of its own."""
        if self.transport.is_closing():
            return
        self.transport.write(_WORDS if left else _LAST)
        if left:
            asyncio.get_running_loop().call_later(interval, self.words, left - 1, interval)


async def main(port: int) -> None:
    """Serve until stopped."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1])))
