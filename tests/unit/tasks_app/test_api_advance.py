"""POST advance: what starts, and what is refused before anything starts."""

import json
import threading
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.test import Client

from accounts_app.tenancy.context import tenant_context
from tasks_app.exceptions import RunInProgress
from tasks_app.models import Task, TaskEvent
from tasks_app.services.advances import Advance, task_advance
from tasks_app.services.waits import run_wait
from tests.factories.accounts import Person, person
from tests.factories.tasks import funded, make_task, start
from workflows_app.selectors import run_get, runs_for_subject


@pytest.fixture
def ada(db: None) -> Person:
    return funded()


@pytest.fixture
def api(ada: Person) -> Client:
    return ada.api()


@pytest.fixture
def task(ada: Person) -> Task:
    with ada.at_work():
        return make_task()


def advance(client: Client, task_id: UUID, body: Any, **headers: str) -> Any:
    return client.post(
        f"/api/tasks/{task_id}/advance", json.dumps(body), content_type="application/json", headers=headers
    )


def fields(response: Any) -> list[str]:
    return [item["field"] for item in response.json()["error"]["details"]]


def test_generate_starts_the_whole_stage_and_answers_at_once(api: Client, ada: Person, task: Task) -> None:
    response = advance(api, task.id, {"stage": "A", "action": "generate", "params": {"tone": "dry"}})
    assert response.status_code == 202
    body = response.json()
    assert set(body) == {"ok", "runId", "streamId", "nextStage"}
    assert (body["ok"], body["nextStage"]) == (True, "D")
    with ada.at_work():
        run = run_get(UUID(body["runId"]))
        stored = Task.objects.get(pk=task.id)
        event = TaskEvent.objects.latest("seq")
    assert [step.action for step in run.steps] == ["save_brief", "topic_select", "generate", "review", "optimize"]
    assert str(run.stream_id) == body["streamId"] == str(stored.active_stream_id)
    assert str(stored.active_run_id) == body["runId"]
    assert run.context["params"] == {"tone": "dry"}
    assert run.context["brief"].startswith("I want an article")
    assert (event.event_key, event.run_id, event.output["run_id"]) == ("advance:A", run.id, body["runId"])
    assert event.prev_event_id == task.last_event_id


@pytest.mark.parametrize("slash", ["", "/"])
def test_both_addresses_advance(api: Client, task: Task, slash: str) -> None:
    body = json.dumps({"stage": "A", "action": "generate"})
    response = api.post(f"/api/tasks/{task.id}/advance{slash}", body, content_type="application/json")
    assert response.status_code == 202


@pytest.mark.parametrize(
    ("stage", "action", "steps"),
    [
        ("A", "apply", [("generate", "apply", "draft_template")]),
        ("C", "apply", [("apply", "apply", "text_optimizer")]),
        ("A", "linter", [("topic_select", "linter", ""), ("review", "linter", "")]),
        ("D", "linter", [("review", "linter", "")]),
        ("D", "eval", [("eval", "eval/run", "article_basics")]),
        ("A", "eval", [("eval", "eval/run", "article_basics")]),
        ("D", "rewrite", [("optimize", "bootstrap/rewrite", "")]),
        ("B", "rewrite", [("rewrite", "bootstrap/rewrite", "")]),
    ],
)
def test_one_kind_of_step_runs_alone(
    api: Client, ada: Person, stage: str, action: str, steps: list[tuple[str, str, str]]
) -> None:
    with ada.at_work():
        task = make_task("Polish this: the cat sat.")
    body = advance(api, task.id, {"stage": stage, "action": action}).json()
    with ada.at_work():
        run = run_get(UUID(body["runId"]))
    assert [(step.action, step.via, step.template) for step in run.steps] == steps
    assert run.context["text"] == "the cat sat."


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"stage": "Z", "action": "generate"}, 400, "unknown_stage", "stage"),
        ({"stage": "", "action": "generate"}, 400, "invalid_input", "stage"),
        ({"stage": None, "action": "generate"}, 400, "invalid_input", "stage"),
        ({"stage": 7, "action": "generate"}, 400, "invalid_input", "stage"),
        ({"action": "generate"}, 400, "invalid_input", "stage"),
        ({"stage": "A", "action": "dance"}, 400, "unknown_action", "action"),
        ({"stage": "A", "action": "GENERATE"}, 400, "unknown_action", "action"),
        ({"stage": "A"}, 400, "invalid_input", "action"),
        ({"stage": "A", "action": ["generate"]}, 400, "invalid_input", "action"),
        ({"stage": "A", "action": "generate", "params": []}, 400, "invalid_params", "params"),
        ({"stage": "A", "action": "generate", "params": "x"}, 400, "invalid_params", "params"),
        ({"stage": "A", "action": "generate", "params": {"a": "b\0"}}, 400, "invalid_params", "params"),
        ({"stage": "A", "action": "generate", "params": {"a": "\ud800"}}, 400, "invalid_params", "params"),
        ({"stage": "A", "action": "generate", "params": {"a": "x" * 100_000}}, 400, "invalid_params", "params"),
        ({"stage": "D", "action": "generate"}, 409, "stage_not_allowed", "stage"),
        ({"stage": "C", "action": "generate"}, 409, "stage_not_allowed", "stage"),
        ({"stage": "A", "action": "rewrite"}, 409, "stage_not_allowed", "stage"),
        ({"stage": "A", "action": "linter"}, 409, "stage_not_allowed", "stage"),
    ],
)
def test_bad_advance_is_refused_by_field_and_starts_nothing(
    api: Client, ada: Person, task: Task, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    response = advance(api, task.id, body)
    assert (response.status_code, response.json()["error"]["code"], fields(response)) == (status, code, [field])
    with ada.at_work():
        assert Task.objects.get(pk=task.id).events_count == 1
        assert runs_for_subject(task.id) == ()


@pytest.mark.parametrize("status", ["archived", "completed"])
def test_closed_task_does_not_advance(api: Client, ada: Person, status: str) -> None:
    with ada.at_work():
        task = make_task(status=status)
    response = advance(api, task.id, {"stage": "A", "action": "generate"})
    assert (response.status_code, response.json()["error"]["code"]) == (409, "task_closed")


def test_second_advance_is_told_of_the_first(api: Client, task: Task) -> None:
    first = advance(api, task.id, {"stage": "A", "action": "generate"})
    second = advance(api, task.id, {"stage": "A", "action": "generate"})
    assert (second.status_code, second.json()["error"]["code"]) == (409, "run_in_progress")
    assert second.json()["error"]["details"] == [{"field": "runId", "message": first.json()["runId"]}]


def test_archiving_a_running_task_is_refused(api: Client, task: Task) -> None:
    advance(api, task.id, {"stage": "A", "action": "generate"})
    response = api.post(f"/api/tasks/{task.id}/archive")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "run_in_progress")


@pytest.mark.django_db
def test_empty_wallet_starts_nothing_that_costs() -> None:
    broke = person()
    with broke.at_work():
        task = make_task("Polish this: the cat sat.")
    api = broke.api()
    response = advance(api, task.id, {"stage": "C", "action": "generate"})
    assert (response.status_code, response.json()["error"]["code"]) == (402, "insufficient_funds")
    with broke.at_work():
        assert Task.objects.get(pk=task.id).active_run_id is None
    # What costs nothing may still be done.
    assert advance(api, task.id, {"stage": "C", "action": "linter"}).status_code == 202


def test_same_key_starts_one_run(api: Client, ada: Person, task: Task) -> None:
    body = {"stage": "A", "action": "generate"}
    first, second = (advance(api, task.id, body, **{"Idempotency-Key": "go"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json() == second.json()
    other = advance(api, task.id, {"stage": "A", "action": "apply"}, **{"Idempotency-Key": "go"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
    with ada.at_work():
        assert len(runs_for_subject(task.id)) == 1


def test_wait_that_runs_out_answers_202(api: Client, task: Task) -> None:
    response = advance(api, task.id, {"stage": "A", "action": "generate"}, Prefer="respond-async, wait=0")
    assert (response.status_code, response["Preference-Applied"]) == (202, "wait=0")
    assert "versionId" not in response.json()


def test_unreadable_preference_is_ignored(api: Client, task: Task) -> None:
    response = advance(api, task.id, {"stage": "A", "action": "generate"}, Prefer="wait=soon")
    assert response.status_code == 202
    assert "Preference-Applied" not in response


def test_finish_without_a_text_completes_at_once(api: Client, ada: Person, task: Task) -> None:
    response = advance(api, task.id, {"stage": "A", "action": "finish"})
    assert response.status_code == 200
    assert response.json() == {"ok": True, "runId": None, "streamId": None, "nextStage": None}
    with ada.at_work():
        stored = Task.objects.get(pk=task.id)
        assert (stored.status, stored.events.latest("seq").event_key) == ("completed", "finish")


def test_finish_with_a_text_runs_the_final_stage(api: Client, ada: Person) -> None:
    with ada.at_work():
        task = make_task("Polish this: the cat sat.")
    body = advance(api, task.id, {"stage": "C", "action": "finish"}).json()
    assert body["nextStage"] is None
    with ada.at_work():
        run = run_get(UUID(body["runId"]))
        assert (run.stage, [step.action for step in run.steps]) == ("E", ["review", "finish"])


def test_cancel_ends_the_run_and_leaves_the_task(api: Client, ada: Person, task: Task) -> None:
    run_id = advance(api, task.id, {"stage": "A", "action": "generate"}).json()["runId"]
    response = api.post(f"/api/tasks/{task.id}/cancel")
    assert (response.status_code, response.json()) == (202, {"ok": True, "runId": run_id})
    with ada.at_work():
        stored = Task.objects.get(pk=task.id)
        last = stored.events.latest("seq")
    assert (stored.status, stored.current_stage, stored.active_run_id) == ("active", "A", None)
    assert last.event_key == "cancelled"
    assert advance(api, task.id, {"stage": "A", "action": "generate"}).status_code == 202


def test_cancel_without_a_run_is_refused(api: Client, task: Task) -> None:
    response = api.post(f"/api/tasks/{task.id}/cancel")
    assert (response.status_code, response.json()["error"]["code"]) == (409, "nothing_running")
    assert api.post(f"/api/tasks/{uuid4()}/cancel").status_code == 404


def test_waiting_for_a_cancelled_run_says_so(api: Client, ada: Person, task: Task) -> None:
    with ada.at_work():
        started = start(task)
    body = {"stage": "A", "action": "generate"}
    assert advance(api, task.id, body, **{"Idempotency-Key": "k"}).status_code == 409
    api.post(f"/api/tasks/{task.id}/cancel")
    assert started.run_id is not None
    with ada.at_work():
        outcome = run_wait(task_id=task.id, run_id=started.run_id, seconds=0)
    assert outcome is not None
    assert outcome.status == "cancelled"


@pytest.mark.usefixtures("committed_db")
def test_of_two_advances_at_once_exactly_one_starts() -> None:
    with transaction.atomic():
        ada = funded()
    with ada.at_work():
        task = make_task()
    barrier = threading.Barrier(6)
    outcomes: list[str] = []

    def work() -> None:
        try:
            barrier.wait(60)
            with tenant_context(ada.organization_id, ada.id, "owner"):
                started = task_advance(task_id=task.id, advance=Advance("A", "generate", {}))
            outcomes.append(str(started.run_id))
        except RunInProgress as error:
            outcomes.append(f"refused: {error.details[0].message}")
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    (winner,) = [outcome for outcome in outcomes if not outcome.startswith("refused")]
    assert sorted(outcomes) == sorted([winner, *[f"refused: {winner}"] * 5])
    with ada.at_work():
        assert len(runs_for_subject(task.id)) == 1
