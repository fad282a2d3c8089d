"""Readers as a browser and a program would be: they keep the last number they saw and come back with it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx2
import websockets
from channels.db import database_sync_to_async

from tests.support.accounts import Account

Frame = dict[str, Any]
T = TypeVar("T")


class Assembler:
    """The text of each step out of the frames, by the offset rule; ``seqs`` are the numbers in order of arrival."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.seqs: list[int] = []
        self.types: list[str] = []
        self.ended = False

    @property
    def last(self) -> int:
        """The number to come back with."""
        return self.seqs[-1] if self.seqs else 0

    def take(self, frame: Frame) -> None:
        """Apply one frame."""
        self.types.append(frame["type"])
        if frame["seq"] is None:
            return
        assert frame["seq"] > self.last, "seen twice, or out of order"
        self.seqs.append(frame["seq"])
        data = frame["data"]
        if frame["type"] == "delta":
            text = self.texts.get(data["step"], "")
            assert data["offset"] <= len(text), "something was missed"
            self.texts[data["step"]] = text[: data["offset"]] + data["text"]
        elif frame["type"] == "restart":
            self.texts[data["step"]] = ""
        self.ended = frame["type"] == "end"


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Run a function that uses the database, and give the thread's connection back."""
    result: T = await database_sync_to_async(function, thread_sensitive=False)(*args)
    return result


@asynccontextmanager
async def websocket(
    account: Account, stream_id: object, after: object = 0
) -> AsyncIterator[websockets.ClientConnection]:
    """Open a websocket on a stream with the account's key."""
    url = f"{account.base_url.replace('http', 'ws', 1)}/ws/streams/{stream_id}/?after={after}"
    async with websockets.connect(url, additional_headers=account.headers, proxy=None) as connection:
        try:
            yield connection
        finally:
            # Killed, not closed: no farewell, whatever is still under way.
            connection.transport.abort()


async def websocket_frames(account: Account, stream_id: object, after: int = 0) -> AsyncIterator[Frame]:
    """Yield the frames of one connection until the server closes it."""
    async with websocket(account, stream_id, after) as connection:
        async for message in connection:
            yield json.loads(message)


async def sse_frames(account: Account, stream_id: object, after: int = 0) -> AsyncIterator[Frame]:
    """Yield the frames of one connection until the server closes it."""
    headers = {**account.headers, "Last-Event-ID": str(after)} if after else account.headers
    async with (
        httpx2.AsyncClient(base_url=account.base_url, headers=headers, timeout=20) as client,
        client.stream("GET", f"/api/streams/{stream_id}/events") as response,
    ):
        assert response.status_code in (200, 204)
        number = None
        async for line in response.aiter_lines():
            field, _colon, value = line.partition(": ")
            if field == "id":
                number = int(value)
            elif field == "data":
                frame = json.loads(value)
                assert frame["seq"] == number
                yield frame
                number = None


async def read_whole(account: Account, stream_id: object, frames: Any) -> Assembler:
    """Read one connection to its end."""
    reader = Assembler()
    async with asyncio.timeout(30):
        async for frame in frames(account, stream_id):
            reader.take(frame)
    return reader
