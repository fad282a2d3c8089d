"""An operation key stands for one operation: done once, answered again from what is stored."""

import contextvars
import threading
from collections.abc import Callable
from uuid import UUID

import pytest

from accounts_app.tenancy.context import tenant_context
from billing_app.contracts import ZERO
from gateway_app.exceptions import CallInProgress, CallTakenOver, OperationConflict
from gateway_app.services.chat import chat, chat_stream
from gateway_app.services.recovery import call_abandon
from tests.factories.billing import organization_with
from tests.factories.gateway import chat_request
from tests.support.gateway import Outcome, Road, assert_settled, books, by_loop, by_thread
from tests.support.upstream import Behaviour, ScriptedUpstream


def in_thread(function: Callable[[], Outcome], into: list[Outcome]) -> threading.Thread:
    """Run ``function`` in a thread, as this tenant, and collect what it returns."""
    context = contextvars.copy_context()
    thread = threading.Thread(target=lambda: into.append(context.run(function)))
    thread.start()
    return thread


@pytest.mark.parametrize("road", [by_thread, by_loop])
def test_a_completed_operation_is_replayed_without_call_or_charge(
    payer: UUID, upstream: ScriptedUpstream, road: Road
) -> None:
    request = chat_request()
    first, second = road(request), road(request)
    assert first.result
    assert second.result
    assert (second.text, second.result.text) == (first.text, first.text)
    assert (first.result.replayed, second.result.replayed) == (False, True)
    assert (second.result.call_id, second.result.charged_usd) == (first.result.call_id, first.result.charged_usd)
    assert len(upstream.wait_idle()) == 1
    assert assert_settled(payer).captured == first.result.charged_usd


def test_an_answer_without_usage_is_replayed_too(payer: UUID, upstream: ScriptedUpstream) -> None:
    request = chat_request(model="scripted--nousage")
    assert chat(request).text == chat(request).text
    assert len(upstream.served) == 1


def test_an_operation_that_brought_nothing_is_done_anew(payer: UUID, upstream: ScriptedUpstream) -> None:
    request = chat_request()
    upstream.behave(Behaviour(status=400))
    assert by_thread(request).error
    result = chat(request)
    now = assert_settled(payer)
    assert [call.ending for call in now.calls] == ["refused", "completed"]
    assert now.captured == result.charged_usd


def test_a_key_used_for_another_request_is_a_conflict(payer: UUID, upstream: ScriptedUpstream) -> None:
    request = chat_request()
    chat(request)
    with pytest.raises(OperationConflict):
        chat(chat_request("something else", operation_key=request.operation_key))
    assert len(upstream.served) == 1


def test_the_same_operation_at_once_reaches_the_upstream_once(payer: UUID, upstream: ScriptedUpstream) -> None:
    request = chat_request(model="scripted--slow=5")
    outcomes: list[Outcome] = []
    threads = [in_thread(lambda: by_thread(request), outcomes) for _ in range(4)]
    for thread in threads:
        thread.join()
    finished = [outcome for outcome in outcomes if outcome.result]
    refused = [outcome.error for outcome in outcomes if outcome.error]
    assert finished
    assert all(isinstance(error, CallInProgress) for error in refused)
    assert len({outcome.text for outcome in finished}) == 1
    assert len(upstream.wait_idle()) == 1
    assert len(assert_settled(payer).calls) == 1


def test_a_call_settled_by_another_is_not_settled_again(payer: UUID, upstream: ScriptedUpstream) -> None:
    with chat_stream(chat_request(model="scripted--slow=5")) as stream:
        next(stream)
        assert call_abandon(books(payer).call)
        with pytest.raises(CallTakenOver):
            list(stream)
    now = assert_settled(payer)
    assert (now.call.ending, now.captured) == ("worker_killed", ZERO)
    assert call_abandon(now.call) is False


def test_two_organizations_may_use_the_same_key(payer: UUID, upstream: ScriptedUpstream) -> None:
    request = chat_request()
    chat(request)
    other = organization_with("10")
    with tenant_context(other):
        assert not chat(request).replayed
    assert len(assert_settled(other).calls) == 1
