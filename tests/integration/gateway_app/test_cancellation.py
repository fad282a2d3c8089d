"""A caller who leaves an event loop or a thread: the upstream is closed at once, the call is settled all the same."""

import asyncio
import time
from contextlib import suppress
from uuid import UUID

import pytest
from pytest_django import Settings

from billing_app.contracts import ZERO
from gateway_app.contracts import ChatRequest
from gateway_app.services.chat import achat_stream, chat_stream
from gateway_app.services.clients import async_clients_close
from tests.factories.gateway import chat_request, cost
from tests.support.gateway import Outcome, acall, assert_settled, by_thread
from tests.support.upstream import ScriptedUpstream


def _wait_for(upstream: ScriptedUpstream, tokens: int) -> None:
    while not any(served.completion_tokens >= tokens for served in upstream.served):
        time.sleep(0.002)


async def _cancelled_after(request: ChatRequest, upstream: ScriptedUpstream, tokens: int) -> None:
    """Begin the call in a task and cancel that once the upstream has sent so many tokens, and some have arrived."""
    outcome = Outcome()
    task = asyncio.create_task(acall(request, outcome=outcome))
    await asyncio.to_thread(_wait_for, upstream, tokens)
    while tokens and not outcome.texts:  # noqa: ASYNC110 - they come where no event is at hand
        await asyncio.sleep(0.002)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await async_clients_close()


@pytest.mark.parametrize(("model", "tokens"), [("scripted--slow=30", 3), ("scripted--hang", 0)])
def test_a_cancelled_task_closes_the_upstream_and_settles(
    payer: UUID, upstream: ScriptedUpstream, model: str, tokens: int
) -> None:
    asyncio.run(_cancelled_after(chat_request(model=model), upstream, tokens))
    (served,) = upstream.wait_idle()
    now = assert_settled(payer)
    assert (now.call.ending, served.outcome) == ("client_gone", "client_gone")
    assert served.completion_tokens <= tokens + 3
    assert now.captured == cost(now.call.input_tokens, now.call.output_tokens)
    assert bool(now.captured) is bool(tokens)


def test_a_task_cancelled_twice_while_it_settles_is_settled(payer: UUID, upstream: ScriptedUpstream) -> None:
    async def work() -> None:
        task = asyncio.create_task(acall(chat_request(model="scripted--slow=5"), leave_after=2))
        await asyncio.to_thread(_wait_for, upstream, 0)
        for _ in range(20):
            await asyncio.sleep(0.002)
            task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await async_clients_close()

    asyncio.run(work())
    assert assert_settled(payer).call.ending == "client_gone"


def test_a_task_cancelled_while_it_begins_leaves_no_hold(payer: UUID, upstream: ScriptedUpstream) -> None:
    async def work(patience: float) -> None:
        task = asyncio.create_task(acall(chat_request()))
        await asyncio.sleep(patience)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await async_clients_close()

    for milliseconds in range(0, 16, 2):
        asyncio.run(work(milliseconds / 1000))
    upstream.wait_idle()
    assert_settled(payer)


def test_a_stream_never_read_is_settled(payer: UUID, upstream: ScriptedUpstream) -> None:
    async def work() -> None:
        async with achat_stream(chat_request()):
            pass

    asyncio.run(work())
    now = assert_settled(payer)
    assert (now.call.ending, now.captured, upstream.served) == ("client_gone", ZERO, [])


@pytest.mark.parametrize(("model", "tokens"), [("scripted--hang", 0), ("scripted--stall", 3)])
def test_a_thread_leaves_a_silent_provider_within_a_second_or_two(
    payer: UUID, upstream: ScriptedUpstream, model: str, tokens: int
) -> None:
    texts: list[str] = []
    silent_since: list[float] = []

    def should_stop() -> bool:
        if upstream.served and len(texts) == tokens:
            silent_since.append(time.monotonic())
        return bool(silent_since) and time.monotonic() > silent_since[0] + 0.5

    with chat_stream(chat_request(model=model), should_stop) as stream:
        texts.extend(stream)
    assert stream.result.ending == "client_gone"
    (served,) = upstream.wait_idle(3)
    now = assert_settled(payer)
    assert (now.call.ending, served.outcome) == ("client_gone", "client_gone")
    assert (len(texts), bool(now.captured)) == (tokens, bool(tokens))


def test_a_thread_leaves_between_two_tries(payer: UUID, upstream: ScriptedUpstream, settings: Settings) -> None:
    settings.GATEWAY_RETRY_BASE_MS = settings.GATEWAY_RETRY_MAX_MS = 5_000
    with chat_stream(chat_request(model="scripted--500"), lambda: bool(upstream.served)) as stream:
        assert list(stream) == []
    assert (stream.result.ending, len(upstream.served)) == ("client_gone", 1)
    assert assert_settled(payer).captured == ZERO


@pytest.mark.parametrize(
    ("model", "ending", "error"),
    [
        ("scripted", "completed", ""),
        ("scripted--cut", "upstream_cut", "upstream_cut"),
        ("scripted--nousage", "no_usage", ""),
        ("scripted--zero", "zero_output", "empty_answer"),
        ("scripted--refuse", "refused", "upstream_refused"),
    ],
)
def test_a_thread_that_could_leave_and_does_not_gets_what_others_get(
    payer: UUID, upstream: ScriptedUpstream, model: str, ending: str, error: str
) -> None:
    outcome = by_thread(chat_request(model=model), should_stop=lambda: False)
    assert assert_settled(payer).call.ending == ending
    assert (outcome.error.code if outcome.error else "") == error
    assert outcome.text == "".join(upstream.served[-1].texts)


def test_a_thread_that_stops_reading_ends_the_background_work(payer: UUID, upstream: ScriptedUpstream) -> None:
    by_thread(chat_request(model="scripted--slow=30"), leave_after=2, should_stop=lambda: False)
    (served,) = upstream.wait_idle(3)
    assert served.outcome == "client_gone"
    assert assert_settled(payer).call.ending == "client_gone"
