"""Every ending over the wire, on both roads: settled once, charged by the rule, and the books agree with the
upstream's own tally."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from accounts_app.tenancy.context import operator_atomic
from billing_app.contracts import ZERO, TokenBuckets
from gateway_app.contracts import ChatRequest
from gateway_app.exceptions import (
    EmptyAnswer,
    ModelUnavailable,
    UpstreamCut,
    UpstreamRefused,
    UpstreamTimeout,
)
from gateway_app.models import Provider
from gateway_app.services.chat import chat_stream
from gateway_app.services.tokens import estimate, estimate_input
from tests.factories.gateway import chat_request, cost
from tests.support.gateway import Books, Outcome, Road, assert_settled, by_loop, by_thread
from tests.support.upstream import Behaviour, ScriptedUpstream, Served

both_roads = pytest.mark.parametrize("road", [by_thread, by_loop])


@pytest.fixture
def impatient(payer: UUID, upstream: ScriptedUpstream) -> Iterator[None]:
    """Time limits of a fraction of a second."""
    with operator_atomic("test"):
        provider = Provider.objects.filter(key="scripted")
        kept = provider.values("first_token_timeout_ms", "between_tokens_timeout_ms").get()
        provider.update(first_token_timeout_ms=300, between_tokens_timeout_ms=200)
    yield
    with operator_atomic("test"):
        provider.update(**kept)


def _one(upstream: ScriptedUpstream) -> Served:
    (served,) = upstream.wait_idle()
    return served


def _estimated(request: ChatRequest, outcome: Outcome) -> TokenBuckets:
    return TokenBuckets(input=estimate_input(request.messages), output=estimate(outcome.text))


def _charged_as(now: Books, tokens: TokenBuckets) -> None:
    assert now.call.tokens == tokens
    assert now.call.charged_usd == now.call.cost_usd == cost(tokens.input, tokens.output)


@both_roads
def test_completed_is_charged_as_reported(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    outcome = road(chat_request())
    now, served = assert_settled(payer), _one(upstream)
    assert outcome.result
    assert outcome.text == outcome.result.text
    assert (now.call.ending, served.outcome) == ("completed", "completed")
    _charged_as(now, TokenBuckets(input=served.prompt_tokens, output=served.completion_tokens))
    assert outcome.result.charged_usd == now.captured
    assert now.call.first_token_ms is not None


@both_roads
def test_usage_is_mapped_to_disjoint_buckets(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    usage = {
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 20},
    }  # fmt: skip
    upstream.behave(Behaviour(usage=usage))
    road(chat_request())
    now = assert_settled(payer)
    assert now.call.tokens == TokenBuckets(input=60, cached_input=40, output=30, reasoning=20)
    assert now.captured == cost(60, 50) + cost(10, 0)  # cached input costs a quarter


@both_roads
def test_caller_who_leaves_pays_for_what_was_delivered(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    request = chat_request(model="scripted--slow=30")
    outcome = road(request, leave_after=4)
    now, served = assert_settled(payer), _one(upstream)
    assert (now.call.ending, served.outcome) == ("client_gone", "client_gone")
    _charged_as(now, _estimated(request, outcome))
    # The upstream stopped where the caller left: 72 tokens were to come.
    assert 4 <= served.completion_tokens <= 6


def test_caller_who_leaves_before_the_first_delta_pays_nothing(payer: UUID, upstream: ScriptedUpstream) -> None:
    with chat_stream(chat_request()):
        pass
    now = assert_settled(payer)
    assert (now.call.ending, now.captured, upstream.served) == ("client_gone", ZERO, [])


@both_roads
def test_answer_cut_off_is_charged_as_delivered(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    request = chat_request(model="scripted--cut")
    outcome = road(request)
    now = assert_settled(payer)
    assert isinstance(outcome.error, UpstreamCut)
    assert (now.call.ending, _one(upstream).outcome, len(outcome.texts)) == ("upstream_cut", "cut", 3)
    _charged_as(now, _estimated(request, outcome))


@both_roads
@pytest.mark.usefixtures("impatient")
def test_silence_before_the_first_token_costs_nothing(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    outcome = road(chat_request(model="scripted--hang"))
    now, served = assert_settled(payer), _one(upstream)
    assert isinstance(outcome.error, UpstreamTimeout)
    assert (now.call.ending, now.captured, served.outcome) == ("timeout", ZERO, "client_gone")
    assert len(now.attempts) == 1  # a slow answer is not asked for twice


@both_roads
@pytest.mark.usefixtures("impatient")
def test_silence_between_tokens_is_charged_as_delivered(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    request = chat_request(model="scripted--stall")
    outcome = road(request)
    now, served = assert_settled(payer), _one(upstream)
    assert isinstance(outcome.error, UpstreamTimeout)
    assert (now.call.ending, served.outcome, len(outcome.texts)) == ("timeout", "client_gone", 3)
    _charged_as(now, _estimated(request, outcome))


@both_roads
def test_answer_without_usage_is_charged_by_estimate(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    request = chat_request("我想要一篇关于绿茶的文章", model="scripted--nousage")
    outcome = road(request)
    now = assert_settled(payer)
    assert outcome.result
    assert outcome.result.ending == now.call.ending == "no_usage"
    _charged_as(now, _estimated(request, outcome))


@both_roads
def test_empty_answer_costs_nothing(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    outcome = road(chat_request(model="scripted--zero"))
    now, served = assert_settled(payer), _one(upstream)
    assert isinstance(outcome.error, EmptyAnswer)
    assert (now.call.ending, now.captured, now.call.cost_usd) == ("zero_output", ZERO, cost(served.prompt_tokens, 0))


@both_roads
def test_refused_request_costs_nothing_and_is_not_repeated(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    outcome = road(chat_request(model="scripted--refuse"))
    now = assert_settled(payer)
    assert isinstance(outcome.error, UpstreamRefused)
    assert "Scripted 400" in outcome.error.message
    assert (now.call.ending, now.captured, len(now.attempts)) == ("refused", ZERO, 1)
    assert now.call.error_code == "upstream_refused"
    assert _one(upstream).status == 400


@both_roads
def test_upstream_that_is_down_costs_nothing(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    with upstream.down():
        outcome = road(chat_request())
    now = assert_settled(payer)
    assert isinstance(outcome.error, ModelUnavailable)
    assert (now.call.ending, now.captured, len(now.attempts)) == ("refused", ZERO, 4)


@both_roads
@pytest.mark.parametrize("behaviour", [Behaviour(error_after=3), Behaviour(finish_reason="none")])
def test_an_error_in_the_stream_or_no_finish_is_a_cut(
    payer: UUID, upstream: ScriptedUpstream, road: Road, behaviour: Behaviour
) -> None:
    upstream.behave(behaviour)
    outcome = road(chat_request())
    now = assert_settled(payer)
    assert isinstance(outcome.error, UpstreamCut)
    assert now.call.ending == "upstream_cut"
    assert len(now.attempts) == 1


@both_roads
def test_an_answer_cut_after_its_last_token_is_whole(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    upstream.behave(Behaviour(cut_before_usage=True))
    request = chat_request()
    outcome = road(request)
    now = assert_settled(payer)
    assert outcome.result
    assert outcome.result.ending == "no_usage"
    _charged_as(now, _estimated(request, outcome))


@both_roads
def test_tool_calls_are_an_answer(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    outcome = road(chat_request(model="scripted--tools"))
    assert_settled(payer)
    assert outcome.result
    assert (outcome.result.ending, outcome.result.finish_reason) == ("completed", "tool_calls")
    assert outcome.result.tool_calls[0]["function"] == {"name": "look_up", "arguments": '{"query": "tea"}'}
