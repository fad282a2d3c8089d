"""The button that asks a provider for its models, and the addresses that it never asks."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from accounts_app.exceptions import InvalidInput
from accounts_app.models import AuditLog
from accounts_app.tenancy.context import operator_atomic, operator_context
from gateway_app.exceptions import ModelUnavailable
from gateway_app.models import Provider
from gateway_app.services.egress import address_refused, base_url_check
from gateway_app.services.provider_check import provider_check
from gateway_app.services.secrets import credential_set
from tests.factories.accounts import person

pytestmark = pytest.mark.usefixtures("committed_db")

SECRET = "sk-only-for-the-provider"


class _Answer(BaseHTTPRequestHandler):
    status: ClassVar[int] = 200
    body: ClassVar[bytes] = b'{"object": "list", "data": [{"id": "a"}, {"id": "b"}]}'
    seen: ClassVar[list[tuple[str, str]]] = []

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization", "")))
        self.send_response(self.status)
        self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def answer() -> type[_Answer]:
    class Answer(_Answer):
        seen: ClassVar[list[tuple[str, str]]] = []

    return Answer


@pytest.fixture
def url(answer: type[_Answer]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def _provider(url: str, **fields: object) -> Provider:
    with operator_atomic("test"):
        provider = Provider.objects.create(key=f"p-{uuid4().hex[:12]}", name="Asked", base_url=url, **fields)
        credential_set(provider=provider, secret=SECRET)
    return provider


def test_it_is_asked_with_its_own_key_and_the_answer_is_counted(url: str, answer: type[_Answer]) -> None:
    provider = _provider(url)
    with operator_context("test"):
        check = provider_check(provider=provider)
    assert (check.is_good, check.http_status, check.models) == (True, 200, 2)
    assert answer.seen == [("/v1/models", f"Bearer {SECRET}")]
    with operator_atomic("test"):
        row = AuditLog.objects.get(action="provider.check", target_id=str(provider.pk))
        assert row.data == {"provider": provider.key, "http_status": 200, "models": 2}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(url: str, answer: type[_Answer], status: int) -> None:
    answer.status, answer.body = status, b""
    with operator_context("test"):
        check = provider_check(provider=_provider(url))
    assert (check.is_good, check.http_status, len(answer.seen)) == (False, status, 1)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"data": {}}', b'{"models": []}', b"\xff"])
def test_what_is_no_list_of_models_is_not_good(url: str, answer: type[_Answer], body: bytes) -> None:
    answer.body = body
    with operator_context("test"):
        check = provider_check(provider=_provider(url))
    assert (check.is_good, check.models) == (False, None)


def test_a_provider_that_is_not_there_or_not_set_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with operator_context("test"):
        with pytest.raises(ModelUnavailable, match="ConnectionRefusedError"):
            provider_check(provider=_provider(f"http://127.0.0.1:{port}/v1"))
        with pytest.raises(ModelUnavailable, match="no host of this name"):
            provider_check(provider=_provider("http://nowhere.invalid/v1"))
        with pytest.raises(ModelUnavailable, match="switched off"):
            provider_check(provider=_provider("http://127.0.0.1:9/v1", is_active=False))


def test_a_provider_without_encryption_is_not_asked_over_https(url: str, answer: type[_Answer]) -> None:
    provider = _provider(url.replace("http://", "https://"))
    with operator_context("test"), pytest.raises(ModelUnavailable, match="certificate or encryption"):
        provider_check(provider=provider)
    assert answer.seen == []


@pytest.mark.parametrize(
    ("address", "refused_at_home", "refused_outside"),
    [
        ("93.184.216.34", False, False),
        ("2606:2800:220:1:248:1893:25c8:1946", False, False),
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("10.1.2.3", False, True),
        ("192.168.0.7", False, True),
        ("100.64.0.1", False, True),
        ("fd12::1", False, True),
        ("::ffff:10.0.0.1", False, True),
        ("169.254.169.254", True, True),
        ("::ffff:169.254.169.254", True, True),
        ("64:ff9b::a9fe:a9fe", True, True),
        ("2002:a9fe:a9fe::1", True, True),
        ("fe80::1", True, True),
        ("fd00:ec2::254", True, True),
        ("100.100.100.200", True, True),
        ("0.0.0.0", True, True),  # noqa: S104
        ("::", True, True),
        ("224.0.0.1", True, True),
        ("ff02::1", True, True),
        ("240.0.0.1", True, True),
    ],
)
def test_which_addresses_are_asked(address: str, refused_at_home: bool, refused_outside: bool) -> None:
    assert address_refused(address, allow_private=True) is refused_at_home
    assert address_refused(address, allow_private=False) is refused_outside


def test_a_name_is_checked_by_the_address_that_it_leads_to(url: str, answer: type[_Answer], settings: Settings) -> None:
    settings.PROVIDER_PRIVATE_NETWORKS = False
    provider = _provider(url.replace("127.0.0.1", "localhost"))
    with operator_context("test"):
        with pytest.raises(InvalidInput, match="PROVIDER_PRIVATE_NETWORKS"):
            provider_check(provider=provider)
        assert answer.seen == []
        settings.PROVIDER_PRIVATE_NETWORKS = True
        assert provider_check(provider=provider).is_good


def test_what_a_setting_of_the_machine_names_is_trusted(url: str, settings: Settings) -> None:
    settings.PROVIDER_PRIVATE_NETWORKS = False
    settings.OPENAI_BASE_URL, settings.OPENAI_API_KEY = url, "sk-own"
    provider = _provider(
        "https://api.example.com/v1", base_url_setting="OPENAI_BASE_URL", api_key_setting="OPENAI_API_KEY"
    )
    with operator_context("test"):
        assert provider_check(provider=provider).is_good


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/v1",
        "https://key@api.example.com/v1",
        "https://api.example.com/v1?key=x",
        "https://api.example.com/v1#x",
    ],
)
def test_base_urls_that_could_never_be_a_providers(url: str) -> None:
    with pytest.raises(InvalidInput):
        base_url_check(url)


def test_base_urls_that_may_be() -> None:
    for url in ("https://api.example.com/v1", "http://127.0.0.1:11434/v1"):
        base_url_check(url)


@pytest.fixture
def operator() -> Client:
    return person(is_operator=True).client()


def _test(operator: Client, provider: Provider) -> str:
    answer = operator.post(f"/admin/gateway_app/provider/{provider.pk}/test/", follow=True)
    assert answer.status_code == 200
    assert SECRET not in answer.content.decode()
    return str(answer.content.decode())


def test_the_button_says_what_the_provider_answered(operator: Client, url: str, answer: type[_Answer]) -> None:
    provider = _provider(url)
    page = operator.get(f"/admin/gateway_app/provider/{provider.pk}/change/").content.decode()
    assert f"/admin/gateway_app/provider/{provider.pk}/test/" in page
    assert "It answers with 2 models" in _test(operator, provider)
    answer.status = 401
    assert "refuses our API key (HTTP 401)" in _test(operator, provider)
    answer.status = 500
    assert "not with a list of models (HTTP 500)" in _test(operator, provider)
    with operator_atomic("test"):
        Provider.objects.filter(pk=provider.pk).update(base_url="http://169.254.169.254/v1")
    assert "We do not connect to this address" in _test(operator, provider)


def test_the_button_is_for_operators_and_for_posts(operator: Client) -> None:
    provider = _provider("http://127.0.0.1:9/v1")
    address = f"/admin/gateway_app/provider/{provider.pk}/test/"
    assert operator.get(address).status_code == 404
    assert operator.post(f"/admin/gateway_app/provider/{uuid4()}/test/").status_code == 404
    assert person().client().post(address).status_code in {302, 403}
    assert Client().post(address).status_code == 302
