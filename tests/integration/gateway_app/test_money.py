"""Money before and after the call: no funds no call, more used than held, a database that is away."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction
from pytest_django import Settings

from accounts_app.exceptions import Conflict, InvalidInput, PermissionRefused, TenantRequired
from accounts_app.tenancy.context import NOBODY, bound, operator_atomic, tenant_context
from billing_app.contracts import ZERO
from billing_app.exceptions import InsufficientFunds
from gateway_app.catalogue import EFFORTS
from gateway_app.models import ModelEntry, ModelRoute
from gateway_app.services.chat import chat, chat_stream
from gateway_app.services.routes import DEFAULTS
from gateway_app.services.tokens import input_bound
from tests.factories.billing import organization_with
from tests.factories.gateway import chat_request, cost, scripted_model
from tests.support.gateway import BooksClosed, Road, assert_settled, books, by_loop, by_thread
from tests.support.gateway_steps import Watch
from tests.support.services import APP, database_url
from tests.support.upstream import Behaviour, ScriptedUpstream

both_roads = pytest.mark.parametrize("road", [by_thread, by_loop])


@both_roads
def test_without_funds_no_call_is_made(committed_db: None, upstream: ScriptedUpstream, road: Road) -> None:
    poor = organization_with("0.0001")
    with tenant_context(poor):
        outcome = road(chat_request())
        assert isinstance(outcome.error, InsufficientFunds)
        assert assert_settled(poor, paid_in="0.0001").calls == []
    assert upstream.served == []


def test_the_hold_covers_input_and_what_may_be_written(payer: UUID, upstream: ScriptedUpstream) -> None:
    request = chat_request(max_tokens=50)
    with chat_stream(request) as stream:
        (hold,) = books(payer).holds
        assert hold.amount == cost(input_bound(request.messages, {"response_format": None}), 50)
        assert upstream.served == []  # committed before dispatch
        list(stream)
    now = assert_settled(payer)
    assert upstream.wait_idle()[0].body["max_tokens"] == now.call.max_tokens == 50
    assert now.captured < hold.amount


def test_a_call_without_a_limit_is_given_one(payer: UUID, upstream: ScriptedUpstream, settings: Settings) -> None:
    settings.GATEWAY_MAX_TOKENS = 30
    result = chat(chat_request())
    assert (result.finish_reason, upstream.wait_idle()[0].body["max_tokens"]) == ("length", 30)
    chat(chat_request(max_tokens=9_999))
    assert upstream.wait_idle()[1].body["max_tokens"] == 2_000  # the model's own limit


@both_roads
def test_more_used_than_held_is_paid_in_full_when_there_is_money(
    payer: UUID, upstream: ScriptedUpstream, road: Road
) -> None:
    upstream.behave(Behaviour(usage={"prompt_tokens": 1_000_000, "completion_tokens": 10}))
    road(chat_request(max_tokens=10))
    now = assert_settled(payer)
    assert (now.captured, now.call.shortfall_usd) == (cost(1_000_000, 10), ZERO)


def test_more_used_than_the_wallet_has_is_a_recorded_shortfall(committed_db: None, upstream: ScriptedUpstream) -> None:
    poor = organization_with("0.01")
    upstream.behave(Behaviour(usage={"prompt_tokens": 1_000_000, "completion_tokens": 10}))
    with tenant_context(poor):
        result = chat(chat_request(max_tokens=10))
        now = assert_settled(poor, paid_in="0.01")
    (hold,) = now.holds
    assert result.charged_usd == now.captured == hold.amount
    assert now.call.shortfall_usd == now.call.cost_usd - hold.amount > 0


def test_no_transaction_and_no_connection_while_the_model_writes(
    payer: UUID, upstream: ScriptedUpstream, settings: Settings
) -> None:
    Watch.seen.clear()
    settings.GATEWAY_STEPS = [*settings.GATEWAY_STEPS, "tests.support.gateway_steps.Watch"]
    with chat_stream(chat_request()) as stream:
        next(stream)
        assert connection.connection is None
        list(stream)
    assert connection.connection is None
    assert Watch.seen == [("before", False), ("completed", False)]


def test_an_open_transaction_is_refused_before_anything_happens(payer: UUID, upstream: ScriptedUpstream) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        chat(chat_request())
    assert (assert_settled(payer).calls, upstream.served) == ([], [])


def test_the_money_stays_held_until_the_books_can_be_written(
    payer: UUID, upstream: ScriptedUpstream, books_closed: BooksClosed
) -> None:
    with books_closed(), pytest.raises(DatabaseError, match="books are closed"):
        chat(chat_request())
    now = books(payer)
    # Capture, call row and usage record went back together.
    assert ([hold.status for hold in now.holds], now.call.status, now.usage) == (["open"], "dispatched", [])


def test_a_step_that_refuses_leaves_nothing(payer: UUID, upstream: ScriptedUpstream, settings: Settings) -> None:
    Watch.seen.clear()
    steps = ["tests.support.gateway_steps.Watch", "tests.support.gateway_steps.Refuse"]
    settings.GATEWAY_STEPS = [*settings.GATEWAY_STEPS, *steps]
    with pytest.raises(Conflict, match="Not today"):
        chat(chat_request())
    now = assert_settled(payer)
    assert (now.calls, now.holds, upstream.served) == ([], [], [])
    assert Watch.seen == [("before", False), ("refused", False)]


def test_a_step_that_fails_afterwards_changes_nothing(
    payer: UUID, upstream: ScriptedUpstream, settings: Settings
) -> None:
    settings.GATEWAY_STEPS = [*settings.GATEWAY_STEPS, "tests.support.gateway_steps.FailAfter"]
    assert chat(chat_request()).ending == "completed"
    assert assert_settled(payer).captured > 0


def test_nobody_and_viewers_make_no_calls(payer: UUID, upstream: ScriptedUpstream) -> None:
    with bound(NOBODY), pytest.raises(TenantRequired):
        chat(chat_request())
    with tenant_context(payer, role="viewer"), pytest.raises(PermissionRefused):
        chat(chat_request())
    assert upstream.served == []


@pytest.mark.parametrize("fields", [{"messages": ()}, {"operation_key": ""}, {"max_tokens": 0}])
def test_a_request_that_makes_no_sense_is_refused(
    payer: UUID, upstream: ScriptedUpstream, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        chat(chat_request(**fields))
    assert (books(payer).calls, upstream.served) == ([], [])


def test_reasoning_models_get_their_own_parameters(payer: UUID, upstream: ScriptedUpstream) -> None:
    with operator_atomic("test"):
        provider = ModelRoute.objects.get(entry__key="scripted").provider
    key = f"scripted-{uuid4().hex[:8]}"
    entry = scripted_model(provider, key)
    with operator_atomic("test"):
        ModelEntry.objects.filter(pk=entry.pk).update(is_reasoning=True)
    chat(chat_request(model=key, temperature=0.5, max_tokens=99, extra={"reasoning_effort": "low"}))
    body = upstream.wait_idle()[0].body
    assert (body["max_completion_tokens"], body["reasoning_effort"]) == (99, "low")
    assert {"max_tokens", "temperature"}.isdisjoint(body)


def test_the_default_model_does_not_think_unless_a_prompt_wants_it(
    payer: UUID, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert EFFORTS[DEFAULTS[0]] == "none"
    monkeypatch.setitem(EFFORTS, "scripted", "none")
    chat(chat_request())
    chat(chat_request(extra={"reasoning_effort": "high", "top_p": 0.5}))
    plain, thinking = [served.body for served in upstream.wait_idle()]
    assert (plain["reasoning_effort"], thinking["reasoning_effort"], thinking["top_p"]) == ("none", "high", 0.5)


def test_settings_of_a_request_reach_the_provider(payer: UUID, upstream: ScriptedUpstream) -> None:
    with chat_stream(chat_request(temperature=0.5, response_format={"type": "json_object"})) as stream:
        with pytest.raises(RuntimeError, match="after its last delta"):
            _ = stream.result
        list(stream)
    body = upstream.wait_idle()[0].body
    assert (body["temperature"], body["response_format"]) == (0.5, {"type": "json_object"})
    assert body["stream_options"] == {"include_usage": True}


@both_roads
def test_a_database_that_restarts_while_the_model_writes_loses_nothing(
    payer: UUID, upstream: ScriptedUpstream, road: Road
) -> None:
    request = chat_request(model="scripted--slow=5")
    with ThreadPoolExecutor(1) as beside:
        calling = beside.submit(copy_context().run, road, request)
        while not any(served.completion_tokens for served in upstream.served):
            time.sleep(0.002)
        # What every connection sees of a restart.
        with psycopg.connect(database_url("postgres", "postgres"), autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND datname = %s",
                [APP, os.environ["DEEPSPACE_TEST_DATABASE"]],
            )
        outcome = calling.result()
    connection.close()
    assert outcome.result
    now = assert_settled(payer)
    assert (now.call.ending, now.captured) == ("completed", outcome.result.charged_usd)


def test_without_the_database_no_call_is_made(
    payer: UUID, upstream: ScriptedUpstream, upstream_environment: dict[str, str]
) -> None:
    away = {"DATABASE_URL": "postgres://nobody:x@127.0.0.1:1/nowhere"}
    command = [sys.executable, "-m", "tests.support.gateway_worker", str(payer), str(uuid4()), "none"]
    done = subprocess.run(
        command, env=os.environ | upstream_environment | away, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert "OperationalError" in done.stderr
    assert upstream.served == []
    assert books(payer).balance == Decimal(10)
