"""Idempotency-Key at /v1: the same request twice is one call, and one answer, byte for byte."""

from typing import Any

import pytest
from pytest_django import Settings

from tests.support.accounts import Account, account_create
from tests.support.edge import Edge, on_edge, until_served
from tests.support.gateway import assert_settled
from tests.support.upstream import ScriptedUpstream

KEY = {"Idempotency-Key": "order-66"}
NO_STREAM: dict[str, Any] = {}
STREAM: dict[str, Any] = {"stream": True}


@pytest.fixture
def account(committed_db: None) -> Account:
    """Somebody with 10 USD and a key."""
    return account_create()


@pytest.mark.parametrize("is_stream", [False, True])
def test_same_request_is_answered_again_byte_for_byte_and_charged_once(
    account: Account, upstream: ScriptedUpstream, *, is_stream: bool
) -> None:
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if is_stream else {}

    async def work(edge: Edge) -> None:
        first = await edge.ask(headers=KEY, **options)
        again = await edge.ask(headers=KEY, **options)
        assert (again.status, again.body) == (200, first.body)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert again.headers["idempotent-replayed"] == "true"
        assert "idempotent-replayed" not in first.headers

    on_edge(account.secret, work)
    assert len(upstream.served) == 1
    assert len(assert_settled(account.organization_id).calls) == 1


def test_replay_survives_a_new_process(account: Account, upstream: ScriptedUpstream) -> None:
    bodies: list[bytes] = []

    async def work(edge: Edge) -> None:
        bodies.append((await edge.ask(headers=KEY)).body)

    on_edge(account.secret, work)
    on_edge(account.secret, work)
    assert bodies[0] == bodies[1]
    assert len(upstream.served) == 1


def test_key_for_another_request_is_a_conflict_that_is_not_retried(
    account: Account, upstream: ScriptedUpstream
) -> None:
    async def work(edge: Edge) -> None:
        await edge.ask(headers=KEY)
        visit = await edge.ask(headers=KEY, seed=1)
        assert (visit.status, visit.error["code"]) == (409, "operation_conflict")
        assert visit.headers["x-should-retry"] == "false"

    on_edge(account.secret, work)
    assert len(upstream.served) == 1


def test_same_request_at_the_same_time_is_told_to_come_back(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        first = edge.visit(model="scripted--slow=30", headers=KEY)
        task = edge.begin(first)
        await until_served(upstream)
        second = await edge.ask(model="scripted--slow=30", headers=KEY)
        assert (second.status, second.error["code"]) == (409, "call_in_progress")
        assert int(second.headers["retry-after"]) >= 1
        await task
        third = await edge.ask(model="scripted--slow=30", headers=KEY)
        assert (third.status, third.body) == (200, first.body)

    on_edge(account.secret, work)
    assert len(upstream.served) == 1


def test_answer_too_large_to_be_kept_is_a_conflict_not_a_second_call(
    account: Account, upstream: ScriptedUpstream, settings: Settings
) -> None:
    settings.GATEWAY_REPLAY_LIMIT = 100

    async def work(edge: Edge) -> None:
        for options in NO_STREAM, STREAM:
            key = {"Idempotency-Key": f"large-{len(options)}"}
            assert (await edge.ask(headers=key, **options)).status == 200
            visit = await edge.ask(headers=key, **options)
            assert (visit.status, visit.error["code"]) == (409, "not_replayable")
            assert visit.headers["x-should-retry"] == "false"

    on_edge(account.secret, work)
    assert len(upstream.served) == 2


def test_request_that_failed_may_be_repeated_with_its_key(account: Account, upstream: ScriptedUpstream) -> None:
    async def work(edge: Edge) -> None:
        with upstream.down():
            assert (await edge.ask(headers=KEY)).status == 503
        assert (await edge.ask(headers=KEY)).status == 200

    on_edge(account.secret, work)
    assert_settled(account.organization_id)


def test_keys_of_two_callers_are_apart(account: Account, upstream: ScriptedUpstream) -> None:
    other = account_create()

    async def work(edge: Edge) -> None:
        mine = await edge.ask(headers=KEY)
        edge.secret = other.secret
        theirs = await edge.ask(headers=KEY)
        assert mine.json["id"] != theirs.json["id"]

    on_edge(account.secret, work)
    assert len(upstream.served) == 2


def test_key_that_cannot_be_kept_is_refused_before_anything_is_held(
    account: Account, upstream: ScriptedUpstream
) -> None:
    async def work(edge: Edge) -> None:
        visit = await edge.ask(headers={"Idempotency-Key": "x" * 256})
        assert (visit.status, visit.error["param"]) == (400, "Idempotency-Key")

    on_edge(account.secret, work)
    assert upstream.served == []
