"""The web server of /v1 for tests, and its callers' books."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import httpx2
import openai

from tests.support.accounts import Account
from tests.support.gateway import Books, books
from tests.support.processes import Process, wait_until
from tests.support.stack import Stack
from tests.support.upstream import ScriptedUpstream

T = TypeVar("T")

# The project's own settings, but short pauses between tries, and signs of life after a short silence.
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "GATEWAY_RETRY_BASE_MS": "10",
    "GATEWAY_PING_SECONDS": "1",
}


class V1:
    """One web server before ``upstream``; others can be started beside it."""

    def __init__(self, upstream: ScriptedUpstream) -> None:
        self.upstream = upstream
        self._stack = Stack(upstream)

    @property
    def url(self) -> str:
        """The address of the server, without a slash at the end."""
        return self._stack.url

    @property
    def port(self) -> int:
        """The server's port."""
        return self._stack.port

    @property
    def web(self) -> Process:
        """The server's process."""
        return self._stack.web

    def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the server and wait until it accepts connections."""
        self._stack.web = self._stack.spawn_web({**ENVIRONMENT, **(environment or {})})

    def spawn(self, port: int, environment: Mapping[str, str] | None = None) -> Process:
        """Start another server on ``port``; it is stopped after the test."""
        return self._stack.spawn_web({**ENVIRONMENT, **(environment or {})}, port)

    def mend(self) -> None:
        """Stop what a test started besides, and start again what it killed."""
        for process in self._stack.processes:
            if process is not self.web:
                process.stop()
        self._stack.processes = [self.web]
        if not self.web.is_alive:
            self.start()

    def stop(self) -> None:
        """Stop everything."""
        self._stack.stop()


def sdk(account: Account, **options: Any) -> openai.OpenAI:
    """Return the official client with the account's key; it does not retry unless told to."""
    return openai.OpenAI(**_options(account, options))


def async_sdk(account: Account, **options: Any) -> openai.AsyncOpenAI:
    """The same for event loops."""
    return openai.AsyncOpenAI(**_options(account, options))


def raw(account: Account) -> httpx2.Client:
    """Return a plain HTTP client at /v1 with the account's key."""
    return httpx2.Client(base_url=f"{account.base_url}/v1", headers=account.headers, timeout=30)


def user(text: str = "I want an article about green tea") -> list[Any]:
    """Return the messages of a chat."""
    return [{"role": "user", "content": text}]


def settled_books(organization_id: UUID, *, calls: int | None = None) -> Books:
    """Wait until nothing of the organization is open, and return its books."""

    def settled() -> Books | None:
        now = books(organization_id)
        is_settled = all(call.status == "settled" for call in now.calls) and now.frozen == 0
        return now if is_settled and (calls is None or len(now.calls) == calls) else None

    found = wait_until(settled, timeout=20, explain=lambda: f"Not settled: {books(organization_id)}")
    assert found
    return found


def charged(organization_id: UUID) -> Decimal:
    """Return what the organization has paid for its calls, once all are settled."""
    return settled_books(organization_id).captured


def until_error(stream: Iterable[T]) -> tuple[list[T], openai.APIError]:
    """Return what ``stream`` brought before it failed, and how it failed."""
    brought: list[T] = []
    try:
        for item in stream:
            brought.append(item)  # noqa: PERF402 - what came before the error is kept
    except openai.APIError as error:
        return brought, error
    raise AssertionError("The stream did not fail.")


async def arrived(upstream: ScriptedUpstream) -> None:
    """Wait until a call has reached the upstream."""
    await asyncio.to_thread(wait_until, lambda: upstream.served)


def is_usd(text: str) -> bool:
    """Whether ``text`` is an amount as headers tell it: ten decimal places."""
    return re.fullmatch(r"\d+\.\d{10}", text) is not None


def _options(account: Account, options: dict[str, Any]) -> dict[str, Any]:
    base = {"base_url": f"{account.base_url}/v1", "api_key": account.secret, "max_retries": 0, "timeout": 30}
    return {**base, **options}
