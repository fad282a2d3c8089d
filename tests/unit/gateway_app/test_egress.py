"""Every connection to a provider is checked at the address that it goes to, not at the one that was typed."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import openai
import pytest
from pytest_django import Settings

from gateway_app.services.clients import async_client, async_clients_close, sync_client
from gateway_app.services.routes import Endpoint
from gateway_app.services.upstream import UpstreamUnreachable, upstream_close, upstream_post
from tests.factories.gateway import candidate
from tests.support.upstream import ScriptedUpstream

NAME = "models.example.com"
METADATA = "169.254.169.254"
Ask = Callable[[Endpoint], None]


def ask_as_v1(endpoint: Endpoint) -> None:
    async def work() -> None:
        body = b'{"model": "scripted", "messages": [{"role": "user", "content": "tea"}]}'
        try:
            answer = await upstream_post(
                endpoint, "chat/completions", body, content_type="application/json", is_stream=False, call_id="c"
            )
            assert b'"choices"' in await answer.read()
        finally:
            await upstream_close()

    asyncio.run(work())


def ask_in_a_thread(endpoint: Endpoint) -> None:
    sync_client(endpoint).models.list()


def ask_in_a_loop(endpoint: Endpoint) -> None:
    async def work() -> None:
        try:
            await async_client(endpoint).models.list()
        finally:
            await async_clients_close()

    asyncio.run(work())


@pytest.fixture
def leads_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let NAME lead to these addresses."""
    real = socket.getaddrinfo

    def point(*addresses: str) -> None:
        def resolve(host: Any, port: Any, *more: Any, **named: Any) -> list[Any]:
            hosts = addresses if host == NAME else [host]
            return [found for each in hosts for found in real(each, port, *more, **named)]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)

    return point


@pytest.fixture
def endpoint(upstream: ScriptedUpstream) -> Endpoint:
    """The scripted upstream under a name, as somebody may have typed it."""
    return replace(candidate("typed").endpoint, url=upstream.url.replace("127.0.0.1", NAME), connect_timeout=10)


everybody = pytest.mark.parametrize("ask", [ask_as_v1, ask_in_a_thread, ask_in_a_loop])
NOT_THERE = (UpstreamUnreachable, openai.APIConnectionError)


@everybody
def test_a_name_that_leads_home_is_not_connected_to(
    ask: Ask, endpoint: Endpoint, leads_to: Callable[..., None], settings: Settings
) -> None:
    settings.PROVIDER_PRIVATE_NETWORKS = False
    leads_to("127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as home:
        home.setblocking(False)  # noqa: FBT003 - the socket's own signature
        with pytest.raises(NOT_THERE):
            ask(replace(endpoint, url=f"http://{NAME}:{home.getsockname()[1]}/v1"))
        with pytest.raises(BlockingIOError):
            home.accept()


@everybody
def test_a_name_at_home_is_asked_where_settings_say_so(
    ask: Ask, endpoint: Endpoint, leads_to: Callable[..., None], settings: Settings
) -> None:
    settings.PROVIDER_PRIVATE_NETWORKS = False
    leads_to("127.0.0.1")
    ask(replace(endpoint, is_trusted=True))
    settings.PROVIDER_PRIVATE_NETWORKS = True
    ask(endpoint)


@everybody
def test_the_next_address_is_tried_when_one_does_not_answer(
    ask: Ask, endpoint: Endpoint, leads_to: Callable[..., None], settings: Settings
) -> None:
    settings.PROVIDER_PRIVATE_NETWORKS = True
    leads_to("127.0.0.2", "127.0.0.1")
    ask(endpoint)


@everybody
def test_a_literal_address_is_checked_too(
    ask: Ask, endpoint: Endpoint, upstream: ScriptedUpstream, settings: Settings
) -> None:
    settings.PROVIDER_PRIVATE_NETWORKS = False
    with pytest.raises(NOT_THERE) as refused:
        ask(replace(endpoint, url=upstream.url))
    assert "PROVIDER_PRIVATE_NETWORKS" in str(refused.value.__cause__ or refused.value)


@everybody
def test_the_metadata_service_is_never_asked(
    ask: Ask, endpoint: Endpoint, leads_to: Callable[..., None], settings: Settings
) -> None:
    settings.PROVIDER_PRIVATE_NETWORKS = True
    leads_to(METADATA)
    with pytest.raises(NOT_THERE) as refused:
        ask(replace(endpoint, is_trusted=True))
    assert "link-local" in str(refused.value.__cause__ or refused.value)
