"""Going back to an event of a task; its timeline as a waterfall and as a file; resting and asking runs."""

import json
import re
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from accounts_app.models import Role
from accounts_app.tenancy.context import operator_context
from billing_app.services.wallets import wallet_adjust, wallet_topup
from tasks_app.exceptions import NothingToReplay, RunInProgress, TaskClosed
from tasks_app.models import Task, TaskEvent
from tasks_app.services.replays import Replay, event_point, task_replay
from tests.factories.accounts import Person, person, team
from tests.factories.runs import advanced, refused, workflow, written
from tests.factories.tasks import funded, make_task, start
from tests.factories.workflows import handlers
from workflows_app.contracts import RunDetail, StepContext, StepResult
from workflows_app.models import WorkflowConfig
from workflows_app.selectors import run_get
from workflows_app.services.controls import run_cancel

pytestmark = pytest.mark.usefixtures("committed_db")

STEPS = ("write", "check")
APPROVAL = {"action": "approve", "params": {"message": "Send it?"}}


def text(ctx: StepContext) -> StepResult:
    """A step that writes the task's text, in the tone that it is given."""
    tone = ctx.context.get("params", {}).get("tone", "plain")
    return StepResult(output={"model": "m-1", "tokens": 5}, set={"text": f"A {tone} text."})


@pytest.fixture(autouse=True)
def steps() -> Iterator[None]:
    with handlers(write=text, check=written, fails=refused):
        yield


@pytest.fixture
def ada() -> Person:
    return funded()


def begun(ada: Person, *names: Any) -> tuple[Task, UUID]:
    """Return a task whose workflow is these steps, and its run that no worker has taken up."""
    config = workflow(ada, *(names or STEPS))
    with ada.at_work():
        WorkflowConfig.objects.filter(pk=config.pk).update(is_default=True)
        task = make_task("what is tea?")
        # None of these steps is one that writes without a text.
        Task.objects.filter(pk=task.pk).update(metadata={**task.metadata, "text": "What was given."})
        run_id = start(task).run_id
    assert run_id is not None
    return task, run_id


def done(ada: Person, *names: Any) -> tuple[Task, RunDetail]:
    """Return a task whose first run has ended, and that run."""
    task, run_id = begun(ada, *names)
    return task, advanced(ada, run_id)


def fresh(ada: Person, task: Task) -> Task:
    with ada.at_work():
        return Task.objects.get(pk=task.pk)


def event(ada: Person, task: Task, key: str) -> TaskEvent:
    with ada.at_work():
        return TaskEvent.objects.filter(task=task, event_key=key).latest("seq")


def replayed(ada: Person, task: Task, key: str, **fields: Any) -> UUID:
    """Replay the task from its last event of that key; return the new run."""
    with ada.at_work():
        run_id, seq = event_point(TaskEvent.objects.filter(task=task, event_key=key).latest("seq"))
        started = task_replay(task_id=task.id, replay=Replay(run_id, seq, **fields))
    assert started.run_id is not None
    return started.run_id


def test_a_replay_from_a_step_does_that_step_again_and_the_task_goes_on_from_it(ada: Person) -> None:
    task, origin = done(ada)
    run_id = replayed(ada, task, "check")
    busy = fresh(ada, task)
    assert (busy.active_run_id, busy.active_stage, busy.active_action) == (run_id, "A", "generate")
    assert busy.active_stream_id == busy.last_stream_id is not None
    run = advanced(ada, run_id)
    assert (run.status, run.origin_id) == ("completed", origin.id)
    after = fresh(ada, task)
    assert (after.active_run_id, after.text) == (None, "A plain text.")
    with ada.at_work():
        keys = list(
            TaskEvent.objects.filter(task=task, run_id=run_id).order_by("seq").values_list("event_key", flat=True)
        )
    assert keys == ["replay", "check", "complete:A"], "what is shared is not told again"


def test_a_replay_from_the_start_of_a_run_may_have_other_parameters(ada: Person) -> None:
    task, _origin = done(ada)
    run_id = replayed(ada, task, "advance:A", params={"tone": "bold"})
    assert advanced(ada, run_id).context["params"] == {"tone": "bold"}
    assert fresh(ada, task).text == "A bold text."


def test_a_replay_of_a_replay_goes_back_to_the_same_point(ada: Person) -> None:
    task, _origin = done(ada)
    first = replayed(ada, task, "check")
    advanced(ada, first)
    second = replayed(ada, task, "replay")
    run = advanced(ada, second)
    assert (run.status, run.origin_id) == ("completed", first)


def test_a_failed_run_is_replayed_before_the_step_that_failed(ada: Person) -> None:
    task, origin = done(ada, "write", "fails")
    assert origin.status == "failed"
    point = event_point_of(ada, task, "failed")
    with ada.at_work():
        run_id = task_replay(task_id=task.id, replay=Replay(*point)).run_id
    assert run_id is not None
    run = advanced(ada, run_id)
    assert (run.status, run.cursor) == ("failed", 1)
    assert "failed_run" in fresh(ada, task).metadata


def event_point_of(ada: Person, task: Task, key: str) -> tuple[UUID, int]:
    found = event(ada, task, key)
    with ada.at_work():
        return event_point(found)


def test_the_event_says_where_the_replay_came_from(ada: Person) -> None:
    task, origin = done(ada)
    replayed(ada, task, "check")
    told = event(ada, task, "replay")
    assert told.input["origin_run_id"] == str(origin.id)
    assert told.input["origin_seq"] > 1
    assert told.output["run_id"] == str(told.run_id)


def test_an_event_without_a_run_cannot_be_replayed(ada: Person) -> None:
    task, _origin = done(ada)
    with pytest.raises(NothingToReplay):
        event_point_of(ada, task, "create")


def test_a_busy_task_refuses_and_names_its_run(ada: Person) -> None:
    task, _origin = done(ada)
    busy_with = replayed(ada, task, "check")
    with pytest.raises(RunInProgress) as refused_:
        replayed(ada, task, "check")
    assert refused_.value.details[0].message == str(busy_with)


def test_a_closed_task_refuses(ada: Person) -> None:
    task, _origin = done(ada)
    with ada.at_work():
        Task.objects.filter(pk=task.pk).update(status="completed")
    with pytest.raises(TaskClosed):
        replayed(ada, task, "check")


def test_a_run_of_another_task_is_not_found(ada: Person) -> None:
    _task, origin = done(ada)
    with ada.at_work():
        other = make_task("what is coffee?")
    answer = replay_request(ada.api(), other.id, {"runId": str(origin.id), "seq": 2})
    assert answer.status_code == 404


def replay_request(client: Client, task_id: UUID, body: Any, **headers: str) -> Any:
    return client.post(
        f"/api/tasks/{task_id}/replay", json.dumps(body), content_type="application/json", headers=headers
    )


def test_the_api_replays_from_an_event_once_for_each_key(ada: Person) -> None:
    task, _origin = done(ada)
    api, seq = ada.api(), event(ada, task, "check").seq
    first, second = (
        replay_request(api, task.id, {"eventSeq": seq}, **{"Idempotency-Key": "k"}) for _attempt in range(2)
    )
    assert first.status_code == 202
    assert first.json() == second.json()
    assert first.json()["runId"] == str(fresh(ada, task).active_run_id)
    busy = replay_request(api, task.id, {"eventSeq": seq})
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "run_in_progress")
    other = replay_request(api, task.id, {"eventSeq": seq, "params": {"a": 1}}, **{"Idempotency-Key": "k"})
    assert other.json()["error"]["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    "body",
    [{}, {"eventSeq": 0}, {"eventSeq": 99}, {"runId": "x", "seq": 1}, {"seq": 1}, {"eventSeq": 1, "runId": "x"}],
)
def test_the_api_names_what_is_wrong_with_a_replay(ada: Person, body: Any) -> None:
    task, _origin = done(ada)
    answer = replay_request(ada.api(), task.id, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] in {"eventSeq", "runId", "seq"}


def test_a_replay_needs_money_when_a_model_is_asked(ada: Person) -> None:
    poor = person()
    with poor.at_work():
        task = make_task("what is tea?")
        run_id = start_free(poor, task)
    answer = replay_request(poor.api(), task.id, {"runId": str(run_id), "seq": 1})
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "insufficient_funds")


def start_free(someone: Person, task: Task) -> UUID:
    """Start a run that asks a model, then take the money away: the run is ended, the wallet empty."""
    with operator_context("test"):
        wallet_topup(organization_id=someone.organization_id, amount=Decimal(1), key=uuid.uuid4().hex)
    run_id = start(task).run_id
    assert run_id is not None
    run_cancel(run_id=run_id)
    with operator_context("test"):
        wallet_adjust(organization_id=someone.organization_id, amount=Decimal(-1), reason="test", key=uuid.uuid4().hex)
    return run_id


def html(response: Any) -> str:
    assert response.status_code == 200, response.content[:500]
    page: str = response.content.decode()
    assert not re.search(r"<[^>]+\sstyle=|<[^>]+\son[a-z]+=|<style|<script>", page)
    return page


def test_the_task_shows_its_runs_and_offers_replays_of_events_that_have_one(ada: Person) -> None:
    task, origin = done(ada)
    browser = ada.client()
    page = html(browser.get(f"/tasks/{task.id}/"))
    assert f'hx-get="/fragments/runs/of/{task.id}/"' in page
    assert f"/tasks/{task.id}/events/2/replay/" in page
    assert f"/tasks/{task.id}/events/1/replay/" not in page, "the creation has no run"
    assert f"/runs/{origin.id}/" in page
    part = html(browser.get(f"/fragments/runs/of/{task.id}/"))
    assert part.count("wf-bar--work-completed") == 2


def test_a_replay_is_asked_on_the_runs_page_and_leads_back_to_the_task(ada: Person) -> None:
    task, origin = done(ada)
    browser = ada.client()
    seq = event(ada, task, "check").seq
    asked = browser.get(f"/tasks/{task.id}/events/{seq}/replay/")
    assert asked["Location"].startswith(f"/runs/{origin.id}/replay/?seq=")
    form = html(browser.get(asked["Location"]))
    fields = dict(re.findall(r'type="hidden" name="(seq|key)" value="([^"]+)"', form))
    answer = browser.post(f"/runs/{origin.id}/replay/", fields | {"params": "", "version": ""})
    assert answer["Location"] == f"/tasks/{task.id}/"
    assert fresh(ada, task).active_run_id is not None
    again = browser.post(f"/runs/{origin.id}/replay/", {"seq": "2", "key": "another", "params": "", "version": ""})
    assert again.status_code == 409
    assert "This task is running already." in again.content.decode()


def test_a_failed_run_of_a_task_is_taken_up_again_by_its_own_page_too(ada: Person) -> None:
    task, origin = done(ada, "write", "fails")
    answer = ada.client().post(f"/runs/{origin.id}/retry/")
    assert answer.status_code == 302
    assert fresh(ada, task).active_run_id == origin.id


def test_a_failed_run_that_the_task_has_left_behind_is_not_taken_up_again(ada: Person) -> None:
    task, origin = done(ada, "write", "fails")
    advanced(ada, replayed(ada, task, "failed"))
    page = html(ada.client().post(f"/runs/{origin.id}/retry/", headers={"HX-Request": "true"}))
    assert "The task has gone on since this run failed." in page
    assert fresh(ada, task).active_run_id is None


def test_a_task_says_that_its_run_waits_for_an_approval_and_takes_the_answer(ada: Person) -> None:
    task, run = done(ada, APPROVAL, "write")
    assert run.status == "waiting"
    browser = ada.client()
    page = html(browser.get(f"/tasks/{task.id}/"))
    assert "Send it?" in page
    assert "The run waits for an approval." in page
    answer = browser.post(f"/tasks/{task.id}/answer/", {"answer": "approve", "note": "Go."})
    assert answer.status_code == 302
    assert advanced(ada, run.id).status == "completed"
    assert fresh(ada, task).text == "A plain text."


def test_a_task_pauses_and_resumes(ada: Person) -> None:
    task, run_id = begun(ada)
    browser = ada.client()
    assert f"/tasks/{task.id}/pause/" in html(browser.get(f"/tasks/{task.id}/"))
    paused = html(browser.post(f"/tasks/{task.id}/pause/", headers={"HX-Request": "true"}))
    assert "The run is paused." in paused
    assert f"/tasks/{task.id}/resume/" in paused
    assert "The run is paused." not in html(browser.post(f"/tasks/{task.id}/resume/", headers={"HX-Request": "true"}))
    with ada.at_work():
        assert run_get(run_id).status == "pending"


@pytest.mark.parametrize("button", ["pause", "resume", "answer"])
def test_nothing_is_paused_or_answered_where_nothing_runs_or_by_those_who_may_only_look(
    ada: Person, button: str
) -> None:
    task, _origin = done(ada)
    page = html(ada.client().post(f"/tasks/{task.id}/{button}/", headers={"HX-Request": "true"}))
    assert "Nothing is running in this task." in page
    assert person().client().post(f"/tasks/{task.id}/{button}/").status_code == 404
    owner, viewer = team(Role.VIEWER)
    with owner.at_work():
        theirs = make_task("what is tea?")
    assert viewer.client().post(f"/tasks/{theirs.id}/{button}/").status_code == 403


def test_those_who_may_only_look_are_offered_no_replay() -> None:
    owner, viewer = team(Role.VIEWER)
    task, _origin = done(owner)
    page = html(viewer.client().get(f"/tasks/{task.id}/"))
    assert "/replay/" not in page
    assert "/pause/" not in page
    assert viewer.client().get(f"/tasks/{task.id}/events/2/replay/").status_code == 403


def test_the_timeline_is_exported_with_its_runs(ada: Person) -> None:
    task, origin = done(ada)
    browser = ada.client()
    data = browser.get(f"/tasks/{task.id}/timeline.json").json()
    assert [item["event_key"] for item in data["events"]] == ["create", "advance:A", "write", "check", "complete:A"]
    assert [run["run"]["id"] for run in data["runs"]] == [str(origin.id)]
    report = browser.get(f"/tasks/{task.id}/timeline.md")
    assert report["Content-Disposition"] == f'attachment; filename="task-{task.id}.md"'
    assert f"`{origin.id}`" in report.content.decode()
    assert browser.get(f"/tasks/{task.id}/timeline.exe").status_code == 404
    assert person().client().get(f"/tasks/{task.id}/timeline.json").status_code == 404
