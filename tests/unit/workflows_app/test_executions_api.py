"""Executions over REST: start, look at, control."""

import json
import logging
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from django.db import connections
from django.test import Client
from pytest_django import Settings

from accounts_app.tenancy.context import operator_atomic, operator_context
from gateway_app.models import LiveStream
from tests.factories.accounts import Person, person, team
from tests.factories.executions import URL, call, start, template
from tests.factories.tasks import make_task
from tests.factories.workflows import acting, handlers
from tests.support.accounts import Account, account_create
from workflows_app.contracts import StepContext, StepResult
from workflows_app.models import RunEvent, WorkflowRun
from workflows_app.services.execution import run_advance

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def account() -> Account:
    return account_create(balance=0)


@pytest.fixture(autouse=True)
def steps() -> Iterator[None]:
    """Steps that do something, and one that cannot."""

    def say(context: StepContext) -> StepResult:
        return StepResult(output={"model": "m", "tokens": 7, "cost_usd": "0.5"}, set={"said": context.step_key})

    def fail(context: StepContext) -> StepResult:
        raise RuntimeError("no")

    with handlers(say=say, fail=fail):
        yield


def began(account: Account, *steps: Any, **fields: Any) -> str:
    answer = start(account, template(account, *steps), **fields)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def advance(run_id: str) -> None:
    """Do a worker's work."""
    with operator_context("test"):
        run_advance(run_id=UUID(run_id))


def finished(account: Account, *steps: Any, **fields: Any) -> str:
    run_id = began(account, *steps, **fields)
    advance(run_id)
    return run_id


def one(account: Account, run_id: str) -> Any:
    answer = call(account, "GET", f"{URL}/{run_id}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def error(answer: Any) -> tuple[int, str, list[str]]:
    body = answer.json()["error"]
    return answer.status_code, body["code"], [detail["field"] for detail in body["details"]]


WAIT: dict[str, Any] = {"action": "wait", "params": {"signal": "go"}}
ASK: dict[str, Any] = {"action": "approve", "params": {"message": "May it?"}}


def test_a_start_answers_with_the_run_and_where_it_is(account: Account) -> None:
    answer = start(account, template(account), input={"brief": "tea"}, priority=5)
    body = answer.json()
    assert (answer.status_code, body["status"], body["stage"], body["stream_id"]) == (201, "pending", "A", None)
    assert answer["Location"] == body["links"]["self"] == f"{URL}/{body['id']}"
    found = one(account, body["id"])
    assert (found["priority"], found["scope"], found["context"]) == (5, "workflow", {"brief": "tea"})
    assert [step["state"] for step in found["steps"]] == ["current"]


@pytest.mark.parametrize("reference", ["{name}", "{name}@{version}", "{pk}"])
def test_a_template_is_named_in_three_ways(account: Account, reference: str) -> None:
    config = template(account)
    named = reference.format(name=config.name, version=config.version, pk=config.pk)
    answer = call(account, "POST", URL, {"template": named})
    assert answer.status_code == 201
    assert one(account, answer.json()["id"])["template"] == {
        "id": str(config.pk),
        "name": config.name,
        "version": config.version,
    }


def test_the_same_key_and_body_again_are_the_same_run(account: Account) -> None:
    config = template(account)
    first = start(account, config, key="order-1", input={"a": 1}, stream=True)
    again = start(account, config, key="order-1", input={"a": 1}, stream=True)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again["Idempotent-Replayed"] == "true"
    assert first.json() == again.json()
    with acting(account.tenant):
        assert WorkflowRun.objects.filter(organization_id=account.organization_id).count() == 1
        assert LiveStream.objects.filter(organization_id=account.organization_id).count() == 1


@pytest.mark.parametrize("other", [{"input": {"a": 2}}, {"priority": 1}, {"template": "General"}])
def test_the_same_key_with_another_body_is_a_conflict(account: Account, other: dict[str, Any]) -> None:
    config = template(account)
    assert start(account, config, key="order-1", input={"a": 1}).status_code == 201
    answer = start(account, config, key="order-1", **{"input": {"a": 1}, **other})
    assert error(answer)[:2] == (409, "conflict")


def test_a_replayed_start_outlives_its_templates_name(account: Account) -> None:
    config = template(account)
    first = start(account, config, key="order-1")
    newer = template(account, name=config.name, version="2.0.0")
    assert one(account, start(account, config).json()["id"])["template"]["id"] == str(newer.pk)
    assert start(account, config, key="order-1").json()["id"] == first.json()["id"]


def test_another_organization_has_the_key_for_itself(account: Account) -> None:
    other = account_create(balance=0)
    runs = {start(each, template(each), key="order-1").json()["id"] for each in (account, other)}
    assert len(runs) == 2


def test_of_many_starts_at_once_with_one_key_one_runs(account: Account) -> None:
    config = template(account)
    together = threading.Barrier(6)

    def send(_number: int) -> Any:
        together.wait()
        try:
            return start(account, config, key="once", input={"a": 1}, stream=True)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(send, range(6)))
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({answer.json()["stream_id"] for answer in answers}) == 1
    assert [answer.status_code for answer in answers].count(201) == 1
    with acting(account.tenant):
        assert WorkflowRun.objects.filter(organization_id=account.organization_id).count() == 1
        assert RunEvent.objects.filter(organization_id=account.organization_id).count() == 1
        assert LiveStream.objects.filter(organization_id=account.organization_id).count() == 1


def test_a_stream_is_opened_when_asked_for(account: Account) -> None:
    body = start(account, template(account), stream=True).json()
    assert body["links"]["stream"] == f"/api/streams/{body['stream_id']}/events"


def test_a_run_is_about_ones_own_task(account: Account) -> None:
    config = template(account)
    with acting(account.tenant):
        task = make_task()
    answer = start(account, config, task=str(task.pk))
    assert answer.status_code == 201, answer.content
    assert one(account, answer.json()["id"])["task"] == str(task.pk)
    assert error(start(account, config, task=str(task.pk)))[:2] == (409, "run_active")
    assert error(start(account, config, task=str(uuid.uuid4())))[:2] == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "template"),
        ({"template": 5}, "template"),
        ({"template": ""}, "template"),
        ({"template": "x" * 201}, "template"),
        ({"template": "a\0b"}, "template"),
        ({"template": "General", "input": []}, "input"),
        ({"template": "General", "input": None}, "input"),
        ({"template": "General", "input": "text"}, "input"),
        ({"template": "General", "input": {"a": "x" * 262_144}}, "input"),
        ({"template": "General", "input": {"a": "\0"}}, "input"),
        ({"template": "General", "input": {"\0": 1}}, "input"),
        ('{"template": "General", "input": {"a": "\\ud800"}}', "input"),
        ('{"template": "General", "input": {"a": 1e999}}', "input"),
        ('{"template": "General", "input": {"a": ' + "[" * 65 + "]" * 65 + "}}", "input"),
        ({"template": "General", "task": "mine"}, "task"),
        ({"template": "General", "priority": 101}, "priority"),
        ({"template": "General", "priority": "high"}, "priority"),
        ({"template": "General", "stream": "perhaps"}, "stream"),
        ([], "non_field_errors"),
    ],
)
def test_a_start_that_makes_no_sense_names_its_field(account: Account, body: Any, field: str) -> None:
    assert error(call(account, "POST", URL, body)) == (400, "invalid_input", [field])


@pytest.mark.parametrize(
    "body", ["", "{", "[" * 100_000, '{"template": NaN}', '{"input": ' + "[" * 100_000 + "]" * 100_000 + "}"]
)
def test_a_body_that_is_no_json_is_refused(account: Account, body: str) -> None:
    answer = call(account, "POST", URL, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("key", ["a" * 151, "two words", "schön"])
def test_a_key_that_is_none_is_refused(account: Account, key: str) -> None:
    answer = call(account, "POST", URL, {"template": "General"}, **{"Idempotency-Key": key})
    assert error(answer) == (400, "invalid_input", ["Idempotency-Key"])


def test_a_deep_but_decent_input_is_kept(account: Account) -> None:
    deep: Any = "end"
    for _level in range(62):
        deep = [deep]
    run_id = began(account, input={"deep": deep})
    assert one(account, run_id)["context"] == {"deep": deep}


@pytest.mark.parametrize("reference", ["nothing", "General@9.9.9", "ff66cbce-f3b7-4092-87af-47cbb1d04901"])
def test_an_unknown_template_is_not_found(account: Account, reference: str) -> None:
    assert error(call(account, "POST", URL, {"template": reference}))[:2] == (404, "not_found")


def test_another_organizations_template_is_not_found(account: Account) -> None:
    theirs = template(account_create(balance=0))
    assert error(start(account, theirs))[:2] == (404, "not_found")


def test_starts_are_refused_while_the_queue_is_full(account: Account, settings: Settings) -> None:
    config = template(account)
    settings.WORKFLOW_MAX_QUEUED = 2
    answers = [start(account, config, key=f"order-{number}") for number in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert error(answers[-1])[1] == "queue_full"
    assert int(answers[-1]["Retry-After"]) > 0
    # What was started before is answered; another organization starts what it likes.
    assert start(account, config, key="order-0").status_code == 200
    other = account_create(balance=0)
    assert start(other, template(other)).status_code == 201
    settings.WORKFLOW_MAX_QUEUED = 0
    assert start(account, config).status_code == 201


def test_a_finished_run_tells_its_result_its_cost_and_its_history(account: Account) -> None:
    run_id = finished(account, {"action": "say"}, {"action": "say"})
    found = one(account, run_id)
    assert (found["status"], found["cost_usd"], found["attempts"]) == ("completed", "1.0000000000", {"completed": 2})
    assert found["context"]["said"] == "say-2"
    assert found["duration_ms"] >= 0
    events = call(account, "GET", f"{URL}/{run_id}/history").json()["results"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["prev_event_id"] for event in events] == [None, *(event["id"] for event in events[:-1])]
    assert events[0]["type"], events[-1]["type"] == ("run.created", "run.completed")
    assert {"seq", "type", "step_key", "attempt", "prev_event_id", "at", "data"} <= events[0].keys()


def test_history_comes_in_pages(account: Account) -> None:
    run_id = finished(account)
    whole = call(account, "GET", f"{URL}/{run_id}/history").json()
    assert whole["next"] is None
    seen, address = [], f"{URL}/{run_id}/history?limit=2"
    while address:
        page = call(account, "GET", address).json()
        assert len(page["results"]) <= 2
        seen += page["results"]
        address = page["next"]
    assert seen == whole["results"]


def test_logs_tell_what_a_step_wrote(account: Account) -> None:
    def talk(context: StepContext) -> StepResult:
        logging.getLogger("workflows_app.made_up").info("said.something", extra={"number": 7})
        logging.getLogger("workflows_app.made_up").warning("said.more")
        return StepResult()

    with handlers(talk=talk):
        run_id = finished(account, {"action": "talk"})
    address = f"{URL}/{run_id}/logs"
    lines = call(account, "GET", address).json()["results"]
    assert [(line["message"], line["level"], line["step_key"]) for line in lines] == [
        ("said.something", "info", "talk"),
        ("said.more", "warning", "talk"),
    ]
    assert lines[0]["data"] == {"number": 7}
    page = call(account, "GET", f"{address}?limit=1").json()
    assert [line["message"] for line in call(account, "GET", page["next"]).json()["results"]] == ["said.more"]
    for query in ("level=warning", "q=MORE", "after=1", "step=talk&after=1"):
        assert [line["message"] for line in call(account, "GET", f"{address}?{query}").json()["results"]] == [
            "said.more"
        ]
    assert error(call(account, "GET", f"{address}?level=loud")) == (400, "invalid_input", ["level"])


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=1001", "after=99999999999"])
def test_history_refuses_nonsense(account: Account, query: str) -> None:
    answer = call(account, "GET", f"{URL}/{began(account)}/history?{query}")
    assert error(answer) == (400, "invalid_input", [query.partition("=")[0]])


def test_steps_tell_each_attempt(account: Account) -> None:
    run_id = finished(account, {"action": "say"}, {"action": "fail"})
    steps = call(account, "GET", f"{URL}/{run_id}/steps").json()["results"]
    assert (steps[0]["path"], steps[0]["status"], steps[0]["attempt"]) == ("A/say", "completed", 1)
    assert (steps[0]["model"], steps[0]["tokens"], steps[0]["cost_usd"]) == ("m", 7, "0.5000000000")
    assert {step["status"] for step in steps[1:]} == {"failed"}
    assert steps[-1]["error"]["code"]


@pytest.mark.odd_runs("a worker is said to be at the step")
def test_the_step_under_way_is_told(account: Account) -> None:
    run_id = began(account)
    with operator_atomic("test"):
        WorkflowRun.objects.filter(pk=run_id).update(
            status="running", attempt=2, is_ready=False, worker="w1", step_started_at="2026-01-01T00:00:00Z"
        )
    assert one(account, run_id)["step"] == {
        "key": "say",
        "attempt": 2,
        "started_at": "2026-01-01T00:00:00Z",
        "worker": "w1",
    }
    (step,) = call(account, "GET", f"{URL}/{run_id}/steps").json()["results"]
    assert (step["path"], step["status"], step["finished_at"]) == ("A/say", "running", None)


def test_a_wait_is_told_without_what_it_gathers(account: Account) -> None:
    run_id = finished(account, ASK)
    found = one(account, run_id)
    assert found["status"] == "waiting"
    assert found["wait"] == {
        "kind": "approval",
        "step": "approve",
        "signal": "approve",
        "message": "May it?",
        "due_at": None,
    }


def test_children_are_listed(account: Account) -> None:
    child = template(account)
    run_id = finished(account, {"action": "workflow/run", "with": child.name, "params": {}})
    children = call(account, "GET", f"{URL}/{run_id}/children").json()["results"]
    assert [(run["parent"], run["template"]["id"]) for run in children] == [(run_id, str(child.pk))]
    assert one(account, children[0]["id"])["links"]["parent"] == f"{URL}/{run_id}"


def test_pause_and_resume(account: Account) -> None:
    run_id = began(account)
    paused = call(account, "POST", f"{URL}/{run_id}/pause")
    assert (paused.status_code, paused.json()["status"]) == (200, "paused")
    assert call(account, "POST", f"{URL}/{run_id}/pause").status_code == 200
    assert call(account, "POST", f"{URL}/{run_id}/resume").json()["status"] == "pending"
    refused = call(account, "POST", f"{URL}/{run_id}/resume")
    assert error(refused)[:2] == (409, "run_state")


def test_cancel_ends_a_run_and_again_changes_nothing(account: Account) -> None:
    run_id = began(account)
    answers = [call(account, "POST", f"{URL}/{run_id}/cancel") for _time in range(2)]
    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "cancelled")] * 2


@pytest.mark.parametrize(
    ("control", "body"),
    [
        ("pause", None),
        ("resume", None),
        ("cancel", None),
        ("retry", {}),
        ("signal", {"name": "go"}),
        ("replay", {"seq": 99}),
    ],
)
def test_a_run_that_has_ended_refuses_with_a_reason(account: Account, control: str, body: Any) -> None:
    run_id = finished(account)
    before = one(account, run_id)
    answer = call(account, "POST", f"{URL}/{run_id}/{control}", body)
    assert answer.status_code == (400 if control == "replay" else 409)
    assert answer.json()["error"]["message"]
    assert one(account, run_id) == before


def test_a_failed_run_is_taken_up_again(account: Account) -> None:
    run_id = finished(account, {"action": "say"}, {"action": "fail", "attempts": 1})
    assert one(account, run_id)["status"] == "failed"
    answer = call(account, "POST", f"{URL}/{run_id}/retry", {"stream": True})
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert answer.json()["stream_id"]
    assert [step["state"] for step in answer.json()["steps"]] == ["done", "current"]


def test_a_signal_wakes_a_run(account: Account) -> None:
    run_id = finished(account, WAIT)
    assert one(account, run_id)["status"] == "waiting"
    assert call(account, "POST", f"{URL}/{run_id}/signal", {"name": "go", "data": {"x": 1}}).status_code == 200
    advance(run_id)
    found = one(account, run_id)
    assert (found["status"], found["context"]["signal"]) == ("completed", {"x": 1})


@pytest.mark.parametrize(("approved", "status"), [(True, "completed"), (False, "failed")])
def test_an_approval_is_a_signal(account: Account, approved: bool, status: str) -> None:
    run_id = finished(account, ASK)
    body = {"name": "approve", "data": {"approved": approved, "note": "so"}}
    assert call(account, "POST", f"{URL}/{run_id}/signal", body).status_code == 200
    advance(run_id)
    assert one(account, run_id)["status"] == status


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"name": "two words"}, "name"),
        ({"name": "go\n"}, "name"),
        ({"name": "go", "data": []}, "data"),
        ({"name": "go", "data": {"a": "x" * 65_536}}, "data"),
        ({"name": "approve"}, "data.approved"),
        ({"name": "approve", "data": {"approved": "yes"}}, "data.approved"),
    ],
)
def test_a_signal_that_makes_no_sense_names_its_field(account: Account, body: Any, field: str) -> None:
    run_id = finished(account, WAIT)
    assert error(call(account, "POST", f"{URL}/{run_id}/signal", body)) == (400, "invalid_input", [field])


def test_a_replay_shares_the_history_and_pays_nothing_twice(account: Account) -> None:
    run_id = finished(account, {"action": "say"}, {"action": "say"})
    events = call(account, "GET", f"{URL}/{run_id}/history").json()["results"]
    seq = next(event["seq"] for event in events if event["type"] == "step.completed")
    body = {"seq": seq, "params": {"tone": "warm"}}
    answers = [
        call(account, "POST", f"{URL}/{run_id}/replay", body, **{"Idempotency-Key": "again-1"}) for _time in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1
    replay = one(account, answers[0].json()["id"])
    assert (replay["origin"], replay["origin_seq"], replay["context"]["params"]) == (run_id, seq, {"tone": "warm"})
    assert [step["state"] for step in replay["steps"]] == ["done", "current"]
    other = call(account, "POST", f"{URL}/{run_id}/replay", {"seq": 1}, **{"Idempotency-Key": "again-1"})
    assert error(other)[:2] == (409, "conflict")
    found = call(account, "GET", f"{URL}?origin={run_id}").json()["results"]
    assert [run["id"] for run in found] == [replay["id"]]


def test_of_many_replays_at_once_with_one_key_one_runs(account: Account) -> None:
    run_id = finished(account)
    together = threading.Barrier(4)

    def send(_number: int) -> Any:
        together.wait()
        try:
            return call(account, "POST", f"{URL}/{run_id}/replay", {"seq": 1}, **{"Idempotency-Key": "once"})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert {answer.status_code for answer in answers} <= {200, 201}, [answer.content for answer in answers]
    assert len({answer.json()["id"] for answer in answers}) == 1


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 400, "seq"),
        ({"seq": 0}, 400, "seq"),
        ({"seq": "x"}, 400, "seq"),
        ({"seq": 99}, 400, "seq"),
        ({"seq": 1, "params": []}, 400, "params"),
        ({"seq": 1, "template": 5}, 400, "template"),
        ({"seq": 1, "template": "nothing"}, 404, ""),
    ],
)
def test_a_replay_that_makes_no_sense_is_refused(account: Account, body: Any, status: int, field: str) -> None:
    answer = call(account, "POST", f"{URL}/{finished(account)}/replay", body)
    assert (answer.status_code, error(answer)[2]) == (status, [field] if field else [])


@pytest.mark.parametrize("control", ["pause", "resume", "cancel", "retry", "replay", "signal"])
def test_viewers_look_and_do_not_touch(control: str) -> None:
    owner, viewer = team("viewer")
    run_id = _run_of(owner)
    api = viewer.client()
    assert api.get(f"{URL}/{run_id}").status_code == 200
    body = json.dumps({"name": "go", "seq": 1})
    assert api.post(f"{URL}/{run_id}/{control}", body, content_type="application/json").status_code == 403
    assert api.post(URL, json.dumps({"template": "General"}), content_type="application/json").status_code == 403


def test_strangers_and_nobody_learn_nothing() -> None:
    run_id = _run_of(person())
    stranger = person().api()
    for path in ("", "/history", "/steps", "/logs", "/children"):
        assert stranger.get(f"{URL}/{run_id}{path}").status_code == 404
        assert Client().get(f"{URL}/{run_id}{path}").status_code == 401
    assert stranger.get(f"{URL}/{uuid.uuid4()}").status_code == 404


def _run_of(owner: Person) -> str:
    account = Account(user=owner.user, tenant=_tenant(owner), secret=owner.key())
    return began(account)


def _tenant(owner: Person) -> Any:
    with owner.at_work() as tenant:
        return tenant


def test_people_can_browse_the_api(account: Account) -> None:
    began(account)
    page = Client(headers={**account.headers, "Accept": "text/html"}).get(URL)
    assert (page.status_code, page["Content-Type"].split(";")[0]) == (200, "text/html")
