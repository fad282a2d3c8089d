"""Connections to the providers for event loops: one aiohttp pool for each process and loop, kept warm.

Time limits here: until connected. The caller keeps the others (`asyncio.timeout`, `gateway_app.v1.watch`), because they
end different things: a try, an answer, a call.
"""

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway_app.services.egress import checked_socket, trusted_socket

if TYPE_CHECKING:
    from gateway_app.services.routes import Endpoint

# Connections are kept for less long than servers and balancers usually keep theirs, so that few are found closed.
_KEEP_ALIVE_SECONDS = 30
# Answers arrive in blocks of at most about this size; a slow reader keeps no more than twice as much here.
_BUFFER_BYTES = 64 * 1024

# What a provider or its network may raise while it is asked or its answer is read.
UPSTREAM_ERRORS = (aiohttp.ClientError, ConnectionError, TimeoutError)

# Two for each loop: one for addresses that the machine's settings name, one for those that somebody typed.
_Sessions = dict[bool, aiohttp.ClientSession]
_sessions: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Sessions]" = WeakKeyDictionary()


async def upstream_post(
    endpoint: "Endpoint", path: str, body: bytes, *, content_type: str, is_stream: bool, call_id: str
) -> aiohttp.ClientResponse:
    """Send ``body`` to ``path`` ("chat/completions") below the endpoint's URL; return its answer's head.

    The answer is to be read from ``.content``; then `release` it, or `close` it to end the provider's work. Redirects
    are not followed: an operator named this address, not the provider. Raises one of UPSTREAM_ERRORS.
    """
    return await _session(endpoint.is_trusted).post(
        _url(endpoint.url, path),
        data=body,
        headers=_headers(endpoint.api_key, content_type, call_id, is_stream=is_stream),
        allow_redirects=False,
        timeout=_timeout(endpoint.connect_timeout),
    )


async def upstream_read(response: aiohttp.ClientResponse) -> bytes:
    """Return what has come of the answer's body, at least a byte; nothing at its end. Raises one of UPSTREAM_ERRORS."""
    content = response.content
    try:
        return await content.readany()
    except UPSTREAM_ERRORS:
        # A break is told before what had come by then: it has come all the same. The next read tells again.
        rest = content._read_nowait(-1)  # noqa: SLF001 - the public one raises, too
        if rest:
            return rest
        raise


async def upstream_close() -> None:
    """Close the running event loop's connections, when it is about to end."""
    for session in _sessions.pop(asyncio.get_running_loop(), {}).values():
        await session.close()


def _session(is_trusted: bool) -> aiohttp.ClientSession:
    sessions = _sessions.setdefault(asyncio.get_running_loop(), {})
    session = sessions.get(is_trusted)
    if session is None or session.closed:
        session = sessions[is_trusted] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                # Slots of the providers limit how many calls run at once, not the pool.
                limit=0,
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
                # Each connection is checked at the address that it goes to: a name may lead anywhere by now.
                socket_factory=trusted_socket if is_trusted else checked_socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_BUFFER_BYTES,
            trust_env=False,
        )
    return session


def _headers(api_key: str, content_type: str, call_id: str, *, is_stream: bool) -> "CIMultiDict[str]":
    headers = CIMultiDict(_lasting_headers(api_key, is_stream))
    headers["Content-Type"] = content_type
    headers["X-Client-Request-Id"] = call_id
    return headers


@lru_cache(maxsize=256)
def _lasting_headers(api_key: str, is_stream: bool) -> "CIMultiDict[str]":
    return CIMultiDict(
        {
            "Authorization": f"Bearer {api_key}",
            "Accept": "text/event-stream" if is_stream else "application/json",
            # The bytes are passed on as they are and their usage is read: nothing is to be unpacked in between.
            "Accept-Encoding": "identity",
            "User-Agent": "DeepSpace",
        }
    )


@lru_cache(maxsize=256)
def _url(base: str, path: str) -> URL:
    return URL(f"{base.rstrip('/')}/{path}")


@lru_cache(maxsize=64)
def _timeout(connect: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=None, sock_connect=connect, sock_read=None)
