"""The pages as they are rendered: hub, dashboard, task, fragments."""

import re
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from accounts_app.models import Role
from accounts_app.services.trace import bind_trace
from prompts_app.selectors import prompt_list
from tasks_app.models import Task
from tasks_app.web import context
from tests.factories.accounts import Person, person, team
from tests.factories.tasks import BRIEF, funded, make_task, start
from workflows_app.models import WorkflowRun
from workflows_app.reads.timeline import run_row

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> Person:
    return funded()


@pytest.fixture
def browser(ada: Person) -> Client:
    return ada.client()


def html(response: Any) -> str:
    assert response.status_code == 200, response.content[:500]
    text: str = response.content.decode()
    assert not re.search(r"<[^>]+\sstyle=|<[^>]+\son[a-z]+=|<style|<script>(?!)", text)
    return text


def test_signed_out_home_leads_to_sign_in_and_sign_up() -> None:
    page = html(Client().get("/"))
    assert "/accounts/login/" in page
    assert "/accounts/signup/" in page
    assert "inputText" not in page


def test_hub_asks_and_redirects_to_the_focused_task(browser: Client, ada: Person) -> None:
    page = html(browser.get("/"))
    assert "autofocus" in page
    assert page.count('type="radio"') == 4
    response = browser.post("/", {"inputText": BRIEF, "preferredWorkspace": "", "key": "k1"})
    with ada.at_work():
        task = Task.objects.get()
    assert response.status_code == 302
    assert response["Location"] == f"/dashboard/?focus={task.id}#task-{task.id}"
    again = browser.post("/", {"inputText": BRIEF, "preferredWorkspace": "", "key": "k1"})
    assert again["Location"] == response["Location"]


@pytest.mark.parametrize("text", ["", "  ", "x" * 100_001, "a\0b"])
def test_hub_keeps_what_was_typed_and_says_what_is_wrong(browser: Client, ada: Person, text: str) -> None:
    response = browser.post("/", {"inputText": text, "preferredWorkspace": "article"})
    assert response.status_code == 400
    page = response.content.decode()
    assert 'role="alert"' in page
    assert re.search(r'value="article"\s+checked', page)
    with ada.at_work():
        assert not Task.objects.exists()


def test_hub_fills_in_an_example_without_a_script(browser: Client) -> None:
    page = html(browser.get("/?example=2"))
    assert re.search(r"<textarea[^>]*>Polish this:", page)
    assert html(browser.get("/?example=99"))


def test_dashboard_shows_the_task_in_focus_with_its_next_step(browser: Client, ada: Person) -> None:
    with ada.at_work():
        task = make_task()
        make_task("what is tea?")
    page = html(browser.get(f"/dashboard/?focus={task.id}"))
    card = page.split(f'id="task-{task.id}"')[1].split("</article>")[0]
    assert "task-card--focus" in card
    assert "data-advance" in card
    assert "Write from a brief" in card
    assert page.count("task-card--focus") == 1


def test_dashboard_figures(browser: Client, ada: Person) -> None:
    empty = html(browser.get("/dashboard/"))
    assert "No task was made this week yet." in empty
    assert "No stage was run" in empty
    with ada.at_work():
        make_task(status="completed", stages_count=3)
        make_task(stages_count=2)
        make_task()
        make_task()
    page = html(browser.get("/dashboard/"))
    values = re.findall(r'metric__value">([^<]+)<', page)
    assert values == ["$0.0000", "25%", "2.5"]


def test_filters_live_in_the_address(browser: Client, ada: Person) -> None:
    with ada.at_work():
        make_task("an article about green tea")
        make_task("what is coffee?", status="completed")
    page = html(browser.get("/dashboard/?status=completed&workspace=general&q=coffee"))
    assert "coffee" in page
    assert "Green tea" not in page
    assert re.search(r'<option value="completed"\s+selected', page)
    assert "No task matches" in html(browser.get("/dashboard/?q=nothing"))
    assert "Green tea" in html(browser.get("/dashboard/?status=nonsense"))


def test_more_tasks_are_loaded_by_cursor(browser: Client, ada: Person) -> None:
    with ada.at_work():
        made = [make_task(f"an article about tea number {number}") for number in range(25)]
    page = html(browser.get("/dashboard/"))
    (link,) = set(re.findall(r'href="(\?[^"]*cursor=[^"]+)"', page))
    more = html(browser.get(f"/dashboard/{link}", headers={"HX-Request": "true", "HX-Target": "more-tasks"}))
    assert "<html" not in more
    first, second = (set(re.findall(r'<article id="task-([^"]+)"', text)) for text in (page, more))
    assert first | second == {str(task.id) for task in made}
    assert not first & second
    assert "cursor=" not in more
    assert html(browser.get("/dashboard/?cursor=garbage"))


@pytest.mark.parametrize("count", [1, 15])
def test_dashboard_has_a_fixed_number_of_queries(
    browser: Client, ada: Person, count: int, django_assert_max_num_queries: Any
) -> None:
    with ada.at_work():
        for number in range(count):
            make_task(f"an article about tea {number}")
            make_task(f"a prompt for tea {number}")
    with django_assert_max_num_queries(24):
        html(browser.get("/dashboard/"))


def test_prompts_tab_names_the_task_last_bound(browser: Client, ada: Person) -> None:
    with ada.at_work():
        prompt = prompt_list().first()
        assert prompt is not None
        make_task("an older article about tea", prompt_id=prompt.pk)
        last = make_task("an article about coffee")
        last.prompt_id = prompt.pk
        last.save()
    page = html(browser.get("/dashboard/?tab=prompts"))
    assert f"/tasks/{last.id}/" in page
    assert "older" not in page


def test_task_page_shows_text_findings_events_and_figures(browser: Client, ada: Person) -> None:
    finding = {"code": "101", "severity": "warning", "line": 3, "col": 7, "message": "Too long", "why": "Hard to read"}
    metadata = {"text": "# Tea\n\n**hot**", "previous_text": "tea", "findings": [finding], "pass_rate": "0.75"}
    with ada.at_work():
        task = make_task(metadata=metadata)
    page = html(browser.get(f"/tasks/{task.id}/"))
    assert "<strong>hot</strong>" in page
    assert "line 3, column 7" in page
    assert "Hard to read" in page
    assert "75%" in page
    assert "version-before" in page
    assert 'id="event-1"' in page
    assert 'aria-current="step"' in page


def test_running_task_re_attaches_to_its_stream(browser: Client, ada: Person) -> None:
    with ada.at_work():
        task = make_task()
        started = start(task)
    page = html(browser.get(f"/tasks/{task.id}/"))
    assert f'data-stream="/ws/streams/{started.stream_id}/"' in page
    assert "Cancel run" in page
    assert "data-advance" not in page
    assert f'data-stream="/ws/streams/{started.stream_id}/"' in html(browser.get("/dashboard/"))


@pytest.mark.parametrize(("view", "marker"), [("panel", 'id="task-panel"'), ("card", "task-card")])
def test_advance_button_answers_with_its_part_of_the_page(browser: Client, ada: Person, view: str, marker: str) -> None:
    with ada.at_work():
        task = make_task()
    body = {"stage": "A", "action": "generate", "view": view}
    part = html(browser.post(f"/tasks/{task.id}/advance/", body, headers={"HX-Request": "true"}))
    assert marker in part
    assert "data-run" in part
    assert "<html" not in part
    # A second click shows the run that is under way.
    assert "data-run" in html(browser.post(f"/tasks/{task.id}/advance/", body, headers={"HX-Request": "true"}))


def test_buttons_work_without_a_script(browser: Client, ada: Person) -> None:
    with ada.at_work():
        task = make_task()
    response = browser.post(f"/tasks/{task.id}/advance/", {"stage": "A", "action": "generate"})
    assert response["Location"] == f"/tasks/{task.id}/"
    browser.post(f"/tasks/{task.id}/cancel/")
    with ada.at_work():
        assert not Task.objects.get().is_running
    browser.post(f"/tasks/{task.id}/rename/", {"title": "My tea"})
    browser.post(f"/tasks/{task.id}/archive/")
    page = html(browser.get(f"/tasks/{task.id}/"))
    assert "My tea" in page
    assert "Undo" in page
    browser.post(f"/tasks/{task.id}/unarchive/")
    assert "Undo" not in html(browser.get(f"/tasks/{task.id}/"))


def test_refused_button_says_why(browser: Client, ada: Person) -> None:
    with ada.at_work():
        task = make_task()
    body = {"stage": "D", "action": "generate"}
    part = html(browser.post(f"/tasks/{task.id}/advance/", body, headers={"HX-Request": "true"}))
    assert "the task has none yet" in part
    page = browser.post(f"/tasks/{task.id}/advance/", body, follow=True)
    assert "the task has none yet" in page.content.decode()


def test_failed_run_is_told_on_card_and_page(browser: Client, ada: Person) -> None:
    with ada.at_work():
        task = make_task(last_error={"code": "model_unavailable", "message": "The model is away."})
    for path in ("/dashboard/", f"/tasks/{task.id}/"):
        page = html(browser.get(path))
        assert "The model is away." in page
        assert "data-advance" in page


def test_download_is_the_text_as_markdown(browser: Client, ada: Person) -> None:
    with ada.at_work():
        task = make_task("Polish this: the cat sat.", title="茶 & tea")
        empty = make_task()
    response = browser.get(f"/tasks/{task.id}/download/")
    assert response.content.decode() == "the cat sat."
    assert response["Content-Type"] == "text/markdown; charset=utf-8"
    assert response["Content-Disposition"].startswith("attachment")
    assert browser.get(f"/tasks/{empty.id}/download/").status_code == 404


def test_viewer_sees_no_buttons_and_may_press_none() -> None:
    owner, viewer = team(Role.VIEWER)
    with owner.at_work():
        task = make_task()
    client = viewer.client()
    assert "data-advance" not in html(client.get(f"/tasks/{task.id}/"))
    assert "<textarea" not in html(client.get("/"))
    assert client.post(f"/tasks/{task.id}/advance/", {"stage": "A", "action": "generate"}).status_code == 403


@pytest.mark.parametrize(
    "path",
    ["/tasks/{id}/", "/tasks/{id}/panel/", "/tasks/{id}/card/", "/tasks/{id}/download/"],
)
def test_anothers_task_has_no_page(browser: Client, path: str) -> None:
    bob = funded()
    with bob.at_work():
        theirs = make_task("Polish this: the cat sat.")
    assert browser.get(path.format(id=theirs.id)).status_code == 404
    assert browser.get(path.format(id=uuid4())).status_code == 404
    for deed in ("advance", "cancel", "rename", "archive", "unarchive"):
        assert browser.post(f"/tasks/{theirs.id}/{deed}/", {"stage": "C", "action": "generate"}).status_code == 404


def test_signed_out_people_are_asked_to_sign_in() -> None:
    for path in ("/dashboard/", f"/tasks/{uuid4()}/"):
        response = Client().get(path)
        assert response.status_code == 302
        assert response["Location"].startswith("/accounts/login/")


def test_prompt_fragments(browser: Client, ada: Person) -> None:
    with ada.at_work():
        prompt = prompt_list().first()
        assert prompt is not None
    sidebar, line = (f"/fragments/tasks/{name}/{prompt.pk}/" for name in ("prompt-sidebar", "for-prompt"))
    assert "No task is bound" in html(browser.get(sidebar))
    assert html(browser.get(line))
    with ada.at_work():
        task = make_task(prompt_id=prompt.pk)
    for path in (sidebar, line):
        page = html(browser.get(path))
        assert f"/tasks/{task.id}/" in page
        assert "<html" not in page
    assert "Created" in html(browser.get(sidebar))
    assert browser.get(f"/fragments/tasks/prompt-sidebar/{uuid4()}/").status_code == 404


def test_titles_are_told_for_ones_own_tasks(browser: Client, ada: Person) -> None:
    other = person()
    with ada.at_work():
        mine = make_task()
    with other.at_work():
        theirs = make_task()
    address = f"/fragments/tasks/titles/?id={mine.id}&id={theirs.id}"
    assert browser.get(address).json() == {str(mine.id): mine.title}
    assert browser.get("/fragments/tasks/titles/?id=mine").status_code == 400


def test_user_text_is_never_markup(browser: Client, ada: Person) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)> [a](javascript:alert(1)) ![i](http://e.example/i.png)"
    metadata = {"text": evil, "previous_text": evil, "findings": [{"code": "1", "message": evil}]}
    with ada.at_work():
        task = make_task(evil, title=evil[:190], metadata=metadata)
    for path in ("/", "/dashboard/", f"/tasks/{task.id}/"):
        page = browser.get(path).content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert not re.search(r'href="\s*javascript', page)
        assert not re.search(r'src="[^"]*e\.example', page)


@pytest.mark.parametrize("path", ["/", "/dashboard/", "/dashboard/?tab=prompts", "TASK"])
def test_pages_speak_chinese(browser: Client, ada: Person, path: str) -> None:
    with ada.at_work():
        task = make_task()
    browser.cookies["django_language"] = "zh-hans"
    page = html(browser.get(f"/tasks/{task.id}/" if path == "TASK" else path))
    assert 'lang="zh-hans"' in page


@override_settings(TASKS_ENABLED=False)
def test_home_without_tasks_leads_to_prompts(browser: Client) -> None:
    assert browser.get("/")["Location"] == "/prompts/"
    assert browser.post("/", {"inputText": BRIEF}).status_code == 404
    assert "inputText" not in html(Client().get("/"))


def test_an_event_leads_to_all_that_its_request_caused(browser: Client, ada: Person) -> None:
    with ada.at_work(), bind_trace("e" * 32):
        task = make_task()
    assert f'href="/traces/{"e" * 32}/"' in html(browser.get(f"/tasks/{task.id}/"))
    assert browser.get(f"/traces/{'e' * 32}/").status_code == 200


def test_what_a_run_comes_to_while_its_page_is_read_is_news_to_the_page(
    browser: Client, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ada.at_work():
        task = make_task("what is tea?")
        start(task)
    before_it_was_read = []

    def reads(run_id: UUID) -> WorkflowRun:
        before_it_was_read.append(timezone.now())
        return run_row(run_id)

    monkeypatch.setattr(context, "run_row", reads)
    for path in (f"/tasks/{task.id}/", f"/tasks/{task.id}/panel/"):
        (read_at,) = re.findall(r'data-read-at="([^"]+)"', html(browser.get(path)))
        assert datetime.fromisoformat(read_at) < before_it_was_read.pop()
    assert "data-read-at" not in html(browser.get("/dashboard/"))


def test_that_a_run_rests_is_no_news_to_the_page_that_shows_it(
    browser: Client, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ada.at_work():
        task = make_task("what is tea?")
        start(task)
    when_it_was_read = []

    def reads(run_id: UUID) -> WorkflowRun:
        run = run_row(run_id)
        run.status = "waiting"
        when_it_was_read.append(timezone.now())
        return run

    monkeypatch.setattr(context, "run_row", reads)
    (read_at,) = re.findall(r'data-read-at="([^"]+)"', html(browser.get(f"/tasks/{task.id}/")))
    assert datetime.fromisoformat(read_at) >= when_it_was_read.pop() + timedelta(seconds=1)
