"""A caller of an ASGI application in memory: what it sends, when it leaves, what it is sent."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any


class Visit:
    """One request. ``bodies`` come one after the other; afterwards the caller stays until `leave` is called.

    ``is_whole`` False: more is to come, and never does.
    """

    def __init__(
        self,
        path: str = "/v1/chat/completions",
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        bodies: Iterable[bytes] = (b"",),
        peer: str = "127.0.0.1",
        is_whole: bool = True,
    ) -> None:
        raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": raw,
            "client": (peer, 50_000),
        }
        self.sent: list[dict[str, Any]] = []
        self._bodies, self._is_whole = list(bodies), is_whole
        self._gone = asyncio.Event()
        self._may_send = asyncio.Event()
        self._may_send.set()
        self._news = asyncio.Event()

    def leave(self) -> None:
        """Close the connection."""
        self._gone.set()

    def stop_reading(self) -> None:
        """Let whoever sends to us wait."""
        self._may_send.clear()

    def read_on(self) -> None:
        """Take what is sent again."""
        self._may_send.set()

    async def receive(self) -> dict[str, Any]:
        if self._bodies:
            body = self._bodies.pop(0)
            return {"type": "http.request", "body": body, "more_body": bool(self._bodies) or not self._is_whole}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self._may_send.wait()
        self.sent.append(message)
        self._news.set()

    async def until(self, text: bytes) -> None:
        """Wait until ``text`` was sent."""
        while text not in self.body:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 10)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode("latin-1") for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def is_ended(self) -> bool:
        return len(self.sent) > 1 and not self.sent[-1].get("more_body")

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        return error
