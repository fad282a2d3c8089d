"""The events of open streams in Redis: one Redis Stream each, whose entry ids are ``<seq>-0``.

Redis is never the only copy: a publisher keeps its own until Postgres has the whole.
"""

import asyncio
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from gateway_app.services.streams.events import StreamEvent

OPEN_TTL = 24 * 3600  # seconds since the last event
ENDED_TTL = 15 * 60  # seconds; later readers are served from Postgres
PAGE = 200  # events read at once: what a slow reader can make us hold

ENDED, LOST = -1, -2

# Numbers an event after the last one, whoever wrote that. An event sent twice, because the first answer was lost on
# its way, is recognised by its key. A buffer that ends before what the publisher knows to be there has lost data.
_APPEND = """
local tail = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local last = 0
if tail then
    last = tonumber(string.match(tail[1], '^%d+'))
    if tail[2][6] == ARGV[4] then return last end
    if tail[2][2] == 'end' then return -1 end
end
if last < tonumber(ARGV[1]) then return -2 end
local seq = string.format('%d', last + 1)
redis.call('XADD', KEYS[1], seq .. '-0', 'type', ARGV[2], 'first', seq, 'key', ARGV[4], 'body', ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return last + 1
"""

# Puts back what a restarted or emptied Redis no longer has.
_RESTORE = """
local tail = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local last = tail and tonumber(string.match(tail[1], '^%d+')) or 0
for index = 2, #ARGV, 4 do
    if tonumber(ARGV[index]) > last then
        redis.call('XADD', KEYS[1], ARGV[index] .. '-0',
            'type', ARGV[index + 1], 'first', ARGV[index + 2], 'key', '', 'body', ARGV[index + 3])
    end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
"""

Entry = tuple[bytes, dict[bytes, bytes]]


def buffer_append(stream_id: UUID, *, event_type: str, body: str, key: str, known: int) -> int:
    """Append one event and return its seq; `ENDED` after an end event; `LOST` when Redis has less than ``known``.

    ``body`` is the JSON of ``{"at", "data"}``; ``key`` is new for each event. Raises redis.RedisError.
    """
    ttl = ENDED_TTL if event_type == "end" else OPEN_TTL
    script = _client(settings.REDIS_URL).register_script(_APPEND)
    return int(script(keys=[_name(stream_id)], args=[known, event_type, body, key, ttl]))


def buffer_restore(stream_id: UUID, events: Sequence[StreamEvent]) -> None:
    """Write those of ``events`` that the buffer no longer has. Raises redis.RedisError."""
    arguments: list[Any] = [OPEN_TTL]
    for event in events:
        arguments += [event.seq, event.type, event.first, event_body(event.at, event.data)]
    _client(settings.REDIS_URL).register_script(_RESTORE)(keys=[_name(stream_id)], args=arguments)


def buffer_all(stream_id: UUID) -> list[StreamEvent]:
    """Return everything in the buffer. Raises redis.RedisError."""
    entries: Any = _client(settings.REDIS_URL).xrange(_name(stream_id))
    return [_event(entry) for entry in entries]


async def buffer_page(stream_id: UUID, after: int) -> list[StreamEvent]:
    """Return up to `PAGE` events with a seq above ``after``. Raises redis.RedisError."""
    entries: Any = await _async_client().xrange(_name(stream_id), min=f"({after}-0", count=PAGE)
    return [_event(entry) for entry in entries]


def event_body(at: str, data: dict[str, Any]) -> str:
    """Return the JSON under which an event is buffered."""
    return json.dumps({"at": at, "data": data}, separators=(",", ":"))


def _event(entry: Entry) -> StreamEvent:
    entry_id, fields = entry
    body = json.loads(fields[b"body"])
    return StreamEvent(
        seq=int(entry_id.split(b"-")[0]),
        type=fields[b"type"].decode(),
        at=body["at"],
        data=body["data"],
        first=int(fields[b"first"]),
    )


def _name(stream_id: UUID) -> str:
    # The braces keep one stream in one slot of a Redis Cluster.
    return f"stream:{{{stream_id}}}"


@lru_cache(maxsize=4)
def _client(url: str) -> "redis.Redis":
    # No retries: the publisher has its own, which do not keep the work waiting.
    return redis.Redis.from_url(
        url, socket_connect_timeout=0.5, socket_timeout=1, health_check_interval=0, retry=Retry(NoBackoff(), 0)
    )


_async_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, redis.asyncio.Redis]" = WeakKeyDictionary()


def _async_client() -> "redis.asyncio.Redis":
    loop = asyncio.get_running_loop()
    if loop not in _async_clients:
        _async_clients[loop] = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=2, retry=AsyncRetry(NoBackoff(), 0)
        )
    return _async_clients[loop]
