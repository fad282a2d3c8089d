"""Which addresses we connect to on an operator's word alone.

A base URL that somebody types must not make this machine fetch what only this machine can reach: the cloud's metadata
service first of all. Literal addresses are refused when they are typed; every connection is checked as it is opened,
at the very address that it goes to, because a name may lead elsewhere by then.
"""

import http.client
import ipaddress
import socket
import ssl
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Metadata services that no property of `ipaddress` tells.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")))


def address_refused(text: str, *, allow_private: bool) -> bool:
    """Whether we may not connect to this IP address: never to link-local, multicast, reserved or metadata ones; to
    private ones and this machine only with ``allow_private``."""
    address: _Address = ipaddress.ip_address(text.partition("%")[0])
    address = _carried(address) or address
    never = address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA
    if never or (address.is_reserved and not address.is_loopback):
        return True
    return not (address.is_global or allow_private)


def base_url_check(url: str) -> None:
    """Refuse a base URL that could never be a provider's; raises InvalidInput."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise InvalidInput.for_field("base_url", _("Keep the key out of the URL: it would be seen in logs."))
    if parts.query or parts.fragment:
        raise InvalidInput.for_field("base_url", _("A base URL has no parameters."))
    try:
        is_refused = address_refused(parts.hostname or "", allow_private=settings.PROVIDER_PRIVATE_NETWORKS)
    except ValueError:
        return  # a name: checked when it is resolved
    if is_refused:
        raise InvalidInput.for_field("base_url", refusal())


class EgressRefused(OSError):
    """A connection to an address that we do not connect to. An OSError: to whoever calls, nobody is there."""


def address_check(host: str, *, is_trusted: bool) -> None:
    """Raise EgressRefused for an IP address that we may not connect to.

    ``is_trusted``: the machine's own settings name the provider, not somebody who typed.
    """
    if address_refused(host, allow_private=settings.PROVIDER_PRIVATE_NETWORKS or is_trusted):
        raise EgressRefused(refusal())


def addresses_checked(found: Iterable[tuple[Any, ...]], *, is_trusted: bool) -> list[str]:
    """Return the IP addresses of a ``getaddrinfo``, IPv4 first; raises EgressRefused when one of them is refused."""
    hosts = list(dict.fromkeys(str(sockaddr[0]) for *_kind, sockaddr in found))
    for host in hosts:
        address_check(host, is_trusted=is_trusted)
    return sorted(hosts, key=lambda host: ":" in host)


def checked_socket(info: tuple[Any, ...]) -> socket.socket:
    """Return a socket for one result of ``getaddrinfo`` that somebody's typing led to; raises EgressRefused."""
    address_check(str(info[4][0]), is_trusted=False)
    return socket.socket(*info[:3])


def trusted_socket(info: tuple[Any, ...]) -> socket.socket:
    """The same for one that the machine's settings led to."""
    address_check(str(info[4][0]), is_trusted=True)
    return socket.socket(*info[:3])


def connection_to(url: str, *, timeout: float, allow_private: bool) -> http.client.HTTPConnection:
    """Return a connection to the host of ``url`` that opens only to an address we may connect to.

    It follows no redirects. Opening it raises InvalidInput for an address that is refused, OSError otherwise.
    """
    parts = urlsplit(url)
    kind = _CheckedTls if parts.scheme == "https" else _Checked
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    connection.allow_private = allow_private
    return connection


def refusal() -> str:
    """Return the sentence for an address that is refused."""
    return _(
        "We do not connect to this address. Providers on private networks need PROVIDER_PRIVATE_NETWORKS=true; "
        "link-local and reserved addresses are never asked."
    )


def _carried(address: _Address) -> _Address | None:
    """The IPv4 address inside an IPv6 one that leads to it."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


class _Checked(http.client.HTTPConnection):
    allow_private = False

    def connect(self) -> None:
        self.sock = self._open()

    def _open(self) -> socket.socket:
        error: Exception = OSError("The name has no address.")
        for *_kind, (host, *_rest) in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            if address_refused(str(host), allow_private=self.allow_private):
                raise InvalidInput.for_field("base_url", refusal())
            try:
                return socket.create_connection((str(host), self.port), timeout=self.timeout)
            except OSError as failed:
                error = failed
        raise error


class _CheckedTls(_Checked):
    default_port = http.client.HTTPS_PORT

    def connect(self) -> None:
        self.sock = ssl.create_default_context().wrap_socket(self._open(), server_hostname=self.host)
