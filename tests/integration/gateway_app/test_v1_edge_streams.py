"""Streams at /v1: what is relayed, what is kept back, and each way in which one can end, with its charge."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import pytest
from pytest_django import Settings

from accounts_app.tenancy.context import operator_atomic
from billing_app.contracts import ZERO
from gateway_app.models import Provider
from tests.factories.gateway import cost
from tests.support.accounts import Account, account_create
from tests.support.edge import Edge, events, on_edge, text_of, until_served
from tests.support.gateway import assert_settled
from tests.support.upstream import Behaviour, ScriptedUpstream


@pytest.fixture
def account(committed_db: None) -> Account:
    """Somebody with 10 USD and a key."""
    return account_create()


@pytest.fixture
def short_silence(committed_db: None) -> Iterator[None]:
    """A provider that is given half a second, for one test."""
    _patience(500)
    yield
    _patience(3_000)


def _patience(ms: int) -> None:
    with operator_atomic("test"):
        Provider.objects.filter(key="scripted").update(first_token_timeout_ms=ms, between_tokens_timeout_ms=ms)


def test_stream_is_relayed_to_its_end_without_the_usage_that_nobody_asked_for(
    account: Account, upstream: ScriptedUpstream
) -> None:
    upstream.script("Green tea is a kind of tea.")

    async def work(edge: Edge) -> None:
        visit = await edge.ask(stream=True)
        assert visit.status == 200
        assert visit.headers["content-type"].startswith("text/event-stream")
        assert {"x-deepspace-hold", "x-deepspace-model", "x-deepspace-balance"} <= set(visit.headers)
        assert text_of(visit.body) == "Green tea is a kind of tea."
        found = events(visit.body)
        assert found[-1] == "[DONE]"
        assert all(event["choices"] for event in found[:-1])
        assert visit.is_ended

    on_edge(account.secret, work)
    (served,) = upstream.wait_idle()
    assert served.outcome == "completed"
    now = assert_settled(account.organization_id)
    assert (now.call.ending, now.captured) == ("completed", cost(served.prompt_tokens, served.completion_tokens))


def test_usage_that_was_asked_for_comes_with_its_cost(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(stream=True, stream_options={"include_usage": True})
        *_, usage, done = events(visit.body)
        assert (usage["choices"], done) == ([], "[DONE]")
        due = cost(usage["usage"]["prompt_tokens"], usage["usage"]["completion_tokens"])
        assert Decimal(usage["deepspace"]["cost"]) == due

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).captured > ZERO


@pytest.mark.parametrize("tokens", [0, 5])
def test_caller_who_leaves_closes_the_upstream_and_pays_what_was_delivered(
    account: Account, upstream: ScriptedUpstream, tokens: int
) -> None:
    async def work(edge: Edge) -> None:
        visit = edge.visit(model="scripted--slow=30" if tokens else "scripted--hang", stream=True)
        task = edge.begin(visit)
        await until_served(upstream, tokens=tokens)
        visit.leave()
        await task
        assert not visit.is_ended

    on_edge(account.secret, work)
    (served,) = upstream.wait_idle()
    assert served.outcome == "client_gone"
    assert served.completion_tokens <= tokens + 3
    now = assert_settled(account.organization_id)
    assert now.call.ending == "client_gone"
    assert bool(now.captured) is bool(tokens)


def test_provider_that_breaks_off_is_told_as_an_event_and_the_stream_has_no_done(
    account: Account, upstream: ScriptedUpstream
) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(model="scripted--cut", stream=True)
        assert visit.status == 200
        assert text_of(visit.body)
        last = events(visit.body)[-1]
        assert (last["error"]["type"], last["error"]["code"]) == ("server_error", "upstream_cut")
        assert b"[DONE]" not in visit.body
        assert visit.is_ended

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    assert now.call.ending == "upstream_cut"
    assert now.captured > ZERO


def test_error_told_inside_the_stream_is_passed_on_in_its_words(account: Account, upstream: ScriptedUpstream) -> None:
    upstream.behave(Behaviour(error_after=3))

    async def work(edge: Edge) -> None:
        visit = await edge.ask(stream=True)
        assert events(visit.body)[-1]["error"]["message"] == "Scripted error."
        assert b"[DONE]" not in visit.body

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).call.ending == "upstream_cut"


def test_stream_that_fails_before_its_first_byte_is_tried_again(account: Account, upstream: ScriptedUpstream) -> None:
    upstream.behave(Behaviour(status=503), Behaviour(reset=True), Behaviour(text="Tea."))

    async def work(edge: Edge) -> None:
        assert text_of((await edge.ask(stream=True)).body) == "Tea."

    on_edge(account.secret, work)
    assert len(assert_settled(account.organization_id).attempts) == 3


def test_stream_that_never_begins_has_a_status_of_its_own(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(model="scripted--500", stream=True)
        assert (visit.status, visit.error["code"]) == (503, "model_unavailable")
        visit = await edge.ask(model="scripted--refuse", stream=True)
        assert (visit.status, visit.error["code"]) == (400, "content_policy_violation")

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).captured == ZERO


def test_silence_in_the_middle_ends_the_stream_with_an_error(
    account: Account, upstream: ScriptedUpstream, short_silence: None
) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(model="scripted--stall", stream=True)
        assert events(visit.body)[-1]["error"]["code"] == "upstream_timeout"

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    assert (now.call.ending, upstream.wait_idle()[0].outcome) == ("timeout", "client_gone")
    assert now.captured > ZERO


def test_slow_reader_is_waited_for(account: Account, upstream: ScriptedUpstream, short_silence: None) -> None:
    async def work(edge: Edge) -> None:
        visit = edge.visit(stream=True)
        task = edge.begin(visit)
        visit.stop_reading()
        await asyncio.sleep(1.2)
        visit.read_on()
        await task
        assert events(visit.body)[-1] == "[DONE]"

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).call.ending == "completed"


def test_silence_before_the_first_token_is_a_status_of_its_own(
    account: Account, upstream: ScriptedUpstream, short_silence: None
) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(model="scripted--hang", stream=True)
        assert (visit.status, visit.error["code"]) == (504, "upstream_timeout")

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    assert (now.call.ending, now.captured) == ("timeout", ZERO)


def test_signs_of_life_come_before_the_first_token(
    account: Account, upstream: ScriptedUpstream, settings: Settings
) -> None:
    settings.GATEWAY_PING_SECONDS = 0.05
    upstream.behave(Behaviour(text="Tea.", first_delay=300))

    async def work(edge: Edge) -> None:
        visit = await edge.ask(stream=True)
        assert visit.body.startswith(b": ping\n\n: ping\n\n")
        assert text_of(visit.body) == "Tea."
        assert visit.body.rfind(b": ping") < visit.body.find(b"data:")

    on_edge(account.secret, work)


def test_failure_after_a_sign_of_life_is_an_event(
    account: Account, upstream: ScriptedUpstream, settings: Settings
) -> None:
    settings.GATEWAY_PING_SECONDS = 0.05
    upstream.behave(*(Behaviour(status=500, first_delay=150) for _number in range(4)))

    async def work(edge: Edge) -> None:
        visit = await edge.ask(stream=True)
        assert visit.status == 200
        assert events(visit.body)[-1]["error"]["code"] == "model_unavailable"

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).call.ending == "refused"


def test_answer_without_usage_is_charged_as_delivered(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        assert events((await edge.ask(model="scripted--nousage", stream=True)).body)[-1] == "[DONE]"

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    assert now.call.ending == "no_usage"
    assert now.captured > ZERO


def test_answer_with_nothing_in_it_is_not_charged(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(model="scripted--zero", stream=True)
        assert (visit.status, events(visit.body)[-1]) == (200, "[DONE]")

    on_edge(account.secret, work)
    now = assert_settled(account.organization_id)
    assert (now.call.ending, now.captured) == ("zero_output", ZERO)


def test_stream_whose_end_is_cut_off_after_its_finish_reason_is_whole(
    account: Account, upstream: ScriptedUpstream
) -> None:
    upstream.behave(Behaviour(text="Tea.", cut_before_usage=True))

    async def work(edge: Edge) -> None:
        visit = await edge.ask(stream=True)
        assert text_of(visit.body) == "Tea."
        assert b"error" not in visit.body

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).call.ending == "no_usage"


def test_streams_leave_their_connection_to_the_next(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        for _number in range(5):
            await edge.ask(stream=True, max_tokens=3)

    on_edge(account.secret, work)
    assert len({served.client_port for served in upstream.served}) == 1


def test_tool_calls_pass_through_byte_for_byte(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        found = events((await edge.ask(model="scripted--tools", stream=True)).body)
        calls = [event["choices"][0]["delta"].get("tool_calls") for event in found[:-1]]
        assert next(call for call in calls if call)[0]["function"]["name"] == "look_up"

    on_edge(account.secret, work)
    assert assert_settled(account.organization_id).call.ending == "completed"
