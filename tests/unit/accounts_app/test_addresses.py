"""Where a request comes from is what trusted proxies say, and nobody else; lists say who may enter."""

from ipaddress import ip_network
from typing import Any, Literal

import pytest
from django.http import HttpRequest

from accounts_app.contracts import IpRule
from accounts_app.services.addresses import address_admitted, client_address

Level = Literal["operator", "organization", "project", "key"]


@pytest.fixture
def behind_proxies(settings: Any) -> None:
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


def allow(network: str, level: Level = "organization") -> IpRule:
    return IpRule(level=level, action="allow", network=ip_network(network))


def deny(network: str, level: Level = "organization") -> IpRule:
    return IpRule(level=level, action="deny", network=ip_network(network))


@pytest.mark.parametrize("said", ["203.0.113.9", "203.0.113.9, 10.0.0.1", "10.0.0.1", "nonsense", ""])
def test_without_trusted_proxies_only_the_peer_counts(said: str) -> None:
    assert client_address({"x-forwarded-for": said}, "198.51.100.4") == "198.51.100.4"


@pytest.mark.usefixtures("behind_proxies")
@pytest.mark.parametrize(
    ("said", "peer", "client"),
    [
        ("203.0.113.9", "10.0.0.1", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.4", "198.51.100.4"),  # not one of ours speaks
        ("192.0.2.1, 203.0.113.9", "10.0.0.1", "203.0.113.9"),  # the caller wrote the first
        ("203.0.113.9, 10.0.0.7, fd00::2", "10.0.0.1", "203.0.113.9"),  # several hops
        ("10.9.9.9, 203.0.113.9, 10.0.0.7", "10.0.0.1", "203.0.113.9"),  # written to look like one of ours
        ("10.0.0.7, 10.0.0.8", "10.0.0.1", "10.0.0.7"),  # nobody but ours
        ("2001:db8::7", "fd00::1", "2001:db8::7"),
        ("[2001:db8::7]:443", "10.0.0.1", "2001:db8::7"),
        ("203.0.113.9:5555", "10.0.0.1", "203.0.113.9"),
        ("::ffff:203.0.113.9", "::ffff:10.0.0.1", "203.0.113.9"),
        ("203.0.113.9, <script>", "10.0.0.1", "10.0.0.1"),  # nonsense is believed no further
        ("203.0.113.9, ", "10.0.0.1", "10.0.0.1"),
        ("999.1.1.1", "10.0.0.1", "10.0.0.1"),
        ("", "10.0.0.1", "10.0.0.1"),
    ],
)
def test_a_trusted_proxy_is_believed_about_whom_it_heard_from(said: str, peer: str, client: str) -> None:
    assert client_address({"x-forwarded-for": said}, peer) == client


def test_a_peer_that_is_no_address_is_unknown() -> None:
    assert client_address({}, "") == ""
    assert client_address({}, "unix:/run/web.sock") == ""


@pytest.mark.usefixtures("behind_proxies")
def test_djangos_headers_are_read_whatever_their_case() -> None:
    request = HttpRequest()
    request.META.update({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.9"})
    assert client_address(request.headers, request.META["REMOTE_ADDR"]) == "203.0.113.9"


@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8::1", "", "nonsense"])
def test_without_rules_everybody_enters(address: str) -> None:
    assert address_admitted((), address)


@pytest.mark.parametrize(
    ("rules", "address", "admitted"),
    [
        ([allow("203.0.113.0/24")], "203.0.113.9", True),
        ([allow("203.0.113.0/24")], "203.0.114.9", False),
        ([allow("203.0.113.0/24")], "::ffff:203.0.113.9", True),
        ([allow("203.0.113.0/24")], "2001:db8::1", False),
        ([allow("2001:db8::/32")], "2001:db8:5::1", True),
        ([allow("2001:db8::/32")], "2001:db9::1", False),
        ([deny("203.0.113.9/32")], "203.0.113.9", False),
        ([deny("203.0.113.9/32")], "203.0.113.8", True),
        ([allow("203.0.113.0/24"), deny("203.0.113.9/32")], "203.0.113.9", False),
        ([deny("0.0.0.0/0"), allow("203.0.113.9/32")], "203.0.113.9", False),
        ([allow("203.0.113.0/24"), allow("198.51.100.0/24", "key")], "203.0.113.9", False),
        ([allow("203.0.113.0/24"), allow("203.0.113.9/32", "key")], "203.0.113.9", True),
        ([allow("203.0.113.0/24"), allow("203.0.113.9/32", "key")], "203.0.113.8", False),
        ([deny("203.0.113.0/24", "operator"), allow("203.0.113.9/32")], "203.0.113.9", False),
        ([allow("203.0.113.0/24", "project")], "198.51.100.1", False),
        ([deny("203.0.113.9/32")], "", False),
        ([deny("203.0.113.9/32")], "nonsense", False),
    ],
)
def test_a_denial_wins_and_every_level_must_admit(rules: list[IpRule], address: str, admitted: bool) -> None:
    assert address_admitted(rules, address) is admitted
