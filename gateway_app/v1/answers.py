"""What a caller is answered: heads built as bytes, one message of the server's where one will do."""

import time
from typing import Any

from gateway_app.v1.errors import Headers
from gateway_app.v1.requests import Request, Send

JSON = (b"content-type", b"application/json")
# `no-transform` and `x-accel-buffering` keep proxies from packing and from holding back what is meant to flow.
STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class Answer:
    """The answer to one request. ``status`` 0: its head is not sent yet."""

    __slots__ = ("_request", "_send", "extra", "status")

    def __init__(self, request: Request, send: Send) -> None:
        self._request, self._send = request, send
        self.status = 0
        # Headers that the way to the answer has added, such as what is left of a rate limit.
        self.extra: Headers = []

    @property
    def is_begun(self) -> bool:
        """Whether the head is sent, so that nothing but more body can follow."""
        return self.status != 0

    async def whole(self, status: int, body: bytes, headers: Headers) -> None:
        """Send the answer at once."""
        length = (b"content-length", b"%d" % len(body))
        await self._head(status, [*headers, length])
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, status: int, headers: Headers) -> None:
        """Send the head of an answer that comes in pieces."""
        await self._head(status, headers)

    async def piece(self, data: bytes) -> None:
        """Send a piece; waits while the caller reads slower than we write."""
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """End an answer that came in pieces."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _head(self, status: int, headers: Headers) -> None:
        self.status = status
        message: dict[str, Any] = {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, *self.extra, *self._own()],
        }
        await self._send(message)

    def _own(self) -> Headers:
        request = self._request
        trace = request.trace_id.encode()
        took = (time.monotonic() - request.began) * 1000
        return [
            (b"x-request-id", trace),
            (b"x-deepspace-trace-id", trace),
            (b"openai-processing-ms", b"%d" % took),
        ]
