"""POST, list, detail, events, rename, archive."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client, override_settings

from accounts_app.models import Role
from tasks_app.models import Task, TaskEvent
from tests.factories.accounts import Person, person, team
from tests.factories.tasks import BRIEF, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> Person:
    return person()


@pytest.fixture
def api(ada: Person) -> Client:
    return ada.api()


def post(client: Client, path: str, body: Any, **headers: str) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json", headers=headers)


def fields(response: Any) -> list[str]:
    return [item["field"] for item in response.json()["error"]["details"]]


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/"])
def test_sentence_becomes_a_task(api: Client, ada: Person, path: str) -> None:
    response = post(api, path, {"inputText": BRIEF})
    assert response.status_code == 201
    body = response.json()
    assert set(body) == {"taskId", "workspaceKey", "nextStage"}
    assert (body["workspaceKey"], body["nextStage"]) == ("article", "A")
    assert api.get(response["Location"]).json()["id"] == body["taskId"]
    with ada.at_work():
        task = Task.objects.get(pk=body["taskId"])
        event = TaskEvent.objects.get(task=task)
    assert (task.status, task.current_stage, task.user_id) == ("active", "A", ada.id)
    assert (event.event_key, event.seq, event.prev_event_id, event.user_id) == ("create", 1, None, ada.id)
    assert event.id == task.last_event_id
    assert event.trace_id == response["X-Trace-Id"]


@pytest.mark.parametrize(
    ("text", "workspace", "stage"),
    [
        ("write me a blog post", "article", "B"),
        ("润色：今天天气很好。", "article", "C"),
        ("Proofread this: Their here.", "article", "D"),
        ("a prompt for haikus", "prompt", "A"),
        ("What is a haiku?", "general", "A"),
    ],
)
def test_route_is_in_the_answer(api: Client, text: str, workspace: str, stage: str) -> None:
    body = post(api, "/api/tasks", {"inputText": text}).json()
    assert (body["workspaceKey"], body["nextStage"]) == (workspace, stage)


@pytest.mark.parametrize("preferred", ["article", "prompt", "general"])
def test_preference_wins(api: Client, preferred: str) -> None:
    body = post(api, "/api/tasks", {"inputText": BRIEF, "preferredWorkspace": preferred}).json()
    assert body["workspaceKey"] == preferred


@pytest.mark.parametrize("preferred", [None, ""])
def test_no_preference_is_the_routers_choice(api: Client, preferred: str | None) -> None:
    response = post(api, "/api/tasks", {"inputText": BRIEF, "preferredWorkspace": preferred})
    assert response.status_code == 201


@pytest.mark.parametrize("preferred", ["video", "cooking", "ARTICLE", "x" * 500, 7, ["article"]])
def test_unknown_workspace_is_refused_by_field(api: Client, preferred: Any) -> None:
    response = post(api, "/api/tasks", {"inputText": BRIEF, "preferredWorkspace": preferred})
    assert response.status_code == 400
    assert fields(response) == ["preferredWorkspace"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"inputText": ""},
        {"inputText": "   \n\t "},
        {"inputText": None},
        {"inputText": 5},
        {"inputText": ["x"]},
        {"inputText": "a\0b"},
        {"inputText": "x" * 200_000},
        {"inputText": "一" * 200_000},
        {"inputText": "\ud800"},
    ],
    ids=["missing", "empty", "blank", "null", "number", "list", "nul", "long", "long wide", "surrogate"],
)
def test_bad_input_is_refused_by_field_and_leaves_nothing(api: Client, ada: Person, body: dict[str, Any]) -> None:
    response = post(api, "/api/tasks", body)
    assert response.status_code == 400
    assert fields(response) == ["inputText"]
    assert response.json()["error"]["trace_id"] == response["X-Trace-Id"]
    with ada.at_work():
        assert not Task.objects.exists()


@override_settings(TASK_INPUT_LIMIT=100_000)
@pytest.mark.parametrize(("length", "status"), [(100_000, 201), (100_001, 400)])
def test_limit_counts_characters(api: Client, length: int, status: int) -> None:
    assert post(api, "/api/tasks", {"inputText": "文" * length}).status_code == status


@pytest.mark.parametrize("body", ["[1]", '"x"', "{", "null"])
def test_body_that_is_no_object_is_refused(api: Client, body: str) -> None:
    response = api.post("/api/tasks", body, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["error"]["code"]


def test_nobody_and_viewers_make_no_tasks() -> None:
    assert post(Client(), "/api/tasks", {"inputText": BRIEF}).status_code == 401
    owner, viewer = team(Role.VIEWER)
    with owner.at_work():
        task = make_task()
    client = viewer.client()
    assert post(client, "/api/tasks", {"inputText": BRIEF}).status_code == 403
    assert client.get(f"/api/tasks/{task.id}").status_code == 200


def test_same_key_makes_one_task(api: Client, ada: Person) -> None:
    headers = {"Idempotency-Key": "abc"}
    first, second = (post(api, "/api/tasks", {"inputText": BRIEF}, **headers) for _ in range(2))
    assert first.json() == second.json()
    assert (first.status_code, second.status_code) == (201, 201)
    other = post(api, "/api/tasks", {"inputText": "something else"}, **headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_key_reused")
    with ada.at_work():
        assert Task.objects.count() == 1


def test_key_of_a_refused_request_stays_free(api: Client) -> None:
    headers = {"Idempotency-Key": "again"}
    assert post(api, "/api/tasks", {"inputText": " "}, **headers).status_code == 400
    assert post(api, "/api/tasks", {"inputText": BRIEF}, **headers).status_code == 201


@pytest.mark.parametrize("key", ["x" * 151, "with space", "ключ"])
def test_bad_key_is_refused_by_field(api: Client, key: str) -> None:
    response = api.post(
        "/api/tasks", json.dumps({"inputText": BRIEF}), content_type="application/json", HTTP_IDEMPOTENCY_KEY=key
    )
    assert response.status_code == 400
    assert fields(response) == ["Idempotency-Key"]


def test_list_is_newest_first_in_keyset_pages(api: Client, ada: Person) -> None:
    with ada.at_work():
        made = [make_task(f"an article about tea {number}") for number in range(5)]
    seen: list[str] = []
    url: str | None = "/api/tasks?limit=2"
    while url:
        page = api.get(url).json()
        seen += [row["id"] for row in page["results"]]
        url = page["next"]
    assert seen == [str(task.id) for task in reversed(made)]
    row = page["results"][0]
    assert row["next_step"] == {"stage": "A", "stage_name": row["next_step"]["stage_name"], "action": "generate"}
    assert "input_text" not in row


def test_list_filters(api: Client, ada: Person) -> None:
    with ada.at_work():
        tea = make_task("an article about green tea")
        done = make_task("what is coffee?", status="completed")
    assert [row["id"] for row in api.get("/api/tasks?status=completed").json()["results"]] == [str(done.id)]
    assert [row["id"] for row in api.get("/api/tasks?workspace=article").json()["results"]] == [str(tea.id)]
    assert [row["id"] for row in api.get("/api/tasks?q=tea+GREEN").json()["results"]] == [str(tea.id)]
    assert api.get("/api/tasks?q=nothing").json()["results"] == []


@pytest.mark.parametrize(
    ("query", "field"), [("status=running", "status"), ("workspace=kitchen", "workspace"), ("q=%00", "q")]
)
def test_bad_filter_is_refused_by_field(api: Client, query: str, field: str) -> None:
    response = api.get(f"/api/tasks?{query}")
    assert response.status_code == 400
    assert fields(response) == [field]


def test_list_has_a_fixed_number_of_queries(ada: Person, api: Client, django_assert_max_num_queries: Any) -> None:
    with ada.at_work():
        for number in range(12):
            make_task(f"an article about tea {number}")
            make_task(f"a prompt for tea {number}")
            make_task(f"what is tea {number}?")
    # The caller's key and membership, the page, and one look at the workflow of each workspace.
    with django_assert_max_num_queries(16):
        assert len(api.get("/api/tasks?limit=36").json()["results"]) == 36


def test_detail_tells_where_the_task_stands(api: Client, ada: Person) -> None:
    with ada.at_work():
        task = make_task("Polish this: the cat sat.")
    body = api.get(f"/api/tasks/{task.id}/").json()
    assert body["text"] == "the cat sat."
    assert body["input_text"] == "Polish this: the cat sat."
    assert (body["status"], body["current_stage"], body["cost_usd"]) == ("active", "C", "0.0000000000")
    assert (body["findings"], body["previous_text"], body["last_error"], body["events_count"]) == ([], "", None, 1)


@pytest.mark.parametrize(("task_status", "running"), [("completed", False), ("archived", False)])
def test_closed_task_has_no_next_step(api: Client, ada: Person, task_status: str, running: bool) -> None:
    with ada.at_work():
        task = make_task(status=task_status)
    assert api.get(f"/api/tasks/{task.id}").json()["next_step"] is None


def test_events_are_chained(api: Client, ada: Person) -> None:
    with ada.at_work():
        task = make_task()
    post(api, f"/api/tasks/{task.id}/archive", {})
    post(api, f"/api/tasks/{task.id}/unarchive/", {})
    first, second, third = api.get(f"/api/tasks/{task.id}/events").json()["results"]
    assert [first["event_key"], second["event_key"], third["event_key"]] == ["create", "archive", "unarchive"]
    assert [first["prev_event_id"], second["prev_event_id"], third["prev_event_id"]] == [
        None,
        first["id"],
        second["id"],
    ]
    assert [first["seq"], second["seq"], third["seq"]] == [1, 2, 3]
    page = api.get(f"/api/tasks/{task.id}/events?limit=1").json()
    assert [row["seq"] for row in api.get(page["next"]).json()["results"]] == [2]


def test_rename(api: Client, ada: Person) -> None:
    with ada.at_work():
        task = make_task()
    path = f"/api/tasks/{task.id}"
    response = api.patch(path, json.dumps({"title": "  Tea  and me "}), content_type="application/json")
    assert (response.status_code, response.json()["title"]) == (200, "Tea and me")
    for title in ("", "  ", "x" * 201, "a\0b"):
        refused = api.patch(path, json.dumps({"title": title}), content_type="application/json")
        assert (refused.status_code, fields(refused)) == (400, ["title"])


@pytest.mark.parametrize("before", ["active", "completed"])
def test_archive_and_back(api: Client, ada: Person, before: str) -> None:
    with ada.at_work():
        task = make_task(status=before)
    assert post(api, f"/api/tasks/{task.id}/archive", {}).json()["status"] == "archived"
    assert post(api, f"/api/tasks/{task.id}/archive", {}).status_code == 200
    assert post(api, f"/api/tasks/{task.id}/unarchive", {}).json()["status"] == before
    assert post(api, f"/api/tasks/{task.id}/unarchive", {}).status_code == 409
    with ada.at_work():
        assert [event.event_key for event in task.events.order_by("seq")] == ["create", "archive", "unarchive"]


@pytest.mark.parametrize(
    ("method", "suffix"),
    [
        ("get", ""),
        ("patch", ""),
        ("get", "/events"),
        ("post", "/advance"),
        ("post", "/cancel"),
        ("post", "/archive"),
        ("post", "/unarchive"),
    ],
)
def test_anothers_task_is_not_there(ada: Person, api: Client, method: str, suffix: str) -> None:
    bob = person()
    with bob.at_work():
        theirs = make_task()
    body = {"stage": "A", "action": "generate", "title": "x"}
    answers = []
    for task_id in (theirs.id, uuid4()):
        call = getattr(api, method)
        path = f"/api/tasks/{task_id}{suffix}"
        response = call(path) if method == "get" else call(path, json.dumps(body), content_type="application/json")
        assert response.status_code == 404
        answers.append({**response.json()["error"], "trace_id": ""})
    assert answers[0] == answers[1]
    assert api.get("/api/tasks").json()["results"] == []
    with bob.at_work():
        assert Task.objects.get().updated_at == theirs.updated_at


def test_detail_of_a_malformed_id_is_404(api: Client) -> None:
    assert api.get("/api/tasks/not-a-uuid").status_code == 404
    assert isinstance(UUID(int=1), UUID)
