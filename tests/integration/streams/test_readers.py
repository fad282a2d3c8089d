"""Readers over real sockets against the running web server, with publishers beside them."""

import asyncio
import random
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import replace
from typing import Any

import httpx2
import psutil
import pytest
import redis
import websockets
from django.conf import settings
from django.db import transaction

from accounts_app.services.api_keys import api_key_create
from accounts_app.services.ip_rules import ip_rule_add
from accounts_app.services.tokens import tokens_issue
from accounts_app.tenancy.context import bound
from gateway_app.services.streams import StreamPublisher, stream_open
from tests.fixtures.stack import AccountMaker
from tests.integration.streams.readers import Assembler, in_thread, read_whole, sse_frames, websocket, websocket_frames
from tests.support.accounts import Account
from tests.support.stack import Stack

PIECES = ("你好，", "世界", "😀", "👩‍👩‍👧", "plain words ", "\n", "é", "𝒳", "。")
FRAMES = pytest.mark.parametrize("frames", [websocket_frames, sse_frames], ids=["websocket", "sse"])


def _open(account: Account) -> uuid.UUID:
    with bound(account.tenant):
        return stream_open(kind="run", subject_id=uuid.uuid4())


def _publisher(account: Account, stream_id: uuid.UUID) -> StreamPublisher:
    with bound(account.tenant):
        return StreamPublisher(stream_id)


def _emptied(stream_id: uuid.UUID) -> None:
    redis.Redis.from_url(settings.REDIS_URL).delete(f"stream:{{{stream_id}}}")


class Writer(threading.Thread):
    """Write pieces chosen by ``seed`` to one step, with pauses, until told to finish; then close the stream."""

    def __init__(self, publisher: StreamPublisher, seed: int) -> None:
        super().__init__()
        self.publisher, self.random = publisher, random.Random(seed)
        self.text = ""
        self.finish = threading.Event()

    def run(self) -> None:
        self.publisher.publish("step.started", {"step": "draft"})
        while not self.finish.is_set():
            piece = self.random.choice(PIECES)
            self.text += piece
            self.publisher.delta("draft", piece)
            time.sleep(self.random.random() * 0.01)
        self.publisher.close({"status": "completed"})


@FRAMES
async def test_a_reader_killed_200_times_ends_with_the_identical_text(
    stack: Stack, tenant_with_money: Account, frames: Callable[..., Any]
) -> None:
    account, chance, reader = tenant_with_money, random.Random(20), Assembler()
    stream_id = await in_thread(_open, account)
    writer = Writer(await in_thread(_publisher, account, stream_id), seed=7)
    writer.start()
    try:
        for _ in range(200):
            taken = chance.randrange(6)
            async with aclosing(frames(account, stream_id, reader.last)) as connection:
                # Some leave before the first frame, some in the middle of a wait for the next.
                try:
                    async with asyncio.timeout(0.01 + chance.random() * 0.06):
                        while taken:
                            reader.take(await anext(connection))
                            taken -= 1
                except TimeoutError:
                    continue
    finally:
        writer.finish.set()
        await in_thread(writer.join)
    async with asyncio.timeout(20):
        async for frame in frames(account, stream_id, reader.last):
            reader.take(frame)
    assert reader.ended
    assert reader.texts["draft"].encode() == writer.text.encode()
    assert len(writer.text) > 1000


@FRAMES
async def test_a_late_reader_gets_the_whole_even_when_redis_was_emptied(
    stack: Stack, tenant_with_money: Account, frames: Callable[..., Any]
) -> None:
    stream_id = await in_thread(_open, tenant_with_money)
    publisher = await in_thread(_publisher, tenant_with_money, stream_id)
    for piece in PIECES:
        publisher.delta("draft", piece)
    await in_thread(publisher.close, {})
    await in_thread(_emptied, stream_id)
    reader = await read_whole(tenant_with_money, stream_id, frames)
    assert reader.ended
    assert reader.texts["draft"] == "".join(PIECES)


@FRAMES
async def test_a_reader_sees_what_is_published_while_it_waits(
    stack: Stack, tenant_with_money: Account, frames: Callable[..., Any]
) -> None:
    stream_id = await in_thread(_open, tenant_with_money)
    publisher = await in_thread(_publisher, tenant_with_money, stream_id)
    reading = asyncio.create_task(read_whole(tenant_with_money, stream_id, frames))
    await asyncio.sleep(0.5)
    publisher.delta("draft", "now")
    await asyncio.sleep(0.2)
    await in_thread(publisher.close, {})
    reader = await reading
    assert reader.types == ["delta", "end"]


@FRAMES
async def test_an_emptied_redis_delays_open_readers_but_loses_nothing(
    stack: Stack, tenant_with_money: Account, frames: Callable[..., Any]
) -> None:
    stream_id = await in_thread(_open, tenant_with_money)
    publisher = await in_thread(_publisher, tenant_with_money, stream_id)
    publisher.delta("draft", "before ")
    reading = asyncio.create_task(read_whole(tenant_with_money, stream_id, frames))
    await asyncio.sleep(0.3)
    await in_thread(_emptied, stream_id)
    publisher.publish("note", {})
    publisher.delta("draft", "after")
    await in_thread(publisher.close, {})
    assert (await reading).texts["draft"] == "before after"


async def _close_code(connecting: AbstractAsyncContextManager[websockets.ClientConnection]) -> int:
    async with asyncio.timeout(10), connecting as connection:
        with suppress(websockets.ConnectionClosed):
            while True:
                await connection.recv()
        assert connection.close_code
        return connection.close_code


async def test_someone_elses_stream_is_closed_with_4404(stack: Stack, make_account: AccountMaker) -> None:
    owner, stranger = await in_thread(make_account), await in_thread(make_account)
    stream_id = await in_thread(_open, owner)
    publisher = await in_thread(_publisher, owner, stream_id)
    await in_thread(publisher.close, {})
    assert await _close_code(websocket(stranger, stream_id)) == 4404
    assert await _close_code(websocket(owner, uuid.uuid4())) == 4404
    assert await _close_code(websocket(owner, stream_id)) == 1000


async def test_a_bad_position_is_closed_with_4400(stack: Stack, tenant_with_money: Account) -> None:
    stream_id = await in_thread(_open, tenant_with_money)
    assert await _close_code(websocket(tenant_with_money, stream_id, "-1")) == 4400


async def test_a_reader_without_a_session_is_closed_with_4401(stack: Stack, tenant_with_money: Account) -> None:
    stream_id = await in_thread(_open, tenant_with_money)
    url = f"{stack.websocket_url}/ws/streams/{stream_id}/"
    for headers in ({"Origin": stack.url}, {"Authorization": "Bearer dsk_wrong"}):
        assert await _close_code(websockets.connect(url, additional_headers=headers, proxy=None)) == 4401


async def test_a_key_that_may_not_read_and_an_address_kept_out_are_closed_with_4403(
    stack: Stack, make_account: AccountMaker
) -> None:
    owner = await in_thread(make_account)
    stream_id = await in_thread(_open, owner)

    def without_reading() -> str:
        with bound(owner.tenant), transaction.atomic():
            return api_key_create(name="writes", scopes=["write"]).secret

    def keep_out() -> None:
        with bound(owner.tenant), transaction.atomic():
            ip_rule_add(action="deny", network="127.0.0.1")

    writes = replace(owner, secret=await in_thread(without_reading))
    assert await _close_code(websocket(writes, stream_id)) == 4403
    await in_thread(keep_out)
    assert await _close_code(websocket(owner, stream_id)) == 4403


async def test_an_access_token_listens_too(stack: Stack, make_account: AccountMaker) -> None:
    owner = await in_thread(make_account)
    stream_id = await in_thread(_open, owner)
    await in_thread((await in_thread(_publisher, owner, stream_id)).close, {})
    pair = await in_thread(lambda: tokens_issue(user=owner.user))
    assert await _close_code(websocket(replace(owner, secret=pair.access), stream_id)) == 1000


async def test_a_browser_reads_with_its_session(stack: Stack, tenant_with_money: Account) -> None:
    stream_id = await in_thread(_open, tenant_with_money)
    publisher = await in_thread(_publisher, tenant_with_money, stream_id)
    await in_thread(publisher.close, {})
    headers = {"Cookie": await in_thread(lambda: tenant_with_money.cookie), "Origin": stack.url}
    url = f"{stack.websocket_url}/ws/streams/{stream_id}/"
    async with websockets.connect(url, additional_headers=headers, proxy=None) as connection:
        assert '"end"' in await connection.recv()


async def test_a_page_of_another_site_may_not_listen(stack: Stack, tenant_with_money: Account) -> None:
    stream_id = await in_thread(_open, tenant_with_money)
    headers = {
        "Cookie": await in_thread(lambda: tenant_with_money.cookie),
        "Origin": "https://elsewhere.example",
    }
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(
            f"{stack.websocket_url}/ws/streams/{stream_id}/", additional_headers=headers, proxy=None
        )


def test_programs_get_clear_answers(stack: Stack, make_account: AccountMaker) -> None:
    owner, stranger = make_account(), make_account()
    path = f"/api/streams/{_open(owner)}/events"
    with stranger.api() as api:
        answer = api.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    with httpx2.Client(base_url=stack.url) as api:
        assert api.get(path).status_code == 401
        assert api.get(path, headers={"Authorization": "Bearer dsk_wrong"}).status_code == 401
    with owner.api() as api:
        answer = api.get(path, params={"after": "soon"})
        assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (400, "after")


def test_a_program_that_has_the_end_is_told_to_stop(stack: Stack, tenant_with_money: Account) -> None:
    stream_id = _open(tenant_with_money)
    _publisher(tenant_with_money, stream_id).close({})
    with tenant_with_money.api() as api:
        assert api.get(f"/api/streams/{stream_id}/events", headers={"Last-Event-ID": "1"}).status_code == 204


def test_waiting_programs_hold_no_database_connection(stack: Stack, tenant_with_money: Account) -> None:
    stream_id = _open(tenant_with_money)
    with tenant_with_money.api() as api:
        waiting = [api.stream("GET", f"/api/streams/{stream_id}/events") for _ in range(24)]
        for response in waiting:
            assert response.__enter__().status_code == 200
        # More readers than the pool has connections, and pages are still served.
        assert api.get("/api/keys/").status_code == 200
        for response in waiting:
            response.__exit__(None, None, None)


async def test_200_open_event_streams_need_no_200_threads(stack: Stack, tenant_with_money: Account) -> None:
    account = tenant_with_money
    stream_id = await in_thread(_open, account)
    publisher = await in_thread(_publisher, account, stream_id)
    publisher.delta("draft", "hello ")
    before = _threads(stack)
    async with asyncio.timeout(200):
        sockets = [await _listening(stack, account, stream_id) for _ in range(200)]
        during = _threads(stack)
        await asyncio.to_thread(publisher.delta, "draft", "world")
        await in_thread(publisher.close, {})
        rest = [await reader.read() for reader, _writer in sockets]
    for _reader, writer in sockets:
        writer.close()
    assert all(b'world"' in body and b'"type":"end"' in body for body in rest)
    assert during - before < 50


async def _listening(
    stack: Stack, account: Account, stream_id: uuid.UUID
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a stream over a bare socket, which costs this process next to nothing, and wait for its first text."""
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.port)
    head = f"GET /api/streams/{stream_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    writer.write(f"{head}Authorization: {account.headers['Authorization']}\r\n\r\n".encode())
    await reader.readuntil(b"hello ")
    return reader, writer


def _threads(stack: Stack) -> int:
    web = psutil.Process(stack.web.pid)
    return sum(process.num_threads() for process in (web, *web.children(recursive=True)))
