"""Tasks over HTTP against the running system: web server, workers, sockets; only the model is scripted."""

import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from accounts_app.tenancy.context import bound
from config.runtime.ports import free_port
from tests.fixtures.stack import AccountMaker
from tests.support.accounts import Account
from tests.support.processes import wait_until
from tests.support.stack import Stack
from tests.support.upstream import Behaviour

BRIEF = {"inputText": "I want an article about the history of tea, for beginners."}
GENERATE = {"stage": "A", "action": "generate"}
DRAFT = "# Tea\n\nTea is a drink that is made from leaves."
BETTER = DRAFT + "\n\nEnjoy it."


@pytest.fixture
def api(tenant_with_money: Account) -> Iterator[httpx2.Client]:
    with tenant_with_money.api(timeout=90) as client:
        yield client


def new_task(api: httpx2.Client) -> str:
    response = api.post("/api/tasks", json=BRIEF)
    assert response.status_code == 201, response.text
    return str(response.json()["taskId"])


def advance(api: httpx2.Client, task_id: str, body: dict[str, Any] = GENERATE, **headers: str) -> httpx2.Response:
    return api.post(f"/api/tasks/{task_id}/advance", json=body, headers=headers)


def detail(api: httpx2.Client, task_id: str) -> dict[str, Any]:
    body: dict[str, Any] = api.get(f"/api/tasks/{task_id}").json()
    return body


def idle(api: httpx2.Client, task_id: str, timeout: float = 60) -> dict[str, Any]:
    """Wait until nothing runs in the task; return its detail."""
    wait_until(lambda: detail(api, task_id)["active_run_id"] is None, timeout, lambda: str(detail(api, task_id)))
    return detail(api, task_id)


def test_whole_way_with_waiting(api: httpx2.Client, stack: Stack) -> None:
    stack.upstream.script(DRAFT, BETTER)
    task_id = new_task(api)
    done = advance(api, task_id, Prefer="wait=60")
    assert (done.status_code, done.headers["Preference-Applied"]) == (200, "wait=60")
    body = done.json()
    assert set(body) == {"ok", "runId", "streamId", "versionId", "nextStage"}
    assert body["versionId"]
    assert body["nextStage"] == "D"
    task = detail(api, task_id)
    assert (task["text"], task["previous_text"], task["current_stage"]) == (BETTER, DRAFT, "D")
    assert advance(api, task_id, {"stage": "D", "action": "generate"}, Prefer="wait=60").status_code == 200
    last = advance(api, task_id, {"stage": "E", "action": "finish"}, Prefer="wait=60")
    assert (last.status_code, last.json()["nextStage"]) == (200, None)
    task = detail(api, task_id)
    assert (task["status"], task["next_step"]) == ("completed", None)
    events = api.get(f"/api/tasks/{task_id}/events?limit=200").json()["results"]
    assert [event["prev_event_id"] for event in events] == [None, *(event["id"] for event in events[:-1])]
    cost = sum(Decimal(event["cost_usd"]) for event in events)
    wallet = api.get("/api/billing/wallet").json()
    assert cost == Decimal(task["cost_usd"]) == Decimal(10) - Decimal(wallet["balance"]) > 0


def test_text_of_the_stream_is_the_tasks_text(api: httpx2.Client, stack: Stack) -> None:
    stack.upstream.script(DRAFT, BETTER)
    task_id = new_task(api)
    started = advance(api, task_id)
    assert started.status_code == 202
    stream = api.get(f"/api/streams/{started.json()['streamId']}/events", headers={"Accept": "text/event-stream"})
    assert "step.completed" in stream.text
    assert "event: end" in stream.text or '"end"' in stream.text
    assert idle(api, task_id)["text"] == BETTER


def test_of_two_requests_at_once_one_starts(api: httpx2.Client, stack: Stack) -> None:
    stack.upstream.behave(*[Behaviour(delay=30)] * 4)
    task_id = new_task(api)
    answers: list[httpx2.Response] = []
    threads = [threading.Thread(target=lambda: answers.append(advance(api, task_id))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    started, refused = sorted(answers, key=lambda answer: answer.status_code)
    assert (started.status_code, refused.status_code) == (202, 409)
    error = refused.json()["error"]
    assert error["code"] == "run_in_progress"
    assert error["details"] == [{"field": "runId", "message": started.json()["runId"]}]
    idle(api, task_id)


def test_waiting_callers_hold_no_connection(api: httpx2.Client, stack: Stack, make_account: AccountMaker) -> None:
    stack.upstream.behave(*[Behaviour(text=" ".join("tea" for _word in range(60)), delay=200)] * 60)
    # More than the pool has connections.
    tasks = [new_task(api) for _ in range(20)]
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda task=task: answers.append(advance(api, task, Prefer="wait=8").status_code))
        for task in tasks
    ]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    assert api.get("/api/tasks?limit=5").status_code == 200
    assert answers == []
    for thread in threads:
        thread.join(90)
    assert set(answers) <= {200, 202}
    assert len(answers) == 20
    for task in tasks:
        api.post(f"/api/tasks/{task}/cancel")
    for task in tasks:
        idle(api, task)


def test_upstream_down_fails_the_run_and_the_step_can_be_repeated(api: httpx2.Client, stack: Stack) -> None:
    task_id = new_task(api)
    with stack.upstream.down():
        failed = advance(api, task_id, Prefer="wait=60")
    assert failed.status_code in (502, 503, 504)
    error = failed.json()["error"]
    assert {"code", "message", "details", "trace_id"} == set(error)
    task = detail(api, task_id)
    assert (task["status"], task["current_stage"], task["text"]) == ("active", "A", "")
    assert task["last_error"]["code"] == error["code"]
    stack.upstream.script(DRAFT, BETTER)
    assert advance(api, task_id, Prefer="wait=60").status_code == 200
    assert detail(api, task_id)["text"] == BETTER


def test_cancel_stops_the_writing_and_is_paid_to_the_token(api: httpx2.Client, stack: Stack) -> None:
    words = " ".join(f"word{number}" for number in range(400))
    stack.upstream.behave(Behaviour(text=words, delay=30))
    task_id = new_task(api)
    advance(api, task_id)
    wait_until(lambda: any(served.completion_tokens > 5 for served in stack.upstream.served), 30)
    assert api.post(f"/api/tasks/{task_id}/cancel").status_code == 202
    task = idle(api, task_id)
    assert (task["status"], task["current_stage"], task["text"]) == ("active", "A", "")
    assert len(stack.upstream.wait_idle()) == 1

    def settled() -> bool:
        wallet = api.get("/api/billing/wallet").json()
        return Decimal(wallet["frozen"]) == 0 and Decimal(detail(api, task_id)["cost_usd"]) == 10 - Decimal(
            wallet["balance"]
        )

    wait_until(settled, 20)
    events = api.get(f"/api/tasks/{task_id}/events?limit=200").json()["results"]
    assert sum(Decimal(event["cost_usd"]) for event in events) == Decimal(detail(api, task_id)["cost_usd"])
    assert "cancelled" in [event["event_key"] for event in events]


def test_redis_down_accepts_the_advance_and_starts_it_later(stack: Stack, tenant_with_money: Account) -> None:
    stack.upstream.script(DRAFT, BETTER)
    port = free_port()
    stack.spawn_web({"REDIS_URL": "redis://127.0.0.1:1/0"}, port=port)
    with (
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=tenant_with_money.headers, timeout=60) as cut_off,
        tenant_with_money.api() as api,
    ):
        task_id = new_task(cut_off)
        response = advance(cut_off, task_id)
        assert response.status_code == 202, response.text
        # The scheduler's reaper finds the run that nobody was told of.
        stack.spawn_beat()
        assert idle(api, task_id)["text"] == BETTER


def test_postgres_down_is_503_in_the_error_format(stack: Stack, tenant_with_money: Account) -> None:
    port = free_port()
    stack.spawn_web({"DATABASE_URL": "postgres://x:x@127.0.0.1:1/x"}, port=port)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=tenant_with_money.headers, timeout=60) as api:
        for response in (api.post("/api/tasks", json=BRIEF), api.get("/api/tasks")):
            assert response.status_code == 503
            assert response.json()["error"]["code"] == "unavailable"
            assert response.headers["Retry-After"]


def test_killed_worker_leaves_one_event_for_each_step(
    api: httpx2.Client, stack: Stack, tenant_with_money: Account
) -> None:
    words = " ".join(f"word{number}" for number in range(80))
    stack.upstream.behave(*[Behaviour(text=words, delay=20)] * 4)
    stack.spawn_beat()
    task_id = new_task(api)
    advance(api, task_id)
    wait_until(lambda: any(served.completion_tokens > 5 for served in stack.upstream.served), 30)
    stack.model_worker.kill9()
    stack.spawn_worker("model")
    task = idle(api, task_id, timeout=90)
    assert (task["current_stage"], task["text"]) == ("D", words)
    with bound(tenant_with_money.tenant):
        events = api.get(f"/api/tasks/{task_id}/events?limit=200").json()["results"]
    steps = [event["step_key"] for event in events if event["step_key"] and event["event_key"] != "usage"]
    assert steps == ["save_brief", "topic_select", "generate", "review", "optimize"]
    assert [event["prev_event_id"] for event in events] == [None, *(event["id"] for event in events[:-1])]
    wallet = api.get("/api/billing/wallet").json()
    assert sum(Decimal(event["cost_usd"]) for event in events) == Decimal(10) - Decimal(wallet["balance"])
