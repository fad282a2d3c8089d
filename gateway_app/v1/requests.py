"""What a caller sent: read once, checked as little as it is used."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from accounts_app.services.trace import new_trace_id
from gateway_app.v1.errors import ApiError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_TRACE_ID = re.compile(rb"[0-9a-f]{32}")
_NO_TRACE = b"0" * 32
_OPERATION_KEY = re.compile(rb"[\x21-\x7e]{1,255}")


class ClientGone(Exception):
    """The caller left before its request was whole. Nobody is there to be answered."""


class Request:
    """One request. ``began`` is of the monotonic clock; the trace id is the caller's own, or new."""

    __slots__ = ("began", "headers", "method", "path", "receive", "scope", "trace_id")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.began = time.monotonic()
        self.scope, self.receive = scope, receive
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        # Of a header that came twice the last counts.
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.trace_id = self._trace_id()

    @property
    def peer(self) -> str:
        """The address that the connection comes from."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    @property
    def forwarded_for(self) -> str:
        """All that X-Forwarded-For says, in the order in which it was written."""
        if b"x-forwarded-for" not in self.headers:
            return ""
        lines = [value for name, value in self.scope["headers"] if name == b"x-forwarded-for"]
        return b",".join(lines).decode("latin-1")

    def secret(self) -> str:
        """Return the API key of ``Authorization: Bearer``; an empty string when there is none."""
        scheme, _space, secret = self.headers.get(b"authorization", b"").partition(b" ")
        return secret.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""

    def operation_key(self) -> str:
        """Return the Idempotency-Key, or an empty string; raises ApiError for one that cannot be kept."""
        key = self.headers.get(b"idempotency-key")
        if key is None:
            return ""
        if not _OPERATION_KEY.fullmatch(key):
            raise ApiError(
                400, "The Idempotency-Key must be 1 to 255 visible ASCII characters.", param="Idempotency-Key"
            )
        return key.decode("ascii")

    async def body(self, *, limit: int, seconds: float) -> bytes:
        """Return the whole body.

        Raises ApiError (413, 408) for one of more than ``limit`` bytes and one that does not come within ``seconds``;
        ClientGone when the caller leaves meanwhile.
        """
        length = self._length(limit)
        try:
            async with asyncio.timeout(seconds):
                return await self._read(length, limit)
        except TimeoutError as error:
            raise ApiError(408, "The request's body took too long to arrive.", code="request_timeout") from error

    def _length(self, limit: int) -> int | None:
        value = self.headers.get(b"content-length")
        if value is None:
            return None
        if not value.isdigit():
            raise ApiError(400, "The Content-Length is not a number.")
        if int(value) > limit:
            raise _too_large(limit)
        return int(value)

    async def _read(self, length: int | None, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            parts.append(part)
            # Some servers tell the end in a message of its own; a body that has its length needs none.
            if size == length or not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def _trace_id(self) -> str:
        parts = self.headers.get(b"traceparent", b"").split(b"-")
        candidate = parts[1] if len(parts) >= 4 else self.headers.get(b"x-trace-id", b"")
        if _TRACE_ID.fullmatch(candidate) and candidate != _NO_TRACE:
            return candidate.decode("ascii")
        return new_trace_id()


def _too_large(limit: int) -> ApiError:
    return ApiError(413, f"The request's body is larger than {limit} bytes.", code="request_too_large")
