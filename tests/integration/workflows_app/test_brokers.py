"""The whole engine on Redis and on RabbitMQ: what each of them may do to its messages, and runs finish all the same."""

import io
import json
import random
import uuid
from collections import Counter
from typing import Any, cast
from uuid import UUID

import pytest
from amqp import PreconditionFailed
from celery import current_app
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts_app.models import AuditLog
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import Tenant, operator_atomic
from tests.factories.workflows import acting, made_up_config, owner
from tests.fixtures.brokers import AnyBroker
from tests.fixtures.stack import AccountMaker
from tests.integration.workflows_app.test_workers import WORDS, check_invariants, start, streaming
from tests.support.accounts import Account
from tests.support.faults import DOUBLED, double_messages, drop_messages, drop_postgres_connections, kill_worker
from tests.support.processes import wait_until
from tests.support.stack import Stack, wait_ready
from tests.support.upstream import Behaviour
from workflows_app.models import RunEvent, WorkflowRun
from workflows_app.services import dispatch
from workflows_app.services.doorbell import BUTTON
from workflows_app.services.runs import execution_start
from workflows_app.services.workers import workers_list

QUICK: dict[str, Any] = {"action": "wait", "params": {"seconds": 0.05}}


@pytest.fixture
def account(make_broker_account: AccountMaker) -> Account:
    """Somebody new with 10 USD."""
    return make_broker_account()


@pytest.fixture
def stack(broker_stack: Stack) -> Stack:
    return broker_stack


def executions(tenant: Tenant, count: int, *steps: dict[str, Any], **context: Any) -> list[UUID]:
    config = made_up_config(tenant, *steps)
    started = []
    for number in range(count):
        with acting(tenant):
            started.append(execution_start(template=str(config.pk), context=context, key=f"{config.pk} {number}").id)
    return started


def statuses(run_ids: list[UUID]) -> dict[str, int]:
    with operator_atomic("test"):
        found = WorkflowRun.objects.filter(pk__in=run_ids).values_list("status", flat=True)
        return {status: list(found).count(status) for status in found}


def all_completed(run_ids: list[UUID], timeout: float = 120) -> None:
    wait_until(lambda: statuses(run_ids) == {"completed": len(run_ids)}, timeout, lambda: str(statuses(run_ids)))


def each_step_once(run_ids: list[UUID]) -> None:
    """No run's history has a hole, or the end of a step twice."""
    with operator_atomic("test"):
        events = list(RunEvent.objects.filter(run_id__in=run_ids).order_by("run_id", "seq"))
    by_run: dict[UUID, list[RunEvent]] = {}
    for event in events:
        by_run.setdefault(event.run_id, []).append(event)
    assert set(by_run) == set(run_ids)
    for chain in by_run.values():
        assert [event.seq for event in chain] == list(range(1, len(chain) + 1))
        assert [event.prev_event_id for event in chain[1:]] == [event.id for event in chain[:-1]]
        done = [(event.step_key, event.attempt) for event in chain if event.type == "step.completed"]
        assert len(done) == len(set(done))


def test_runs_are_carried_out(stack: Stack, account: Account) -> None:
    check_invariants(account, start(account))
    part = stack_ready(stack)
    assert (part["state"], part["waiting"]["work"]) == ("ok", 0)


@pytest.mark.parametrize("away", ["door", "broker"])
def test_either_way_of_a_ring_calls_a_worker(
    stack: Stack, account: Account, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    """No reaper runs here: the only ring is the start's."""
    if away == "door":
        monkeypatch.setattr(BUTTON, "press", lambda: False)
    else:
        monkeypatch.setattr(dispatch, "ring_through_broker", lambda: False)
    all_completed(executions(account.tenant, 1, {"action": "save_brief"}, brief="Tea."))


def stack_ready(stack: Stack) -> Any:
    import httpx2

    return httpx2.get(f"{stack.url}/ready", timeout=20).json()["parts"]["broker"]


def test_a_killed_worker_and_dropped_messages_lose_no_run(stack: Stack, account: Account, broker: AnyBroker) -> None:
    stack.spawn_beat()
    stack.upstream.behave(Behaviour(text=WORDS, delay=30))
    run_id = start(account)
    streaming(stack)
    assert kill_worker([stack.model_worker], random.Random(1)) is stack.model_worker
    drop_messages(broker)
    wait_ready(stack.spawn_worker("model"))
    check_invariants(account, run_id)


def test_doubled_messages_do_each_step_once(stack: Stack, account: Account, broker: AnyBroker) -> None:
    stack.model_worker.stop()
    run_ids = executions(account.tenant, 12, QUICK, QUICK)
    assert double_messages(broker) > 0
    stack.application = DOUBLED
    for _worker in range(2):
        wait_ready(stack.spawn_worker("model"))
    stack.spawn_beat()
    all_completed(run_ids)
    each_step_once(run_ids)


@pytest.mark.parametrize("how", ["restart", "kill9"])
def test_a_broker_that_goes_and_comes_back_loses_no_run(
    stack: Stack, account: Account, broker: AnyBroker, how: str
) -> None:
    stack.spawn_beat()
    before = executions(account.tenant, 6, *[QUICK] * 4)
    getattr(broker, how)()
    during = executions(account.tenant, 3, QUICK)  # after kill9: nobody takes the message
    broker.ensure()
    after = executions(account.tenant, 3, QUICK)
    run_ids = [*before, *during, *after]
    all_completed(run_ids)
    each_step_once(run_ids)


@pytest.fixture
def quorum(broker: AnyBroker, settings: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This process sends to a quorum queue; what it hands out makes a worker serve it."""
    settings.WORKFLOW_QUEUE = f"quorum-{uuid.uuid4().hex[:8]}"
    # This process's own list of queues may be older than the test.
    monkeypatch.setattr(cast(Any, current_app).amqp.queues, "create_missing_queue_type", "quorum")
    return {"WORKFLOW_QUEUE": settings.WORKFLOW_QUEUE, "BROKER_QUEUE_TYPE": "quorum"}


@pytest.mark.parametrize("running_broker", ["rabbitmq"], indirect=True)
def test_a_quorum_queue_carries_runs_through_a_restart(
    stack: Stack, account: Account, broker: AnyBroker, quorum: dict[str, str]
) -> None:
    queue = quorum["WORKFLOW_QUEUE"]
    # It alone is there to hear of them.
    stack.model_worker.stop()
    wait_ready(stack.spawn_worker(queue, environment=quorum))
    save = {"action": "save_brief"}
    run_ids = executions(account.tenant, 4, save, save, brief="Tea.")
    broker.restart()
    run_ids += executions(account.tenant, 4, save, brief="Tea.")
    all_completed(run_ids)
    each_step_once(run_ids)
    with (
        current_app.connection_for_write() as connection,
        connection.channel() as channel,
        pytest.raises(PreconditionFailed, match="x-queue-type"),
    ):
        cast(Any, channel).queue_declare(queue, durable=True, auto_delete=False, arguments={"x-queue-type": "classic"})


def test_dropped_connections_to_postgres_lose_no_run(stack: Stack, account: Account) -> None:
    stack.spawn_beat()
    chance = random.Random(5)
    run_ids = executions(account.tenant, 10, *[QUICK] * 6)
    for _time in range(4):
        drop_postgres_connections(0.6, chance)
    all_completed(run_ids)
    each_step_once(run_ids)


def command(*arguments: str) -> str:
    written = io.StringIO()
    call_command("workers", *arguments, stdout=written)
    return written.getvalue()


def test_a_worker_is_drained_between_two_steps(stack: Stack, account: Account) -> None:
    stack.spawn_beat()
    stack.upstream.behave(Behaviour(text=WORDS, delay=20))
    run_id = start(account)
    streaming(stack)
    workers = {worker["queues"][0]: worker for worker in json.loads(command("--json"))}
    assert workers["model"]["place"].endswith(f":{stack.model_worker.pid}")
    assert [run["step"] for run in workers["model"]["runs"]] == ["generate"]
    assert workers["work"]["runs"] == []

    said = command("drain", workers["model"]["name"], "--wait", "--timeout", "60")
    assert "They have gone." in said
    wait_until(lambda: not stack.model_worker.is_alive)
    assert [worker["queues"] for worker in json.loads(command("--json"))] == [["work"]]
    wait_ready(stack.spawn_worker("model"))
    run = check_invariants(account, run_id)
    with operator_atomic("test"):
        types = list(RunEvent.objects.filter(run_id=run.id).values_list("type", flat=True))
    assert "step.lost" not in types


def test_only_workers_that_are_there_are_drained(stack: Stack) -> None:
    with pytest.raises(CommandError, match="No worker of this name answers: nobody@nowhere"):
        command("drain", "nobody@nowhere")
    with pytest.raises(CommandError, match="Name workers, or say --all"):
        command("drain")


def test_a_deploy_in_the_middle_of_a_hundred_runs_loses_none(stack: Stack) -> None:
    """Old runs finish on the version they began with; a new version and new workers come in the middle."""
    tenant = owner(f"{uuid.uuid4().hex}@example.com")
    stack.spawn_beat()
    wait: dict[str, Any] = {"action": "wait", "params": {"seconds": 0.3}}
    first = executions(tenant, 100, wait, wait, wait)
    wait_until(lambda: statuses(first).get("completed", 0) + statuses(first).get("waiting", 0) > 10, 60)
    second = executions(tenant, 5, wait)
    old_workers = [stack.model_worker, stack.work_worker]
    stack.model_worker, stack.work_worker = stack.spawn_worker("model"), stack.spawn_worker("work")
    for worker in old_workers:
        worker.stop(grace=60)
    all_completed([*first, *second], 240)
    each_step_once([*first, *second])
    with operator_atomic("test"):
        by_config = {
            config: set(WorkflowRun.objects.filter(config_id=config).values_list("pk", flat=True))
            for config in WorkflowRun.objects.filter(pk__in=[*first, *second]).values_list("config_id", flat=True)
        }
        done = RunEvent.objects.filter(run_id__in=[*first, *second], type="step.completed")
        steps = Counter(done.values_list("run_id", flat=True))
        assert not RunEvent.objects.filter(run_id__in=[*first, *second], type="step.lost").exists()
    assert sorted(map(len, by_config.values())) == [5, 100]
    assert {steps[run_id] for run_id in first} == {3}
    assert {steps[run_id] for run_id in second} == {1}


def test_an_operator_drains_a_worker_on_the_page(stack: Stack, client: Client) -> None:
    client.force_login(user_create(email=f"{uuid.uuid4().hex}@example.com", is_operator=True))
    page = reverse("admin:workflows_app_workers")
    shown = client.get(page).content.decode()
    worker = next(worker for worker in workers_list() if worker.queues == ("model",))
    assert worker.name in shown
    answer = client.post(page, {"name": worker.name}, follow=True).content.decode()
    assert f"Draining: {worker.name} finishes its steps and leaves." in answer
    wait_until(lambda: not stack.model_worker.is_alive)
    with operator_atomic("test"):
        assert AuditLog.objects.filter(action="worker.drain", target_id=worker.name).exists()


def test_without_a_broker_the_page_and_the_command_say_so(
    broker: AnyBroker, committed_db: None, client: Client
) -> None:
    client.force_login(user_create(email=f"{uuid.uuid4().hex}@example.com", is_operator=True))
    broker.stop()
    with pytest.raises(CommandError, match="The message broker does not answer"):
        command()
    answer = client.get(reverse("admin:workflows_app_workers"))
    assert "The message broker does not answer." in answer.content.decode()


def test_people_who_are_no_operators_do_not_get_there(committed_db: None, client: Client) -> None:
    client.force_login(user_create(email=f"{uuid.uuid4().hex}@example.com"))
    assert client.get(reverse("admin:workflows_app_workers")).status_code == 302
