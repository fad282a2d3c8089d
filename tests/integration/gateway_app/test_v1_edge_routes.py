"""Where a call at /v1 goes when a provider fails, is busy or is kept away; and when its money runs out."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import pytest
from pytest_django import Settings

from accounts_app.tenancy.context import operator_atomic
from config.runtime.ports import free_port
from gateway_app.models import ModelEntry, ModelRoute, Provider
from gateway_app.services.breakers import breakers
from tests.factories.gateway import scripted_model, scripted_provider
from tests.support.accounts import Account, account_create
from tests.support.edge import Edge, events, on_edge, text_of, until_served
from tests.support.gateway import assert_settled
from tests.support.upstream import Behaviour, ScriptedUpstream

MODEL = "routed"


@pytest.fixture
def account(committed_db: None) -> Account:
    """Somebody with 10 USD and a key."""
    return account_create()


@pytest.fixture
def second(committed_db: None, upstream: ScriptedUpstream) -> Iterator[ScriptedUpstream]:
    """A second provider of the model ``routed``, asked when the first cannot."""
    server = ScriptedUpstream().start()
    entry = scripted_model(Provider.objects.get(key="scripted"), MODEL)
    other = scripted_provider(server.url, key="second")
    with operator_atomic("test"):
        ModelRoute.objects.update_or_create(
            entry=entry, provider=other, defaults={"upstream_name": "their-name", "priority": 200}
        )
    breakers.reset()
    yield server
    breakers.reset()
    with operator_atomic("test"):
        ModelRoute.objects.filter(provider=other).delete()
    server.stop()


@pytest.mark.parametrize("is_stream", [False, True])
def test_next_provider_answers_when_the_first_fails(
    account: Account, upstream: ScriptedUpstream, second: ScriptedUpstream, *, is_stream: bool
) -> None:
    upstream.behave(Behaviour(status=500))
    second.script("Tea.")

    async def work(edge: Edge) -> None:
        visit = await edge.ask(model=MODEL, stream=is_stream)
        assert visit.status == 200
        text = text_of(visit.body) if is_stream else visit.json["choices"][0]["message"]["content"]
        assert text == "Tea."

    on_edge(account.secret, work)
    assert second.served[0].body["model"] == "their-name"
    now = assert_settled(account.organization_id)
    assert [(attempt.provider, attempt.status) for attempt in now.attempts] == [
        ("scripted", "failed"),
        ("second", "answered"),
    ]
    assert now.call.provider == "second"


def test_nothing_is_asked_twice_once_a_token_has_come(
    account: Account, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.behave(Behaviour(cut_after=2))

    async def work(edge: Edge) -> None:
        visit = await edge.ask(model=MODEL, stream=True)
        assert events(visit.body)[-1]["error"]["code"] == "upstream_cut"

    on_edge(account.secret, work)
    assert second.served == []


def test_callers_own_mistake_is_not_tried_elsewhere(
    account: Account, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    upstream.behave(Behaviour(status=422))

    async def work(edge: Edge) -> None:
        assert (await edge.ask(model=MODEL)).status == 422

    on_edge(account.secret, work)
    assert second.served == []


def test_provider_that_failed_often_is_left_alone(
    account: Account, upstream: ScriptedUpstream, second: ScriptedUpstream, settings: Settings
) -> None:
    settings.GATEWAY_BREAKER_FAILURES = 2
    breakers.reset()
    upstream.always = Behaviour(status=500)

    async def work(edge: Edge) -> None:
        for _number in range(5):
            assert (await edge.ask(model=MODEL, max_tokens=3)).status == 200

    on_edge(account.secret, work)
    assert len(upstream.served) == 2
    assert len(second.served) == 5


def test_provider_with_its_most_calls_lets_the_next_one_answer(
    account: Account, upstream: ScriptedUpstream, second: ScriptedUpstream
) -> None:
    _most_calls("scripted", 1)
    try:
        upstream.behave(Behaviour(first_delay=500))

        async def work(edge: Edge) -> None:
            first = edge.begin(edge.visit(model=MODEL, max_tokens=3))
            await until_served(upstream)
            assert (await edge.ask(model=MODEL, max_tokens=3)).status == 200
            await first

        on_edge(account.secret, work)
    finally:
        _most_calls("scripted", 0)
    assert (len(upstream.served), len(second.served)) == (1, 1)


def test_provider_that_does_not_listen_is_passed_over(account: Account, second: ScriptedUpstream) -> None:
    entry = scripted_model(scripted_provider(f"http://127.0.0.1:{free_port()}/v1", key="closed"), "half-open")
    with operator_atomic("test"):
        other = Provider.objects.get(key="second")
        ModelRoute.objects.update_or_create(
            entry=entry, provider=other, defaults={"upstream_name": "x", "priority": 200}
        )

    async def work(edge: Edge) -> None:
        visits = await asyncio.gather(*(edge.ask(model="half-open", max_tokens=3) for _number in range(3)))
        assert {visit.status for visit in visits} == {200}

    on_edge(account.secret, work)
    assert len(second.served) == 3


def test_answer_that_outgrows_its_hold_is_paid_for_as_it_grows(account: Account, upstream: ScriptedUpstream) -> None:
    _small("outgrowing")
    upstream.behave(Behaviour(text="tea " * 200))

    async def work(edge: Edge) -> None:
        assert events((await edge.ask(model="outgrowing", stream=True)).body)[-1] == "[DONE]"

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    assert now.holds[0].amount > now.captured > Decimal("0.0008")


def test_answer_that_nobody_can_pay_for_any_more_is_cut_with_an_error(
    account: Account, upstream: ScriptedUpstream
) -> None:
    _small("outgrowing")
    held: list[Decimal] = []

    async def probe(edge: Edge) -> None:
        held.append(Decimal((await edge.ask(model="outgrowing", stream=True)).headers["x-deepspace-hold"]))

    on_edge(account.secret, probe)
    poor = account_create(balance=held[0] + Decimal("0.0001"))
    upstream.behave(Behaviour(text="tea " * 2_000, delay=0.1))

    async def work(edge: Edge) -> None:
        visit = await edge.ask(model="outgrowing", stream=True)
        assert visit.status == 200
        assert events(visit.body)[-1]["error"]["code"] == "insufficient_quota"
        assert b"[DONE]" not in visit.body

    on_edge(poor.secret, work)
    now = assert_settled(poor.organization_id, paid_in=str(held[0] + Decimal("0.0001")))
    assert now.call.ending == "no_funds"
    assert now.captured > 0
    assert upstream.wait_idle()[-1].outcome == "client_gone"


def _most_calls(provider: str, number: int) -> None:
    with operator_atomic("test"):
        Provider.objects.filter(key=provider).update(max_concurrency=number)


def _small(model: str) -> None:
    """A model that says it writes five tokens, and writes more."""
    with operator_atomic("test"):
        provider = Provider.objects.get(key="scripted")
    scripted_model(provider, model, max_output_tokens=5)
    with operator_atomic("test"):
        assert ModelEntry.objects.get(key=model).max_output_tokens == 5
