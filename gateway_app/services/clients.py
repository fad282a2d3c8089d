"""Warm clients of the openai SDK: one for each endpoint and process (and event loop), its connections kept open.

The SDK's own retries are off: ours are recorded, and stop at the first token. Redirects are not followed: an operator
named this address, not the provider.
"""

import asyncio
import os
import threading
from weakref import WeakKeyDictionary

import httpx2
import openai

from gateway_app.services.routes import Endpoint
from gateway_app.services.sdk_roads import AsyncRoad, Road

_LIMITS = httpx2.Limits(max_connections=500, max_keepalive_connections=100, keepalive_expiry=60)
_Key = tuple[int, str, str, bool]

_lock = threading.Lock()
_sync: dict[_Key, openai.OpenAI] = {}
_async: "WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, openai.AsyncOpenAI]]" = WeakKeyDictionary()


def sync_client(endpoint: Endpoint) -> openai.OpenAI:
    """Return this process's client of ``endpoint``, for any thread."""
    key = _key(endpoint)
    with _lock:
        if key not in _sync:
            road = Road(limits=_LIMITS, is_trusted=endpoint.is_trusted)
            http_client = httpx2.Client(transport=road, timeout=timeout_of(endpoint))
            _sync[key] = openai.OpenAI(
                base_url=endpoint.url, api_key=endpoint.api_key, max_retries=0, http_client=http_client
            )
        return _sync[key]


def async_client(endpoint: Endpoint) -> openai.AsyncOpenAI:
    """Return the running event loop's client of ``endpoint``."""
    clients = _async.setdefault(asyncio.get_running_loop(), {})
    key = _key(endpoint)
    if key not in clients:
        road = AsyncRoad(limits=_LIMITS, is_trusted=endpoint.is_trusted)
        http_client = httpx2.AsyncClient(transport=road, timeout=timeout_of(endpoint))
        clients[key] = openai.AsyncOpenAI(
            base_url=endpoint.url, api_key=endpoint.api_key, max_retries=0, http_client=http_client
        )
    return clients[key]


async def async_clients_close() -> None:
    """Close the running event loop's clients, when it is about to end."""
    for client in _async.pop(asyncio.get_running_loop(), {}).values():
        await client.close()


def _key(endpoint: Endpoint) -> _Key:
    return (os.getpid(), endpoint.url, endpoint.api_key, endpoint.is_trusted)


def timeout_of(endpoint: Endpoint) -> httpx2.Timeout:
    """Return the limits that the socket itself keeps: until the answer's head, the first token's limit."""
    return httpx2.Timeout(endpoint.first_token_timeout, connect=endpoint.connect_timeout)
