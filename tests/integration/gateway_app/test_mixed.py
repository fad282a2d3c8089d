"""Thirty calls at once with endings drawn by lot, on both roads: the books are exact all the same."""

import asyncio
import contextvars
import random
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from gateway_app.services.clients import async_clients_close
from tests.factories.gateway import chat_request, cost
from tests.support.gateway import Outcome, acall, assert_settled, by_thread
from tests.support.upstream import ScriptedUpstream

MODELS = ("", "--slow=5", "--cut", "--nousage", "--zero", "--refuse", "--500", "--reset", "--tools")
Draw = tuple[str, int | None]


def _draws(seed: int, count: int) -> list[Draw]:
    lot = random.Random(seed)
    return [("scripted" + lot.choice(MODELS), lot.choice([None, None, 2, 9])) for _ in range(count)]


def _by_threads(draws: list[Draw]) -> list[Outcome]:
    def one(draw: Draw, context: contextvars.Context) -> Outcome:
        return context.run(by_thread, chat_request(model=draw[0]), leave_after=draw[1])

    with ThreadPoolExecutor(len(draws)) as pool:
        return list(pool.map(one, draws, [contextvars.copy_context() for _ in draws]))


async def _by_loop(draws: list[Draw]) -> list[Outcome]:
    try:
        calls = (acall(chat_request(model=model), leave_after=leave_after) for model, leave_after in draws)
        return list(await asyncio.gather(*calls))
    finally:
        await async_clients_close()


@pytest.mark.parametrize("seed", [1, 2])
def test_thirty_calls_at_once_with_endings_by_lot(payer: UUID, upstream: ScriptedUpstream, seed: int) -> None:
    draws = _draws(seed, 30)
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as beside:
        loop = beside.submit(context.run, asyncio.run, _by_loop(draws[15:]))
        outcomes = _by_threads(draws[:15]) + loop.result()
    now = assert_settled(payer)
    assert len(now.calls) == len(outcomes) == 30
    assert len({call.ending for call in now.calls}) >= 4
    served = {UUID(item.client_request_id): item for item in upstream.wait_idle()}
    for call in now.calls:
        if call.ending == "completed":
            assert call.tokens.input_total == served[call.pk].prompt_tokens
            assert call.tokens.output_total == served[call.pk].completion_tokens
        assert call.charged_usd in (0, cost(call.tokens.input, call.tokens.output))
        assert bool(call.charged_usd) is (call.ending in ("completed", "no_usage", "client_gone", "upstream_cut"))
