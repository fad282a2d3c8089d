"""Connections to the providers for event loops: one pool for each process and loop, kept warm.

Time limits here: until connected. The caller keeps the others (`asyncio.timeout`, `gateway_app.v1.watch`), because they
end different things: a try, an answer, a call.
"""

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit
from weakref import WeakKeyDictionary

from gateway_app.services.upstream.connection import Reply
from gateway_app.services.upstream.errors import UPSTREAM_ERRORS, UpstreamBroken, UpstreamUnreachable
from gateway_app.services.upstream.pool import Origin, Pool

if TYPE_CHECKING:
    from gateway_app.services.routes import Endpoint

__all__ = [
    "UPSTREAM_ERRORS",
    "Reply",
    "UpstreamBroken",
    "UpstreamUnreachable",
    "upstream_close",
    "upstream_post",
]

_DEFAULT_PORTS = {"http": 80, "https": 443}
# What may stand in a path as it is; what is escaped already stays so.
_SAFE_IN_PATH = "/%:@!$&'()*+,;=~-._"
# Before a body of this size is copied, it is sent in a piece of its own.
_JOINED_BYTES = 64 * 1024

_pools: "WeakKeyDictionary[asyncio.AbstractEventLoop, Pool]" = WeakKeyDictionary()


async def upstream_post(
    endpoint: "Endpoint", path: str, body: bytes, *, content_type: str, is_stream: bool, call_id: str
) -> Reply:
    """Send ``body`` to ``path`` ("chat/completions") below the endpoint's URL; return its answer from the head on.

    `Reply.close` it, also when it was not read to its end: that ends the provider's work. Redirects are not followed:
    an operator named this address, not the provider. Raises one of UPSTREAM_ERRORS.
    """
    origin, head = _beginning(endpoint.url, path, endpoint.api_key, is_stream, endpoint.is_trusted)
    head += b"Content-Type: %b\r\nX-Client-Request-Id: %b\r\nContent-Length: %d\r\n\r\n" % (
        _header(content_type),
        _header(call_id),
        len(body),
    )
    request = (head + body,) if len(body) < _JOINED_BYTES else (head, body)
    reply = await _pool().ask(origin, request, connect_timeout=endpoint.connect_timeout)
    packing = reply.headers.get("content-encoding", "identity")
    if packing.lower() != "identity":
        # The bytes are passed on as they are and their usage is read: nothing is unpacked in between.
        reply.close()
        raise UpstreamBroken(f"The provider packed its answer ({packing}) although asked not to.")
    return reply


async def upstream_close() -> None:
    """Close the running event loop's connections, when it is about to end."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        await pool.close()


def _pool() -> Pool:
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None:
        pool = _pools[loop] = Pool()
    return pool


@lru_cache(maxsize=256)
def _beginning(base: str, path: str, api_key: str, is_stream: bool, is_trusted: bool) -> tuple[Origin, bytes]:
    """Where requests go, and how their heads begin; raises UpstreamUnreachable for what no head can say."""
    try:
        url = urlsplit(base)
        host = (url.hostname or "").encode("idna").decode()
        usual = _DEFAULT_PORTS[url.scheme]
        port = url.port or usual
    except (ValueError, KeyError) as error:
        raise UpstreamUnreachable(f"{base} is no address of a provider.") from error
    named = f"[{host}]" if ":" in host else host
    if port != usual:
        named += f":{port}"
    target = quote(f"{url.path.rstrip('/')}/{path}", safe=_SAFE_IN_PATH)
    lines = {
        "Host": named,
        "Authorization": f"Bearer {api_key}",
        "Accept": "text/event-stream" if is_stream else "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "DeepSpace",
    }
    head = b"POST %b HTTP/1.1\r\n" % target.encode()
    for name, value in lines.items():
        head += b"%b: %b\r\n" % (name.encode(), _header(value))
    return Origin(host, port, url.scheme == "https", is_trusted), head


def _header(value: str) -> bytes:
    """Return a header's value as bytes. Raises UpstreamUnreachable for one that would end it and begin another."""
    if not value.isprintable():
        raise UpstreamUnreachable("A header for the provider has characters that no header may have.")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise UpstreamUnreachable("A header for the provider has characters that no header can have.") from error
