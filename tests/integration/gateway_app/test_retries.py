"""Tries before the first token: unseen by the caller, all on record."""

import time
from uuid import UUID

import pytest
from pytest_django import Settings

from billing_app.contracts import ZERO
from gateway_app.exceptions import ModelUnavailable
from tests.factories.gateway import chat_request
from tests.support.gateway import Road, assert_settled, by_loop, by_thread
from tests.support.upstream import Behaviour, ScriptedUpstream

both_roads = pytest.mark.parametrize("road", [by_thread, by_loop])


@both_roads
def test_failures_before_the_first_token_are_tried_again_unseen(
    payer: UUID, upstream: ScriptedUpstream, road: Road
) -> None:
    upstream.behave(Behaviour(status=500), Behaviour(reset=True), Behaviour(cut_after=0))
    outcome = road(chat_request())
    now = assert_settled(payer)
    assert outcome.error is None
    assert outcome.text.startswith("# Green tea")
    assert [(a.number, a.status, a.http_status) for a in now.attempts] == [
        (1, "failed", 500),
        (2, "failed", None),
        (3, "failed", 200),
        (4, "answered", 200),
    ]
    assert outcome.result
    assert outcome.result.attempts == 4
    # Paid for once: what the last try served.
    assert now.call.tokens.output == upstream.wait_idle()[-1].completion_tokens


@both_roads
def test_the_provider_says_how_long_to_wait(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    upstream.behave(Behaviour(status=429, retry_after=0.3))
    assert road(chat_request()).error is None
    first, second = upstream.wait_idle()
    # A loop's clock may wake it a millisecond early.
    assert second.started - first.started > 0.29
    assert len(assert_settled(payer).attempts) == 2


@both_roads
def test_a_provider_that_asks_for_too_long_is_not_waited_for(
    payer: UUID, upstream: ScriptedUpstream, road: Road
) -> None:
    upstream.behave(Behaviour(status=429, retry_after=3600))
    began = time.monotonic()
    assert isinstance(road(chat_request()).error, ModelUnavailable)
    assert time.monotonic() - began < 60
    assert len(assert_settled(payer).attempts) == 1


@both_roads
def test_a_provider_that_keeps_failing_is_given_up(
    payer: UUID, upstream: ScriptedUpstream, road: Road, settings: Settings
) -> None:
    settings.GATEWAY_MAX_ATTEMPTS = 2
    outcome = road(chat_request(model="scripted--500"))
    now = assert_settled(payer)
    assert isinstance(outcome.error, ModelUnavailable)
    assert (now.call.ending, now.captured, len(now.attempts), len(upstream.served)) == ("refused", ZERO, 2, 2)


@both_roads
def test_after_the_first_token_nothing_is_repeated(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    road(chat_request(model="scripted--cut"))
    assert (len(assert_settled(payer).attempts), len(upstream.wait_idle())) == (1, 1)


@both_roads
def test_an_exhausted_quota_is_not_asked_again(payer: UUID, upstream: ScriptedUpstream, road: Road) -> None:
    upstream.behave(Behaviour(status=429, error_code="insufficient_quota"))
    assert isinstance(road(chat_request()).error, ModelUnavailable)
    assert len(upstream.served) == 1


def test_a_connection_is_used_again(payer: UUID, upstream: ScriptedUpstream) -> None:
    ports = set()
    for _ in range(3):
        assert by_thread(chat_request()).error is None
        ports |= {served.client_port for served in upstream.wait_idle()}
    assert len(ports) == 1
