"""Callers of /v1 in one event loop, without a server between: bytes in, messages out, and a caller who may leave."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from gateway_app.services.books import books_close
from gateway_app.services.limits import limiter
from gateway_app.services.upstream import upstream_close
from gateway_app.v1.application import application
from gateway_app.v1.cards import forget
from gateway_app.v1.settling import settled_all
from tests.support.asgi import Visit
from tests.support.upstream import ScriptedUpstream

TEXT = "I want an article about green tea"


class Edge:
    """Visits with one key."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self._tasks: list[asyncio.Task[None]] = []

    def visit(self, path: str = "chat/completions", *, headers: dict[str, str] | None = None, **body: Any) -> Visit:
        """Return a visit that has not begun; ``model`` and ``messages`` have defaults."""
        content = json.dumps({"model": "scripted", "messages": [{"role": "user", "content": TEXT}], **body}).encode()
        own = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        return Visit(f"/v1/{path}", headers={**own, **(headers or {})}, bodies=[content])

    def begin(self, visit: Visit) -> "asyncio.Task[None]":
        """Let the application serve ``visit``."""
        task = asyncio.ensure_future(application(visit.scope, visit.receive, visit.send))
        self._tasks.append(task)
        return task

    async def ask(self, path: str = "chat/completions", *, headers: dict[str, str] | None = None, **body: Any) -> Visit:
        """Make a call and return the visit when it is over."""
        visit = self.visit(path, headers=headers, **body)
        await asyncio.wait_for(self.begin(visit), 30)
        return visit

    async def get(self, path: str) -> Visit:
        """Make a GET request and return the visit when it is over."""
        visit = Visit(f"/v1/{path}", method="GET", headers={"Authorization": f"Bearer {self.secret}"})
        await asyncio.wait_for(self.begin(visit), 30)
        return visit

    async def end(self) -> None:
        """Wait until all is served and settled."""
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await asyncio.wait_for(task, 30)
        await settled_all(30)


@asynccontextmanager
async def edge_open(secret: str) -> AsyncIterator[Edge]:
    """An edge as a new process has it, closed with all its connections at the end."""
    forget()
    edge = Edge(secret)
    try:
        yield edge
    finally:
        await edge.end()
        await upstream_close()
        await books_close()
        await limiter().close()


def on_edge(secret: str, work: Callable[[Edge], Awaitable[None]]) -> None:
    """Run ``work`` in an event loop of its own."""

    async def main() -> None:
        async with edge_open(secret) as edge:
            await work(edge)

    asyncio.run(main())


async def until_served(upstream: ScriptedUpstream, *, tokens: int = 0) -> None:
    """Wait until a call has reached ``upstream`` and got so many tokens of its answer."""

    def wait() -> None:
        while not any(served.completion_tokens >= tokens for served in upstream.served):
            time.sleep(0.003)

    await asyncio.to_thread(wait)


def events(body: bytes) -> list[Any]:
    """Return the JSON of each event; ``[DONE]`` as a string."""
    payloads = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    return ["[DONE]" if payload == b"[DONE]" else json.loads(payload) for payload in payloads]


def text_of(body: bytes) -> str:
    """Return the text of a chat stream."""
    chunks = [event for event in events(body) if isinstance(event, dict) and event.get("choices")]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
