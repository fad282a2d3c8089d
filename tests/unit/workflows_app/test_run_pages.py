"""The pages of runs as they are rendered, and what their buttons do."""

import json
import re
import uuid
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from accounts_app.models import Role
from tests.factories.accounts import Person, person, team
from tests.factories.runs import advanced, refused, run_of, tenant_of, workflow, written
from tests.factories.workflows import acting, handlers
from workflows_app.models import RunLog, WorkflowRun
from workflows_app.selectors import run_events, run_get
from workflows_app.services.runs import execution_start

pytestmark = pytest.mark.usefixtures("committed_db")

APPROVAL = {"action": "approve", "params": {"message": "Send it to all readers?"}}


@pytest.fixture(autouse=True)
def steps() -> Iterator[None]:
    with handlers(write=written, check=written, fails=refused):
        yield


@pytest.fixture
def ada() -> Person:
    return person()


def html(response: Any, status: int = 200) -> str:
    assert response.status_code == status, response.content[:500]
    text: str = response.content.decode()
    assert not re.search(r"<[^>]+\sstyle=|<[^>]+\son[a-z]+=|<style|<script>", text)
    return text


def shown(somebody: Person, run_id: UUID, path: str = "", **headers: str) -> str:
    return html(somebody.client().get(f"/runs/{run_id}/{path}", headers=headers))


def press(somebody: Person, run_id: UUID, button: str, **fields: str) -> Any:
    return somebody.client().post(f"/runs/{run_id}/{button}/", fields, headers={"HX-Request": "true"})


def status_of(somebody: Person, run_id: UUID) -> str:
    with acting(tenant_of(somebody)):
        return run_get(run_id).status


def test_the_list_is_empty_at_first_and_says_what_runs_are(ada: Person) -> None:
    assert "No runs yet" in html(ada.client().get("/runs/"))


def test_the_list_shows_runs_with_what_they_cost_and_filters_by_address(ada: Person) -> None:
    done = run_of(ada, "write")
    advanced(ada, done)
    waiting = run_of(ada, "write")
    browser = ada.client()
    page = html(browser.get("/runs/"))
    assert page.count("/runs/" + str(done)) == page.count("/runs/" + str(waiting)) == 1
    assert "$0.02" in page
    assert str(waiting) not in html(browser.get("/runs/?status=completed"))
    found = html(browser.get(f"/runs/?q={str(waiting)[:23]}"))
    assert (str(waiting) in found, str(done) in found) == (True, False)
    assert "No run matches" in html(browser.get("/runs/?q=nothing-like-it"))
    assert html(browser.get("/runs/?status=upside-down&template=none&task=x"))


def test_the_list_goes_on_page_by_page(ada: Person) -> None:
    config = workflow(ada, "write")
    with acting(tenant_of(ada)):
        for _ in range(21):
            execution_start(template=str(config.id), context={}, key=uuid.uuid4().hex)
    browser = ada.client()
    first = html(browser.get("/runs/"))
    following = re.search(r'rel="next" href="([^"]+)"', first)
    assert following
    second = html(browser.get("/runs/" + following[1].replace("&amp;", "&")))
    link = re.compile(r'href="/runs/([0-9a-f-]{36})/"')
    assert len(set(link.findall(first)) | set(link.findall(second))) == 21
    assert browser.get("/runs/?cursor=made-up").status_code == 404


def test_a_run_shows_its_steps_as_bars_with_what_they_used(ada: Person) -> None:
    run_id = run_of(ada, "write", "check")
    advanced(ada, run_id)
    page = shown(ada, run_id)
    assert page.count("wf-bar--work-completed") == 2
    assert "m-1" in page
    assert "24" in page.split("Tokens")[1][:40]
    assert "75% passed" in page
    assert 'hx-trigger="every' not in page, "a finished run is not asked for news"


def test_a_failed_run_says_why_links_its_trace_and_can_be_taken_up_again(ada: Person) -> None:
    run_id = run_of(ada, "fails")
    advanced(ada, run_id)
    page = shown(ada, run_id)
    assert "There is nothing to work on." in page
    assert "step_failed" in page
    assert "wf-bar--work-failed" in page
    again = html(press(ada, run_id, "retry"))
    assert "run-state__status" in again
    with acting(tenant_of(ada)):
        run = run_get(run_id)
    assert run.status == "pending"
    assert run.stream_id


def test_an_unfinished_run_asks_for_news_and_gets_none_when_nothing_is_new(ada: Person) -> None:
    run_id = run_of(ada, APPROVAL)
    advanced(ada, run_id)
    page = shown(ada, run_id)
    news = re.search(r'hx-get="(/runs/[^"]+/panel/[^"]+)" hx-trigger="every 5s"', page)
    assert news
    address = news[1].replace("&amp;", "&")
    assert ada.client().get(address).status_code == 204
    assert press(ada, run_id, "pause").status_code == 200
    assert "The run is paused." in html(ada.client().get(address))


def test_a_run_that_works_is_shown_anew_although_it_has_no_new_event(ada: Person) -> None:
    run_id = run_of(ada, "write")
    seen = len(_events(ada, run_id))
    assert 'hx-trigger="every 2s"' in shown(ada, run_id, f"panel/?view=task&seen={seen}")


@pytest.mark.parametrize(("answer", "ends_as"), [("approve", "completed"), ("reject", "failed")])
def test_an_approval_is_answered_with_a_note(ada: Person, answer: str, ends_as: str) -> None:
    run_id = run_of(ada, APPROVAL, "write")
    advanced(ada, run_id)
    page = shown(ada, run_id)
    assert "The run waits for an approval." in page
    assert "Send it to all readers?" in page
    assert ">–<" not in page.split("wf__table")[0], "it began, although no step has worked yet"
    html(press(ada, run_id, "approve", answer=answer, note="As agreed.\0"))
    assert advanced(ada, run_id).status == ends_as
    assert "As agreed." in json.dumps([event.data for event in _events(ada, run_id)])


def test_the_signal_that_a_run_waits_for_is_sent_from_its_page(ada: Person) -> None:
    run_id = run_of(ada, {"action": "wait", "params": {"signal": "payment"}}, "write")
    advanced(ada, run_id)
    page = shown(ada, run_id)
    assert "The run waits for the signal “payment”." in page
    assert f"/runs/{run_id}/signal/" in page
    for wrong in ("[1]", "{", '{"a": "\\u0000"}', "1" * 20_001):
        assert "This is not a JSON object." in html(press(ada, run_id, "signal", data=wrong))
    html(press(ada, run_id, "signal", data='{"amount": 3}'))
    assert advanced(ada, run_id).status == "completed"
    (sent,) = [event.data for event in _events(ada, run_id) if event.type == "signal.received"]
    assert (sent["name"], sent["data"]) == ("payment", {"amount": 3})
    assert "The run does not wait for a signal any more." in html(press(ada, run_id, "signal"))


def test_pause_resume_and_cancel_change_the_run_and_the_buttons(ada: Person) -> None:
    run_id = run_of(ada, "write")
    assert f"/runs/{run_id}/pause/" in shown(ada, run_id)
    paused = html(press(ada, run_id, "pause"))
    assert f"/runs/{run_id}/resume/" in paused
    assert f"/runs/{run_id}/pause/" not in paused
    html(press(ada, run_id, "resume"))
    assert status_of(ada, run_id) == "pending"
    ended = html(press(ada, run_id, "cancel"))
    assert status_of(ada, run_id) == "cancelled"
    assert f"/runs/{run_id}/cancel/" not in ended


def test_a_button_that_cannot_be_pressed_any_more_says_so(ada: Person) -> None:
    run_id = run_of(ada, "write")
    advanced(ada, run_id)
    assert "The run has ended." in html(press(ada, run_id, "pause"))
    answer = ada.client().post(f"/runs/{run_id}/resume/")
    assert answer.status_code == 302
    assert "The run is not paused." in shown_after(ada, run_id)


def shown_after(somebody: Person, run_id: UUID) -> str:
    """Return the page that follows a button pressed without a script."""
    browser = somebody.client()
    return html(browser.post(f"/runs/{run_id}/resume/", follow=True))


def test_an_event_shows_what_went_in_and_what_came_out(ada: Person) -> None:
    run_id = run_of(ada, {"action": "write", "params": {"tone": "calm"}}, context={"brief": "About tea."})
    advanced(ada, run_id)
    seq = next(event.seq for event in _events(ada, run_id) if event.type == "step.started")
    page = shown(ada, run_id, f"events/{seq}/")
    for text in ("calm", "m-1", "About tea.", f"/runs/{run_id}/replay/?seq={seq - 1}"):
        assert text in page
    part = shown(ada, run_id, f"events/{seq}/", **{"HX-Request": "true"})
    assert "<html" not in part
    assert ada.client().get(f"/runs/{run_id}/events/999/").status_code == 404


def test_the_events_are_listed_in_pages(ada: Person) -> None:
    run_id = run_of(ada, "write")
    advanced(ada, run_id)
    page = shown(ada, run_id, "events/")
    assert page.index("run.created") < page.index("step.completed")
    assert "run.created" not in shown(ada, run_id, "events/?after=1")
    assert shown(ada, run_id, "events/?after=many")


def test_a_replay_asks_first_and_starts_one_run_however_often_it_is_sent(ada: Person) -> None:
    run_id = run_of(ada, "write", "check")
    advanced(ada, run_id)
    browser = ada.client()
    form = html(browser.get(f"/runs/{run_id}/replay/?seq=4"))
    key = re.search(r'name="key" value="([0-9a-f]+)"', form)
    assert key
    fields = {"seq": "4", "key": key[1], "version": "", "params": '{"tone": "bold"}'}
    first, second = (browser.post(f"/runs/{run_id}/replay/", fields) for _ in range(2))
    assert first["Location"] == second["Location"]
    new_id = UUID(first["Location"].split("/")[2])
    run = advanced(ada, new_id)
    assert (run.status, run.origin_id, run.context["params"]) == ("completed", run_id, {"tone": "bold"})
    page = shown(ada, new_id)
    assert "Replay, from event 4 on" in page
    assert "shared with the origin" in page
    assert page.count("wf-bar--work-completed") == 1
    assert str(new_id) in shown(ada, run_id), "the origin lists its replays"


@pytest.mark.parametrize("params", ["[1]", "{", '{"a": "\\u0000"}', "[" * 5000])
def test_a_replay_with_parameters_that_are_no_object_is_asked_for_again(ada: Person, params: str) -> None:
    run_id = run_of(ada, "write")
    advanced(ada, run_id)
    fields = {"seq": "2", "key": "k", "version": "", "params": params}
    assert "This is not a JSON object." in html(ada.client().post(f"/runs/{run_id}/replay/", fields), 400)


def test_a_replay_can_take_another_version_of_the_same_workflow(ada: Person) -> None:
    run_id = run_of(ada, "write")
    advanced(ada, run_id)
    with acting(tenant_of(ada)):
        name = WorkflowRun.objects.get(pk=run_id).config.name
    other = workflow(ada, "write", "check", name=name, version="2.0.0")
    stranger = workflow(ada, "write")
    form = shown(ada, run_id, "replay/?seq=2")
    assert (str(other.id) in form, str(stranger.id) in form) == (True, False)
    fields = {"seq": "2", "key": uuid.uuid4().hex, "version": str(other.id), "params": ""}
    answer = ada.client().post(f"/runs/{run_id}/replay/", fields)
    run = advanced(ada, UUID(answer["Location"].split("/")[2]))
    assert (run.config_id, run.status, len(run.steps)) == (other.id, "completed", 2)


def test_a_replay_from_where_nothing_is_left_to_do_is_refused(ada: Person) -> None:
    run_id = run_of(ada, "write")
    advanced(ada, run_id)
    last = len(_events(ada, run_id))
    page = html(ada.client().post(f"/runs/{run_id}/replay/", {"seq": str(last), "key": "k"}), 409)
    assert "Nothing is left to be done" in page
    assert ada.client().get(f"/runs/{run_id}/replay/?seq=99").status_code == 404


def test_branches_are_rows_below_their_stage_and_have_pages_of_their_own(ada: Person) -> None:
    stages = {
        "A": {"name": "Each", "steps": [{"action": "write"}], "parallel": {"over": "context.topics", "as": "topic"}}
    }
    config = workflow(ada, stages=stages)
    with acting(tenant_of(ada)):
        run_id = execution_start(template=str(config.id), context={"topics": ["a", "b"]}, key=uuid.uuid4().hex).id
    advanced(ada, run_id)
    with acting(tenant_of(ada)):
        children = list(WorkflowRun.objects.filter(parent_id=run_id).values_list("pk", flat=True))
    assert len(children) == 2
    for child in children:
        advanced(ada, child)
    assert advanced(ada, run_id).status == "completed"
    page = shown(ada, run_id)
    for child in children:
        assert f"/runs/{child}/" in page
    assert page.count("wf__row--child-step") == 2
    assert f"/runs/{run_id}/" in shown(ada, children[0])
    assert str(children[0]) not in html(ada.client().get("/runs/"))


def test_exports_hold_the_whole_run(ada: Person) -> None:
    run_id = run_of(ada, "write", "fails")
    advanced(ada, run_id)
    browser = ada.client()
    answer = browser.get(f"/runs/{run_id}/timeline.json")
    assert answer["Content-Disposition"] == f'attachment; filename="run-{run_id}.json"'
    data = answer.json()
    assert data["run"]["status"] == "failed"
    assert [event["type"] for event in data["events"]][:2] == ["run.created", "run.started"]
    assert data["timeline"]["stages"][0]["steps"][0]["parts"][0]["cost_usd"] == "0.02"
    text = browser.get(f"/runs/{run_id}/timeline.md").content.decode()
    for expected in ("· Failed", "write", "m-1", "There is nothing to work on."):
        assert expected in text
    assert browser.get(f"/runs/{run_id}/timeline.pdf").status_code == 404


@pytest.mark.parametrize("path", ["", "panel/", "events/", "events/1/", "replay/?seq=1", "timeline.json"])
def test_another_organizations_run_is_not_found(ada: Person, path: str) -> None:
    run_id = run_of(ada, "write")
    assert person().client().get(f"/runs/{run_id}/{path}").status_code == 404


@pytest.mark.parametrize("button", ["pause", "resume", "cancel", "retry", "approve", "signal", "replay"])
def test_buttons_of_another_organizations_run_are_not_found_and_viewers_have_none(ada: Person, button: str) -> None:
    run_id = run_of(ada, "write")
    assert press(person(), run_id, button).status_code in (400, 404)
    assert status_of(ada, run_id) == "pending"
    owner, viewer = team(Role.VIEWER)
    theirs = run_of(owner, APPROVAL)
    advanced(owner, theirs)
    assert press(viewer, theirs, button).status_code == 403
    assert f"/{button}/" not in shown(viewer, theirs)


def test_the_runs_of_one_thing_are_a_part_for_its_page(ada: Person) -> None:
    subject = uuid.uuid4()
    first = run_of(ada, "write", subject_id=subject)
    advanced(ada, first)
    second = run_of(ada, "write", subject_id=subject)
    browser: Client = ada.client()
    part = html(browser.get(f"/fragments/runs/of/{subject}/"))
    assert "<html" not in part
    assert f'id="run-{second}"' in part
    assert f'hx-get="/runs/{first}/panel/?view=task"' in part
    assert "No run yet." in html(browser.get(f"/fragments/runs/of/{uuid.uuid4()}/"))


def _events(somebody: Person, run_id: UUID) -> Any:
    with acting(tenant_of(somebody)):
        return run_events(run_id)


def logged(somebody: Person, run_id: UUID, *lines: tuple[str, str]) -> None:
    with acting(tenant_of(somebody)):
        RunLog.objects.bulk_create(
            RunLog(
                organization_id=somebody.organization_id,
                run_id=run_id,
                seq=seq,
                path="A/write",
                step_key="write",
                attempt=1,
                level=level,
                logger="deepspace.test",
                message=message,
                data={"number": seq},
                at=timezone.now(),
            )
            for seq, (level, message) in enumerate(lines, 1)
        )


def test_log_lines_are_found_by_level_step_and_text(ada: Person) -> None:
    run_id = run_of(ada, "write")
    logged(ada, run_id, ("info", "asked the model"), ("error", "it <b>broke</b>"))
    page = shown(ada, run_id, "logs/")
    assert page.index("asked the model") < page.index("it &lt;b&gt;broke&lt;/b&gt;")
    assert "asked the model" not in shown(ada, run_id, "logs/?level=error")
    assert "asked the model" not in shown(ada, run_id, "logs/?q=broke")
    assert "log__line" not in shown(ada, run_id, "logs/?step=another")
    assert shown(ada, run_id, "logs/?level=loud&after=x")


def test_new_log_lines_come_by_themselves_while_the_run_goes_on(ada: Person) -> None:
    run_id = run_of(ada, "write")
    logged(ada, run_id, ("info", "asked the model"))
    page = shown(ada, run_id, "logs/")
    news = re.search(r'hx-get="(/runs/[^"]+/logs/\?after=1)" hx-trigger="every 2s"', page)
    assert news
    part = {"HX-Request": "true"}
    assert ada.client().get(news[1], headers=part).status_code == 204
    advanced(ada, run_id)
    assert "hx-trigger" not in html(ada.client().get(news[1], headers=part))


def test_a_run_that_logged_nothing_says_so(ada: Person) -> None:
    run_id = run_of(ada, "write")
    press(ada, run_id, "cancel")
    assert "No log lines" in shown(ada, run_id, "logs/")
    assert person().client().get(f"/runs/{run_id}/logs/").status_code == 404
