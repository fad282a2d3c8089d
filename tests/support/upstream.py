"""An OpenAI-compatible server of ours for tests: real sockets, no Django, every answer foreseeable.

It keeps its own tally of what it served, so that a ledger can be compared with the other side's books.
Alone: ``python -m tests.support.upstream --port 18080``; ``GET /tally`` then shows the tally.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from tests.support.processes import wait_until
from tests.support.upstream_calls import ClientGoneError, Served, response
from tests.support.upstream_others import CALLS, form_values
from tests.support.upstream_script import Behaviour, Faults, behaviour_for

__all__ = ["Behaviour", "Faults", "ScriptedUpstream", "Served", "Tally"]

# How a try is answered; None: as if there were no plan.
Plan = Callable[[Served], Behaviour | None]


@dataclass(frozen=True)
class Tally:
    """What the upstream's books say of one request of the gateway: its tries in order, and what it would bill."""

    tries: tuple[Served, ...]

    @property
    def last(self) -> Served:
        """The try that counts: those before it brought nothing."""
        return self.tries[-1]

    @property
    def told(self) -> dict[str, Any] | None:
        """The usage that was sent; None when none was."""
        return self.last.usage if self.last.is_usage_told else None


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
        self._by_call: dict[str, list[Served]] = {}
        self.always = Behaviour()
        # What each try is answered with, when nothing is queued for it; None: as `always` says.
        self.plan: Plan | None = None

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
            self._queue, self._served, self._by_call, self.plan = [], [], {}, None
            self.always, self.models = Behaviour(), ["scripted"]

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

        def still_open() -> list[str]:
            return [item.request_id for item in self.served if item.outcome == "open"]

        wait_until(lambda: not still_open(), timeout, lambda: f"Still open: {still_open()}", pause=0.005)
        return self.served

    def totals(self) -> tuple[int, int, int]:
        """Return (answered calls, prompt tokens, completion tokens) of all calls that produced output or usage."""
        done = [item for item in self.wait_idle() if item.status == 200 and item.outcome != "reset"]
        return len(done), sum(i.prompt_tokens for i in done), sum(i.completion_tokens for i in done)

    def tally(self) -> dict[str, Tally]:
        """Return the upstream's books by x-client-request-id, once no call is open."""
        self.wait_idle()
        with self._lock:
            return {key: Tally(tuple(tries)) for key, tries in self._by_call.items()}

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
        if method == "POST" and path.removeprefix("/v1/") in CALLS:
            return await self._serve(reader, writer, self._request(path.removeprefix("/v1/"), headers, body))
        writer.write(response(*self._simple(method, path)))
        await writer.drain()
        return True

    def _simple(self, method: str, path: str) -> tuple[int, Any]:
        if (method, path) == ("GET", "/v1/models"):
            entries = [{"id": name, "object": "model", "created": 0, "owned_by": "scripted"} for name in self.models]
            return 200, {"object": "list", "data": entries}
        if (method, path) == ("GET", "/tally"):
            return 200, [_plain(item) for item in self.served]
        return 404, {"error": {"message": f"No {method} {path}.", "type": "invalid_request_error", "code": None}}

    # -- one call --------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, served: Served) -> bool:
        behaviour = self._admit(served)
        served.client_port = writer.get_extra_info("peername")[1]
        gone = asyncio.ensure_future(reader.read(1))
        try:
            return await CALLS[served.path](served, behaviour, writer, gone).answer()
        except (ClientGoneError, ConnectionError):
            served.outcome = "client_gone"
            return False
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await gone
            served.ended = time.monotonic()

    def _request(self, path: str, headers: dict[str, str], body: bytes) -> Served:
        kind = headers.get("content-type", "")
        values = form_values(body, kind) if kind.startswith("multipart/") else json.loads(body)
        return Served(
            request_id="",
            client_request_id=headers.get("x-client-request-id", ""),
            model=values["model"],
            stream=values.get("stream") in (True, "true"),
            messages=values.get("messages") or [],
            body=values,
            path=path,
            raw_body=body,
            headers=headers,
        )

    def _admit(self, served: Served) -> Behaviour:
        with self._lock:
            served.request_id = f"chatcmpl-{next(self._numbers):012d}"
            text = json.dumps(served.messages, ensure_ascii=False) + served.raw_body.decode("utf-8", "replace")
            queued = next((b for b in self._queue if b.match in text), None)
            if queued:
                self._queue.remove(queued)
            if served.client_request_id:
                served.number += sum(1 for s in self._by_call.get(served.client_request_id, ()))
                self._by_call.setdefault(served.client_request_id, []).append(served)
            self._served.append(served)
        planned = self.plan(served) if self.plan else None
        return behaviour_for(served.model, queued or planned or self.always)


def _plain(served: Served) -> dict[str, Any]:
    left_out = ("raw_body", "headers", "texts", "body")
    return {name: value for name, value in asdict(replace(served, body={})).items() if name not in left_out}


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
