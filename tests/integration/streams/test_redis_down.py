"""A stream while its Redis is killed, with a Redis of the test's own and the readers in this process."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from django.db import transaction
from pytest_django import Settings

from accounts_app.tenancy.context import bound
from config.runtime.redis import EmbeddedRedis
from gateway_app.models import LiveStream
from gateway_app.services.streams import StreamPublisher, StreamReader, stream_open
from tests.integration.streams.readers import Assembler, in_thread
from tests.support.accounts import Account, account_create

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def account(committed_db: None) -> Account:
    return account_create(balance=0)


@pytest.fixture
def own_redis(tmp_path: Path, settings: Settings) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path / "redis")
    server.start()
    settings.REDIS_URL = server.url
    layer = {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [server.url]}}
    settings.CHANNEL_LAYERS = {"default": layer}
    yield server
    server.stop()


def _kill(server: EmbeddedRedis) -> None:
    assert server.process
    server.process.kill()
    server.process.wait()


def _open(account: Account) -> StreamPublisher:
    with bound(account.tenant):
        return StreamPublisher(stream_open(kind="run", subject_id=uuid.uuid4()))


def _row(account: Account, stream_id: uuid.UUID) -> LiveStream:
    with bound(account.tenant), transaction.atomic():
        return LiveStream.objects.get(pk=stream_id)


def _text(row: LiveStream) -> str:
    reader = Assembler()
    for event in row.events:
        reader.take(event)
    return reader.texts["draft"]


async def _shows(reader: Assembler, text: str) -> None:
    while reader.texts.get("draft") != text:  # noqa: ASYNC110 - the reader is a plain object
        await asyncio.sleep(0.01)


def test_publishing_goes_on_and_close_stores_the_whole(account: Account, own_redis: EmbeddedRedis) -> None:
    publisher = _open(account)
    publisher.delta("draft", "before ")
    _kill(own_redis)
    began = time.monotonic()
    for _ in range(200):
        publisher.delta("draft", "字")
    assert time.monotonic() - began < 10
    publisher.close({"status": "completed"})
    row = _row(account, publisher.stream_id)
    assert row.status == "closed"
    assert _text(row) == "before " + "字" * 200


def test_a_worker_that_leaves_while_redis_is_down_keeps_its_words(account: Account, own_redis: EmbeddedRedis) -> None:
    with _open(account) as publisher:
        publisher.delta("draft", "first ")
        _kill(own_redis)
        publisher.delta("draft", "second ")
    own_redis.start()
    with bound(account.tenant):
        successor = StreamPublisher(publisher.stream_id)
    successor.delta("draft", "third")
    successor.close({})
    assert _text(_row(account, publisher.stream_id)) == "first second third"


async def test_a_reader_waits_for_redis_and_misses_nothing(account: Account, own_redis: EmbeddedRedis) -> None:
    publisher = await in_thread(_open, account)
    publisher.delta("draft", "before ")
    reader, unavailable = Assembler(), asyncio.Event()

    async def read() -> None:
        async with aclosing(StreamReader(account.tenant, publisher.stream_id).frames()) as frames:
            async for frame in frames:
                reader.take(frame)
                if frame["type"] == "unavailable":
                    unavailable.set()

    reading = asyncio.create_task(read())
    async with asyncio.timeout(30):
        await _shows(reader, "before ")
        await asyncio.to_thread(_kill, own_redis)
        await asyncio.to_thread(publisher.delta, "draft", "meanwhile ")
        await unavailable.wait()
        await asyncio.to_thread(own_redis.start)
        await asyncio.to_thread(publisher.delta, "draft", "after")
        await _shows(reader, "before meanwhile after")
        await in_thread(publisher.close)
        await reading
    assert "available" in reader.types
    assert reader.ended


async def test_a_reader_of_a_closed_stream_needs_no_redis(account: Account, own_redis: EmbeddedRedis) -> None:
    publisher = await in_thread(_open, account)
    publisher.delta("draft", "全文")
    await in_thread(publisher.close)
    await asyncio.to_thread(_kill, own_redis)
    reader = Assembler()
    async with asyncio.timeout(20), aclosing(StreamReader(account.tenant, publisher.stream_id).frames()) as frames:
        async for frame in frames:
            reader.take(frame)
    assert reader.texts["draft"] == "全文"
    assert reader.ended
