"""How the openai SDK's clients reach a provider: through connections to checked addresses only.

A name is resolved here, once, and the connection goes to the very address that was checked; TLS still asks for the
name. Proxies named by the environment are not used: who knows where they lead.
"""

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from gateway_app.services.egress import addresses_checked

_Options = Iterable[Any] | None


class Road(httpx2.HTTPTransport):
    """For threads."""

    def __init__(self, *, limits: httpx2.Limits, is_trusted: bool) -> None:
        super().__init__(trust_env=False, limits=limits)
        self._pool = httpcore2.ConnectionPool(network_backend=_Backend(is_trusted=is_trusted), **_pool(limits))


class AsyncRoad(httpx2.AsyncHTTPTransport):
    """For event loops."""

    def __init__(self, *, limits: httpx2.Limits, is_trusted: bool) -> None:
        super().__init__(trust_env=False, limits=limits)
        backend = _AsyncBackend(is_trusted=is_trusted)
        self._pool = httpcore2.AsyncConnectionPool(network_backend=backend, **_pool(limits))


def _pool(limits: httpx2.Limits) -> dict[str, Any]:
    return {
        "ssl_context": httpx2.create_ssl_context(trust_env=False),
        "max_connections": limits.max_connections,
        "max_keepalive_connections": limits.max_keepalive_connections,
        "keepalive_expiry": limits.keepalive_expiry,
    }


class _Backend(httpcore2.SyncBackend):
    def __init__(self, *, is_trusted: bool) -> None:
        self._is_trusted = is_trusted

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address of ``host`` that answers."""
        refused: Exception = httpcore2.ConnectError(_NO_ADDRESS)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = addresses_checked(found, is_trusted=self._is_trusted)
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        for address in addresses:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                refused = error
        raise refused


class _AsyncBackend(httpcore2.AnyIOBackend):
    def __init__(self, *, is_trusted: bool) -> None:
        self._is_trusted = is_trusted

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's own signature
        local_address: str | None = None,
        socket_options: _Options = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of ``host`` that answers."""
        refused: Exception = httpcore2.ConnectError(_NO_ADDRESS)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            addresses = addresses_checked(found, is_trusted=self._is_trusted)
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        for address in addresses:
            try:
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                refused = error
        raise refused


_NO_ADDRESS = "The name has no address."
