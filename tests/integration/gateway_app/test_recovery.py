"""Kill -9 at every labelled point: no money stays held, nothing is paid twice, the operation can be done again."""

import os
import signal
import subprocess
import sys
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from pytest_django import Settings

from accounts_app.exceptions import Conflict
from accounts_app.tenancy.context import operator_atomic, operator_context
from billing_app.contracts import ZERO
from billing_app.models import Hold
from billing_app.services.holds import holds_expire
from gateway_app.exceptions import CallInProgress
from gateway_app.models import GatewayCall
from gateway_app.services.chat import chat, chat_stream
from gateway_app.services.recovery import calls_sweep
from gateway_app.tasks import sweep_calls
from tests.factories.gateway import chat_request
from tests.support.gateway import assert_settled, books
from tests.support.upstream import ScriptedUpstream

AFTER_THE_HOLD = ("after_hold", "mid_stream", "before_settle", "in_settle")


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
    result = chat(chat_request(operation_key=operation))
    now = assert_settled(payer)
    killed = [] if point == "before_hold" else ["worker_killed"]
    assert [call.ending for call in now.calls] == [*killed, "completed"]
    assert now.captured == result.charged_usd
    assert not result.replayed
    assert [attempt.status for attempt in now.attempts if attempt.call_id == now.calls[0].pk] == (
        ["abandoned"] if killed else ["answered"]
    )


def test_an_operation_that_a_process_finished_is_replayed_by_another(
    payer: UUID, upstream: ScriptedUpstream, upstream_environment: dict[str, str]
) -> None:
    operation = f"run:{uuid4()}"
    assert _work(payer, operation, "none", upstream_environment) == 0
    result = chat(chat_request(operation_key=operation))
    assert (result.replayed, len(upstream.served), len(assert_settled(payer).calls)) == (True, 1, 1)


@pytest.mark.parametrize("point", ["mid_stream", "in_settle"])
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
    payer: UUID, upstream: ScriptedUpstream, settings: Settings
) -> None:
    steps = settings.GATEWAY_STEPS
    settings.GATEWAY_STEPS = [*steps, "tests.support.gateway_steps.FailOnce"]
    request = chat_request()
    with pytest.raises(Conflict, match="books are closed"):
        chat(request)
    settings.GATEWAY_STEPS = steps
    with operator_atomic("test"):
        GatewayCall.objects.filter(organization_id=payer).update(lease_until=timezone.now() - timedelta(minutes=3))
    assert not chat(request).replayed
    assert [call.ending for call in assert_settled(payer).calls] == ["worker_killed", "completed"]
