"""Kill -9 at every labelled point: no money stays held, nothing is paid twice, the operation can be done again."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError
from django.utils import timezone
from pytest_django import Settings

from accounts_app.models import AuditLog
from accounts_app.tenancy.context import operator_atomic, operator_context, tenant_atomic
from billing_app.contracts import ZERO
from billing_app.models import Hold
from billing_app.services.holds import holds_expire
from gateway_app.exceptions import CallInProgress
from gateway_app.models import GatewayCall
from gateway_app.services.chat import chat, chat_stream
from gateway_app.services.recovery import call_abandon, calls_resolve, calls_sweep
from gateway_app.tasks import sweep_calls
from tests.factories.gateway import chat_request, cost, provider_report
from tests.support.gateway import BooksClosed, assert_settled, books
from tests.support.upstream import ScriptedUpstream

AFTER_THE_HOLD = ("after_hold", "mid_stream", "last_token")


def _work(organization_id: UUID, operation: str, point: str, environment: dict[str, str]) -> int:
    command = [sys.executable, "-m", "tests.support.gateway_worker", str(organization_id), operation, point]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.parametrize("point", ["before_hold", *AFTER_THE_HOLD])
def test_the_same_operation_again_settles_the_killed_call_and_is_done_once(
    payer: UUID, upstream: ScriptedUpstream, upstream_environment: dict[str, str], point: str
) -> None:
    operation = f"run:{uuid4()}"
    assert _work(payer, operation, point, upstream_environment) == -signal.SIGKILL
    result = chat(chat_request(operation_key=operation, max_tokens=5))
    now = assert_settled(payer)
    killed = [] if point == "before_hold" else ["worker_killed"]
    assert [call.ending for call in now.calls] == [*killed, "completed"]
    assert now.captured == result.charged_usd
    assert not result.replayed
    assert [attempt.status for attempt in now.attempts if attempt.call_id == now.calls[0].pk] == (
        ["abandoned"] if killed else ["answered"]
    )


@pytest.mark.parametrize("point", ["none", "after_settle"])
def test_an_operation_that_a_process_settled_is_replayed_by_another(
    payer: UUID, upstream: ScriptedUpstream, upstream_environment: dict[str, str], point: str
) -> None:
    operation = f"run:{uuid4()}"
    assert _work(payer, operation, point, upstream_environment) == (0 if point == "none" else -signal.SIGKILL)
    result = chat(chat_request(operation_key=operation, max_tokens=5))
    assert (result.replayed, len(upstream.served), len(assert_settled(payer).calls)) == (True, 1, 1)


@pytest.mark.parametrize("point", ["mid_stream", "last_token"])
def test_the_sweep_settles_a_killed_call_when_its_lease_has_ended(
    payer: UUID, upstream: ScriptedUpstream, upstream_environment: dict[str, str], point: str
) -> None:
    _work(payer, f"run:{uuid4()}", point, upstream_environment)
    assert books(payer).frozen > 0
    with operator_context("test"):
        calls_sweep()
    assert books(payer).call.status == "dispatched"  # its lease still runs
    with operator_atomic("test"):
        GatewayCall.objects.filter(organization_id=payer).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert sweep_calls() >= 1
    now = assert_settled(payer)
    assert (now.call.ending, now.captured, now.call.error_code) == ("worker_killed", ZERO, "worker_killed")


def test_a_hold_that_expires_settles_its_killed_call(
    payer: UUID, upstream: ScriptedUpstream, upstream_environment: dict[str, str]
) -> None:
    _work(payer, f"run:{uuid4()}", "mid_stream", upstream_environment)
    with operator_atomic("test"):
        Hold.objects.filter(organization_id=payer).update(expires_at=timezone.now() - timedelta(seconds=1))
    with operator_context("test"):
        assert holds_expire() >= 1
    now = assert_settled(payer)
    assert (now.call.ending, now.captured, now.holds[0].status) == ("worker_killed", ZERO, "expired")


def test_a_living_process_keeps_its_call_even_past_its_lease(payer: UUID, upstream: ScriptedUpstream) -> None:
    request = chat_request(model="scripted--slow=5")
    with chat_stream(request) as stream:
        next(stream)
        with operator_atomic("test"):
            GatewayCall.objects.filter(organization_id=payer).update(lease_until=timezone.now() - timedelta(seconds=1))
        with operator_context("test"):
            calls_sweep()
        with pytest.raises(CallInProgress):
            chat(request)
        list(stream)
    assert assert_settled(payer).call.ending == "completed"


def test_a_living_process_that_could_not_settle_keeps_no_money_for_long(
    payer: UUID, upstream: ScriptedUpstream, books_closed: BooksClosed
) -> None:
    request = chat_request()
    with books_closed(), pytest.raises(DatabaseError, match="books are closed"):
        chat(request)
    with operator_atomic("test"):
        GatewayCall.objects.filter(organization_id=payer).update(lease_until=timezone.now() - timedelta(minutes=3))
    assert not chat(request).replayed
    assert [call.ending for call in assert_settled(payer).calls] == ["worker_killed", "completed"]


def test_an_unknown_call_keeps_its_money_until_its_time_is_over(
    payer: UUID, upstream: ScriptedUpstream, upstream_environment: dict[str, str], settings: Settings
) -> None:
    settings.GATEWAY_UNKNOWN_SECONDS = 600
    _work(payer, f"run:{uuid4()}", "mid_stream", upstream_environment)
    with operator_context("test"):
        assert call_abandon(books(payer).call)
        calls_resolve()
    now = books(payer)
    assert (now.call.status, now.call.ending, now.holds[0].status) == ("unknown", "", "open")
    assert now.holds[0].expires_at > timezone.now() + timedelta(minutes=10)
    with operator_atomic("test"):
        GatewayCall.objects.filter(organization_id=payer).update(unknown_at=timezone.now() - timedelta(minutes=11))
    with operator_context("test"):
        assert calls_resolve() >= 1
    now = assert_settled(payer)
    assert (now.call.ending, now.captured) == ("worker_killed", ZERO)
    with tenant_atomic(payer):
        assert AuditLog.objects.filter(action="call.resolve", target_id=str(now.call.pk)).count() == 1


def test_an_unknown_call_pays_what_its_provider_reports(
    payer: UUID, upstream: ScriptedUpstream, upstream_environment: dict[str, str], settings: Settings
) -> None:
    settings.GATEWAY_UNKNOWN_SECONDS = 600
    _work(payer, f"run:{uuid4()}", "last_token", upstream_environment)
    (served,) = upstream.wait_idle()
    call = books(payer).call
    with operator_context("test"):
        assert call_abandon(call)
    provider_report(call.provider, {str(call.pk): (served.prompt_tokens, served.completion_tokens)})
    with operator_context("test"):
        assert calls_resolve() >= 1
    now = assert_settled(payer)
    assert now.captured == cost(served.prompt_tokens, served.completion_tokens) > 0


def test_the_operation_goes_on_while_its_first_call_is_unknown(
    payer: UUID, upstream: ScriptedUpstream, upstream_environment: dict[str, str], settings: Settings
) -> None:
    settings.GATEWAY_UNKNOWN_SECONDS = 600
    operation = f"run:{uuid4()}"
    _work(payer, operation, "mid_stream", upstream_environment)
    assert not chat(chat_request(operation_key=operation, max_tokens=5)).replayed
    assert [call.status for call in books(payer).calls] == ["unknown", "settled"]
