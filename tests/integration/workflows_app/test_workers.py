"""Real workers that are killed, frozen, doubled and starved of messages, in the middle of real runs.

Invariants after each: the run is completed, every step completed once, the log's chain is whole, every hold was
settled once, and the wallet is lower by exactly what the completed steps cost.
"""

import random
import subprocess
import sys
import time
import uuid
from decimal import Decimal
from uuid import UUID

import pytest
import redis
from django.conf import settings

from accounts_app.tenancy.context import operator_atomic
from billing_app.models import Hold
from billing_app.selectors import wallet_summary
from config.runtime.ports import free_port
from gateway_app.models import GatewayCall, LiveStream
from gateway_app.services.streams import stream_open
from tests.factories.workflows import acting
from tests.fixtures.stack import AccountMaker
from tests.support.accounts import Account
from tests.support.processes import wait_until
from tests.support.stack import Stack, wait_ready
from tests.support.upstream import Behaviour
from workflows_app.contracts import RunDetail
from workflows_app.models import WorkflowRun
from workflows_app.selectors import run_events, run_get, run_steps
from workflows_app.services.configs import config_for
from workflows_app.services.controls import run_cancel
from workflows_app.services.dispatch import ring
from workflows_app.services.doorbell import door
from workflows_app.services.runs import run_start

pytestmark = pytest.mark.usefixtures("stack")

WORDS = " ".join(f"word{number}" for number in range(120))
STEPS = ["save_brief", "topic_select", "generate", "review", "optimize"]


def start(account: Account, *, stage: str = "A", brief: str = "An article about tea.") -> UUID:
    subject = uuid.uuid4()
    with acting(account.tenant):
        return run_start(
            config_id=config_for("article").id,
            workspace_key="article",
            stage=stage,
            subject_id=subject,
            context={"brief": brief},
            stream_id=stream_open(kind="run", subject_id=subject),
            key=uuid.uuid4().hex,
        ).id


def detail(account: Account, run_id: UUID) -> RunDetail:
    with acting(account.tenant):
        return run_get(run_id)


def finished(account: Account, run_id: UUID, timeout: float = 150) -> RunDetail:
    """Wait until the run has ended and its readers know."""

    def told() -> bool:
        with operator_atomic("test"):
            return WorkflowRun.objects.filter(pk=run_id, announced_at__isnull=False).exists()

    wait_until(told, timeout, lambda: f"still {detail(account, run_id)}")
    return detail(account, run_id)


def holds_of(account: Account) -> list[str]:
    with acting(account.tenant):
        return list(Hold.objects.filter(organization_id=account.organization_id).values_list("status", flat=True))


def check_invariants(account: Account, run_id: UUID) -> RunDetail:
    run = finished(account, run_id)
    # A worker that is killed while it gives up a killed one's call leaves the rest of that to the sweep.
    wait_until(lambda: "open" not in holds_of(account), 60, lambda: str(holds_of(account)))
    assert (run.status, run.error) == ("completed", None)
    with acting(account.tenant):
        steps, events = run_steps(run_id), run_events(run_id)
        wallet = wallet_summary(account.organization_id)
        stream = stream_of(run)
    assert [step.key for step in steps if step.status == "completed"] == STEPS
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [event.prev_event_id for event in events] == [None, *(event.id for event in events[:-1])]
    assert [event.type for event in events].count("run.completed") == 1
    assert wallet.frozen == 0
    assert Decimal(10) - wallet.balance == run.cost_usd > 0
    assert streamed(stream, "optimize") == run.context["text"]
    return run


def stream_of(run: RunDetail) -> LiveStream:
    assert run.stream_id
    return LiveStream.objects.get(pk=run.stream_id)


def streamed(stream: LiveStream, step: str) -> str:
    """What a reader that follows the stream ends with for a step."""
    text = ""
    for event in stream.events:
        if event["data"].get("step") != step:
            continue
        if event["type"] == "restart":
            text = ""
        elif event["type"] == "delta":
            text = text[: event["data"]["offset"]] + event["data"]["text"]
    return text


def calls(account: Account) -> list[str]:
    with acting(account.tenant):
        return sorted(
            GatewayCall.objects.filter(organization_id=account.organization_id).values_list("ending", flat=True)
        )


def streaming(stack: Stack, tokens: int = 5) -> None:
    """Wait until the upstream is in the middle of an answer."""
    wait_until(
        lambda: any(item.completion_tokens > tokens and item.outcome == "open" for item in stack.upstream.served)
    )


def test_a_run_is_carried_out_by_workers(stack: Stack, tenant_with_money: Account) -> None:
    run = check_invariants(tenant_with_money, start(tenant_with_money))
    assert run.cursor == 5
    assert len(stack.upstream.served) == 2


def test_killed_in_the_middle_of_a_stream_the_run_finishes_elsewhere(stack: Stack, tenant_with_money: Account) -> None:
    stack.spawn_beat()
    stack.upstream.behave(Behaviour(text=WORDS, delay=30))
    run_id = start(tenant_with_money)
    streaming(stack)
    stack.model_worker.kill9()
    wait_ready(stack.spawn_worker("model"))
    check_invariants(tenant_with_money, run_id)
    assert calls(tenant_with_money) == ["completed", "completed", "worker_killed"]
    with acting(tenant_with_money.tenant):
        assert [step.status for step in run_steps(run_id) if step.key == "generate"] == ["lost", "completed"]
        types = [event["type"] for event in stream_of(run_get(run_id)).events]
    assert types.count("restart") == 1


@pytest.mark.parametrize("seed", range(2))
def test_killed_again_and_again_at_any_moment(stack: Stack, tenant_with_money: Account, seed: int) -> None:
    chance = random.Random(seed)
    stack.spawn_beat()
    stack.upstream.always = Behaviour(text=WORDS, delay=15)
    worker = stack.model_worker
    run_id = start(tenant_with_money)
    for _kill in range(3):
        time.sleep(chance.uniform(0.0, 1.5))
        worker.kill9()
        worker = wait_ready(stack.spawn_worker("model"))
    check_invariants(tenant_with_money, run_id)


def test_two_workers_and_doubled_messages_do_each_step_once(stack: Stack, make_account: AccountMaker) -> None:
    wait_ready(stack.spawn_worker("model"))
    accounts = [make_account() for _number in range(6)]
    runs = [start(account) for account in accounts]
    for _again in range(4):
        for _run in runs:
            assert ring()
    for account, run_id in zip(accounts, runs, strict=True):
        check_invariants(account, run_id)
    assert len(stack.upstream.served) == 12


def test_a_lost_message_is_sent_again(stack: Stack, tenant_with_money: Account) -> None:
    stack.model_worker.kill9()
    run_id = start(tenant_with_money)
    with redis.Redis.from_url(settings.REDIS_URL) as broker:
        assert broker.delete(door()) == 1
    wait_ready(stack.spawn_worker("model"))
    stack.spawn_beat()
    check_invariants(tenant_with_money, run_id)


def test_a_run_started_while_the_broker_is_down_is_accepted_and_begins_later(
    stack: Stack, tenant_with_money: Account
) -> None:
    account = tenant_with_money
    script = f"""
import django; django.setup()
from uuid import UUID
from accounts_app.tenancy.context import tenant_atomic
from workflows_app.services.configs import config_for
from workflows_app.services.runs import run_start
with tenant_atomic(UUID("{account.organization_id}"), UUID("{account.user.pk}")):
    print(run_start(config_id=config_for("article").id, workspace_key="article", stage="A",
                    context={{"brief": "tea"}}, key="while the broker is down").id)
"""
    environment = {**stack.environment, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    run_id = UUID(answer.stdout.strip().splitlines()[-1])
    assert detail(account, run_id).status == "pending"
    stack.spawn_beat()
    assert finished(account, run_id).status == "completed"


def test_a_frozen_worker_that_wakes_is_fenced(stack: Stack, tenant_with_money: Account) -> None:
    stack.spawn_beat()
    other = wait_ready(stack.spawn_worker("model"))
    other.freeze()  # so that the run is surely begun by the first
    stack.upstream.behave(Behaviour(text=WORDS, delay=30))
    run_id = start(tenant_with_money)
    streaming(stack)
    stack.model_worker.freeze()
    other.thaw()
    wait_until(lambda: token(run_id) > 1)
    stack.model_worker.thaw()
    run = finished(tenant_with_money, run_id)
    assert run.status == "completed"
    with acting(tenant_with_money.tenant):
        completed = [step.key for step in run_steps(run_id) if step.status == "completed"]
    assert completed == STEPS


def test_a_worker_that_is_told_to_stop_hands_over_between_steps(stack: Stack, tenant_with_money: Account) -> None:
    stack.spawn_beat()
    stack.upstream.behave(Behaviour(text=WORDS, delay=20))
    run_id = start(tenant_with_money)
    streaming(stack)
    stack.model_worker.stop(grace=30)
    assert detail(tenant_with_money, run_id).cursor >= 3
    wait_ready(stack.spawn_worker("model"))
    check_invariants(tenant_with_money, run_id)
    assert "worker_killed" not in calls(tenant_with_money)


def test_a_cancelled_run_closes_its_model_call_within_a_second_or_two(stack: Stack, tenant_with_money: Account) -> None:
    stack.upstream.behave(Behaviour(text=WORDS * 10, delay=30))
    run_id = start(tenant_with_money)
    streaming(stack)
    with acting(tenant_with_money.tenant):
        run_cancel(run_id=run_id)
    run = finished(tenant_with_money, run_id)
    assert run.status == "cancelled"
    (served,) = stack.upstream.wait_idle()
    assert served.outcome == "client_gone"
    assert calls(tenant_with_money) == ["client_gone"]


def test_a_run_is_cancelled_even_while_its_provider_says_nothing(stack: Stack, tenant_with_money: Account) -> None:
    stack.upstream.behave(Behaviour(hang="first"))
    run_id = start(tenant_with_money)
    wait_until(lambda: stack.upstream.served)
    with acting(tenant_with_money.tenant):
        run_cancel(run_id=run_id)
    # Without a beat: nobody but the worker itself leaves the call, and gives the hold back.
    assert finished(tenant_with_money, run_id).status == "cancelled"
    (served,) = stack.upstream.wait_idle()
    assert served.outcome == "client_gone"
    assert calls(tenant_with_money) == ["client_gone"]


def token(run_id: UUID) -> int:
    with operator_atomic("test"):
        return WorkflowRun.objects.values_list("token", flat=True).get(pk=run_id)
