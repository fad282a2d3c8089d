"""The REST API of prompts, linter and evals, through real requests."""

import json
import uuid
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from prompts_app.models import PromptBootstrapRun, PromptRun, PromptVersion, RunStatus
from tests.factories.accounts import Person, person, team
from tests.factories.prompts import MESSAGES, prompt_of, shared_prompt, shared_suite, suite_of, version_of
from tests.support.upstream import Behaviour, ScriptedUpstream

pytestmark = pytest.mark.django_db


def send(api: Client, path: str, body: Any = None, method: str = "post") -> Any:
    return getattr(api, method)(path, json.dumps(body if body is not None else {}), content_type="application/json")


def fields(response: Any) -> list[str]:
    return [item["field"] for item in response.json()["error"]["details"]]


@pytest.fixture
def api(writer: Person) -> Client:
    return writer.api()


def test_prompt_is_created_drafted_published_and_read(api: Client) -> None:
    body = {
        "name": "Greeting",
        "key": "greeting",
        "version": {"messages": [{"role": "user", "content": "Hi {{ name }}"}]},
    }
    made = send(api, "/api/prompts", body)
    assert made.status_code == 201, made.content
    prompt = made.json()
    assert made["Location"] == f"/api/prompts/{prompt['id']}/"
    (version,) = prompt["versions"]
    assert (version["number"], version["status"], version["variables"][0]["name"]) == (1, "draft", "name")
    path = f"/api/prompts/{prompt['id']}/versions"
    second = send(api, path, {"messages": MESSAGES, "parent_id": version["id"], "notes": "better"})
    assert (second.status_code, second.json()["number"]) == (201, 2)
    published = send(api, f"{path}/{second.json()['id']}/publish")
    assert (published.status_code, published.json()["status"]) == (200, "published")
    assert send(api, f"{path}/{second.json()['id']}/publish").status_code == 200
    assert [item["number"] for item in api.get(path).json()["results"]] == [2, 1]
    assert api.get(f"{path}/{version['id']}").json()["status"] == "draft"
    changed = send(api, f"/api/prompts/{prompt['id']}", {"name": "Hello", "archived": True}, "patch")
    assert (changed.json()["name"], changed.json()["archived"]) == ("Hello", True)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "x", "version": {}}, "version.messages"),
        ({"name": "x", "version": {"messages": []}}, "messages"),
        ({"name": "x", "version": {"messages": [{"role": "robot", "content": "a"}]}}, "messages[0].role"),
        ({"name": "x", "version": {"messages": [{"role": "user", "content": ""}]}}, "messages[0].content"),
        ({"name": "x", "version": {"messages": [{"role": "user", "content": "a\u0000"}]}}, "messages[0].content"),
        ({"name": "x", "version": {"messages": [{"role": "user", "content": "a", "b": 1}]}}, "messages[0].b"),
        ({"name": "x", "version": {"messages": ["hello"]}}, "messages[0]"),
        ({"name": "x", "version": {"messages": MESSAGES, "variables": [{"name": "1"}]}}, "variables[0].name"),
        ({"name": "x", "version": {"messages": MESSAGES, "variables": "no"}}, "variables"),
        (
            {"name": "x", "version": {"messages": MESSAGES, "variables": [{"name": "a"}, {"name": "a"}]}},
            "variables[1].name",
        ),
        ({"name": "x", "version": {"messages": MESSAGES, "parameters": {"temperature": 9}}}, "parameters.temperature"),
        ({"name": "x", "version": {"messages": MESSAGES, "parameters": {"top": 1}}}, "parameters.top"),
        ({"name": "x", "version": {"messages": MESSAGES, "language": "fr"}}, "version.language"),
        ({"name": "x", "key": "Not A Key", "version": {"messages": MESSAGES}}, "key"),
        ({"name": "x", "category": "poem", "version": {"messages": MESSAGES}}, "category"),
    ],
)
def test_bad_prompts_are_refused_with_the_field_named(api: Client, body: dict[str, Any], field: str) -> None:
    response = send(api, "/api/prompts/", body)
    assert response.status_code == 400
    assert field in fields(response)


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"x"', b"\xff"])
@pytest.mark.parametrize("path", ["/api/prompts/", "/api/linter", "/api/eval/run", "/api/eval/suites"])
def test_nonsense_bodies_get_400(api: Client, raw: bytes, path: str) -> None:
    response = api.post(path, raw, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["error"]["code"]


def test_publishing_a_broken_version_is_refused_with_places(api: Client, writer: Person) -> None:
    prompt = prompt_of(writer)
    broken = version_of(writer, prompt, messages=[{"role": "user", "content": "List\n{{ x y }}"}], variables=[])
    response = send(api, f"/api/prompts/{prompt.pk}/versions/{broken.pk}/publish")
    assert (response.status_code, fields(response)) == (400, ["messages[0].content:2:1"])
    assert api.get(f"/api/prompts/{prompt.pk}/versions/{broken.pk}").json()["status"] == "draft"


def test_shared_prompt_is_read_only_until_it_is_copied(api: Client, writer: Person) -> None:
    with writer.at_work():
        shared = shared_prompt()
    refused = send(api, f"/api/prompts/{shared.pk}/versions", {"messages": MESSAGES})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "shared_prompt")
    assert send(api, f"/api/prompts/{shared.pk}", {"name": "Mine"}, "patch").status_code == 409
    copied = send(api, f"/api/prompts/{shared.pk}/copy")
    assert copied.status_code == 201
    assert (copied.json()["key"], copied.json()["shared"], len(copied.json()["versions"])) == (
        "draft_template",
        False,
        2,
    )
    again = send(api, f"/api/prompts/{shared.pk}/copy")
    assert again.json()["key"].startswith("draft_template_")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?owner=own", {"alpha", "beta"}),
        ("?owner=own&q=ALPHA", {"alpha"}),
        ("?owner=own&status=draft", {"beta"}),
        ("?owner=own&status=published", {"alpha"}),
        ("?owner=own&category=mode", set()),
        ("?owner=shared&workspace=prompt", {"prompt_drafter", "prompt_optimizer"}),
    ],
)
def test_list_filters(api: Client, writer: Person, query: str, expected: set[str]) -> None:
    prompt_of(writer, key="alpha")
    prompt_of(writer, key="beta", publish=False)
    assert {item["key"] for item in api.get(f"/api/prompts{query}").json()["results"]} == expected


def test_unknown_filter_values_are_named(api: Client) -> None:
    assert fields(api.get("/api/prompts?category=poem")) == ["category"]


def test_list_takes_as_many_queries_for_many_prompts_as_for_few(
    writer: Person, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    # Session, user and membership, tenant settings and savepoints, and one query for the page.
    client = writer.client()
    prompt_of(writer)
    client.get("/api/prompts/")
    for _number in range(5):
        prompt_of(writer)
    with django_assert_num_queries(8) as captured:
        assert len(client.get("/api/prompts/").json()["results"]) == 13
    assert sum('FROM "prompts"' in query["sql"] for query in captured.captured_queries) == 1


@pytest.mark.usefixtures("upstream")
@pytest.mark.parametrize("slash", ["", "/"])
def test_apply_answers_with_text_tokens_and_cost(api: Client, writer: Person, slash: str) -> None:
    prompt = prompt_of(writer)
    response = send(api, f"/api/prompts/{prompt.pk}/apply{slash}", {"variables": {"question": "What is tea?"}})
    assert response.status_code == 200, response.content
    body = response.json()
    with writer.at_work():
        run = PromptRun.objects.get(pk=body["run_id"])
    assert body["text"] == run.output != ""
    assert body["version_id"] == str(run.version_id)
    assert body["tokens"]["total"] == run.total_tokens > 0
    assert body["cost_usd"] == f"{run.cost_usd:.10f}"
    assert api.get(f"/api/prompts/{prompt.pk}/runs").json()["results"][0]["id"] == body["run_id"]


def test_idempotency_key_makes_one_run(api: Client, writer: Person, upstream: ScriptedUpstream) -> None:
    prompt = prompt_of(writer)
    body = json.dumps({"variables": {"question": "Why?"}})
    answers = [
        api.post(
            f"/api/prompts/{prompt.pk}/apply", body, content_type="application/json", headers={"Idempotency-Key": "k1"}
        ).json()
        for _attempt in range(2)
    ]
    assert answers[0]["run_id"] == answers[1]["run_id"]
    assert [answer["replayed"] for answer in answers] == [False, True]
    assert len(upstream.served) == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "variables.question"),
        ({"variables": {"question": "a", "x": "b"}}, "variables.x"),
        ({"variables": "no"}, "variables"),
        ({"variables": {"question": {"a": 1}}}, "variables.question"),
        ({"variables": {"question": "a"}, "version_id": "7"}, "version_id"),
        ({"variables": {"question": "a"}, "max_tokens": 0}, "max_tokens"),
        ({"variables": {"question": "x" * 200_001}}, "variables.question"),
    ],
)
def test_apply_names_what_is_wrong(
    api: Client, writer: Person, upstream: ScriptedUpstream, body: dict[str, Any], field: str
) -> None:
    prompt = prompt_of(writer)
    response = send(api, f"/api/prompts/{prompt.pk}/apply", body)
    assert (response.status_code, fields(response)) == (400, [field])
    assert upstream.served == []


def test_apply_without_funds_answers_402(upstream: ScriptedUpstream) -> None:
    poor = person()
    response = send(poor.api(), f"/api/prompts/{prompt_of(poor).pk}/apply", {"variables": {"question": "Why?"}})
    assert (response.status_code, response.json()["error"]["code"]) == (402, "insufficient_funds")
    assert upstream.served == []


def test_apply_with_the_model_down_answers_503(api: Client, writer: Person, upstream: ScriptedUpstream) -> None:
    prompt = prompt_of(writer)
    with upstream.down():
        response = send(api, f"/api/prompts/{prompt.pk}/apply", {"variables": {"question": "Why?"}})
    assert (response.status_code, response.json()["error"]["code"]) == (503, "model_unavailable")


@pytest.mark.usefixtures("upstream")
def test_unknown_model_is_named(api: Client, writer: Person) -> None:
    body = {"variables": {"question": "Why?"}, "model": "no-such-model"}
    response = send(api, f"/api/prompts/{prompt_of(writer).pk}/apply", body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unknown_model")


def test_viewers_read_and_do_not_write() -> None:
    owner, viewer = team("viewer")
    prompt = prompt_of(owner)
    assert viewer.client().get(f"/api/prompts/{prompt.pk}").status_code == 200
    assert send(viewer.client(), f"/api/prompts/{prompt.pk}/apply", {}).status_code == 403


BLOCKS = (
    '<message role="system">\nAnswer with one sentence of at most 20 words.\n</message>\n\n'
    '<message role="user">\n<question>{{ question }}</question>\n</message>'
)


def test_rewrite_saves_a_draft_with_provenance(api: Client, writer: Person, upstream: ScriptedUpstream) -> None:
    prompt = prompt_of(writer)
    upstream.script(BLOCKS)
    body = {"findings": [{"code": "302", "message": "vague", "line": 1}], "instruction": "Say how long."}
    response = send(api, f"/api/prompts/{prompt.pk}/bootstrap/rewrite", body)
    assert response.status_code == 201, response.content
    answer = response.json()
    with writer.at_work():
        draft = PromptVersion.objects.get(pk=answer["version_id"])
        row = PromptBootstrapRun.objects.get(pk=answer["rewrite_id"])
    assert (draft.number, draft.status) == (2, "draft")
    assert draft.messages[0]["content"] == "Answer with one sentence of at most 20 words."
    assert draft.provenance == {
        "source": "rewrite",
        "rewrite_id": str(row.pk),
        "from_version_id": str(row.source_version_id),
    }
    assert (row.result_version_id, row.status, row.findings) == (draft.pk, RunStatus.COMPLETED, body["findings"])
    assert answer["cost_usd"] == f"{row.cost_usd:.10f}"
    asked = upstream.served[-1].messages[-1]["content"]
    assert "(line 1, column 1) vague" in asked
    assert "{{ question }}" in asked


@pytest.mark.parametrize(
    "answer",
    [
        Behaviour(text="Here is a better prompt."),
        Behaviour(text=BLOCKS, finish_reason="length"),
        Behaviour(text=BLOCKS.replace("{{ question }}", "it")),
        Behaviour(text=BLOCKS.replace("one sentence", "{{ count }} sentences")),
        Behaviour(text=BLOCKS.replace("Answer with one", "Answer {{ }} one")),
        Behaviour(text='<message role="user">\n{{ question }}\n</message>'),
    ],
)
def test_unusable_rewrites_change_nothing(
    api: Client, writer: Person, upstream: ScriptedUpstream, answer: Behaviour
) -> None:
    prompt = prompt_of(writer)
    upstream.behave(answer)
    response = send(api, f"/api/prompts/{prompt.pk}/bootstrap/rewrite", {})
    assert (response.status_code, response.json()["error"]["code"]) == (422, "rewrite_refused")
    with writer.at_work():
        assert prompt.versions.count() == 1
        row = PromptBootstrapRun.objects.get(prompt=prompt)
    assert (row.status, row.error_code) == (RunStatus.FAILED, "rewrite_refused")
    assert row.cost_usd > 0
    assert row.result_text == answer.text


def test_shared_prompt_is_not_rewritten_and_nothing_is_spent(
    api: Client, writer: Person, upstream: ScriptedUpstream
) -> None:
    with writer.at_work():
        shared = shared_prompt()
    assert send(api, f"/api/prompts/{shared.pk}/bootstrap/rewrite", {}).status_code == 409
    assert upstream.served == []


def test_linter_finds_with_code_field_line_and_column(api: Client) -> None:
    body = {"messages": [{"role": "user", "content": "List\n{{ nmae }} etc."}], "variables": ["name"]}
    response = send(api, "/api/linter", body)
    assert response.status_code == 200
    found = response.json()["findings"]
    assert [(item["code"], item["field"], item["line"], item["col"]) for item in found] == [
        ("103", "variables[0].name", 1, 1),
        ("102", "messages[0].content", 2, 1),
        ("302", "messages[0].content", 2, 12),
    ]
    assert response.json()["summary"] == {"errors": 1, "warnings": 2, "notes": 0, "total": 3}
    assert found[1].keys() >= {"severity", "end_line", "end_col", "message", "why", "fix"}


def test_linter_reads_stored_prompts_texts_and_single_texts_as_prompts(api: Client, writer: Person) -> None:
    prompt = prompt_of(writer)
    assert send(api, "/api/linter/", {"prompt_id": str(prompt.pk)}).json()["findings"] == []
    version = version_of(writer, prompt, messages=[{"role": "user", "content": "List {{ }}"}], variables=[])
    assert send(api, "/api/linter", {"prompt_id": str(prompt.pk)}).json()["summary"]["errors"] == 1
    assert send(api, "/api/linter", {"version_id": str(version.pk)}).json()["summary"]["errors"] == 1
    assert send(api, "/api/linter", {"text": "Dear [Your Name]"}).json()["findings"][0]["code"] == "604"
    answer = send(api, "/api/linter", {"text": "List {{ }}", "target": "prompt"}).json()
    assert answer["findings"][0]["code"] == "101"


@pytest.mark.parametrize("how", [{"query": "?format=sarif"}, {"accept": "application/sarif+json"}])
def test_linter_speaks_sarif(api: Client, how: dict[str, str]) -> None:
    headers = {"Accept": how["accept"]} if "accept" in how else {}
    body = json.dumps({"text": "Dear [Your Name], call 078-05-1120."})
    response = api.post(f"/api/linter{how.get('query', '')}", body, content_type="application/json", headers=headers)
    assert response["Content-Type"].startswith("application/sarif+json")
    log = json.loads(response.content)
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    assert [result["ruleId"] for result in run["results"]] == ["604", "202"]
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 1, "startColumn": 6, "endLine": 1, "endColumn": 17}
    assert run["results"][1]["fixes"][0]["artifactChanges"][0]["replacements"][0]["insertedContent"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "text"),
        ({"text": "a", "messages": []}, "text"),
        ({"text": ""}, "text"),
        ({"text": "x" * 200_001}, "text"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 400_001}]}, "messages"),
        ({"messages": [], "variables": [5]}, "variables[0]"),
        ({"text": "a", "target": "poem"}, "target"),
        ({"prompt_id": "x"}, "prompt_id"),
    ],
)
def test_linter_names_what_is_wrong_with_the_request(api: Client, body: dict[str, Any], field: str) -> None:
    response = send(api, "/api/linter", body)
    assert (response.status_code, fields(response)) == (400, [field])


def test_eval_of_a_text_with_a_shared_suite(api: Client, writer: Person) -> None:
    text = "# Tea\n\n" + "Tea is made of leaves and water, and it has been drunk for a long time. " * 2
    response = send(api, "/api/eval/run", {"suite_key": "article_basics", "text": text})
    assert response.status_code == 200, response.content
    body = response.json()
    assert (body["passed"], body["failed"], body["errors"], body["pass_rate"]) == (4, 0, 0, "1.0000")
    assert api.get(f"/api/eval/runs/{body['eval_run_id']}").json() == body
    assert api.get("/api/eval/runs").json()["results"][0]["id"] == body["eval_run_id"]


def test_eval_of_a_prompt_version_runs_each_case(api: Client, writer: Person, upstream: ScriptedUpstream) -> None:
    prompt = prompt_of(writer)
    suite = send(
        api,
        "/api/eval/suites",
        {
            "key": "questions",
            "name": "Questions",
            "cases": [
                {
                    "name": "tea",
                    "variables": {"question": "Tea?"},
                    "assertions": [{"type": "contains", "value": "leaves"}],
                },
                {
                    "name": "milk",
                    "variables": {"question": "Milk?"},
                    "assertions": [{"type": "equals", "value": "Cows."}],
                },
            ],
        },
    ).json()
    added = send(
        api,
        f"/api/eval/suites/{suite['id']}/cases",
        {"name": "wrong", "variables": {"nothing": "x"}, "assertions": [{"type": "regex", "value": "a"}]},
    )
    assert (added.status_code, added.json()["position"]) == (201, 3)
    upstream.script("From leaves.", "From cows.")
    with writer.at_work():
        version = prompt.versions.get()
    body = send(api, "/api/eval/run", {"suite_id": suite["id"], "version_id": str(version.pk)}).json()
    assert [case["outcome"] for case in body["cases"]] == ["passed", "failed", "error"]
    assert body["cases"][2]["error_code"] == "invalid_input"
    assert (body["pass_rate"], len(upstream.served)) == ("0.5000", 2)
    assert float(body["cost_usd"]) > 0


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"suite_key": "article_basics"}, 400),
        ({"suite_key": "article_basics", "text": "a", "version_id": str(uuid.uuid4())}, 400),
        ({"suite_key": "no_such_suite", "text": "a"}, 404),
        ({"suite_id": str(uuid.uuid4()), "text": "a"}, 404),
        ({"suite_key": "article_basics", "version_id": str(uuid.uuid4())}, 404),
        ({"suite_key": "article_basics", "text": "x" * 200_001}, 400),
    ],
)
def test_eval_refuses_unclear_requests(api: Client, body: dict[str, Any], status: int) -> None:
    assert send(api, "/api/eval/run", body).status_code == status


@pytest.mark.parametrize(
    ("assertions", "field"),
    [
        ([], "cases[0].assertions"),
        ([{"type": "poem", "value": "x"}], "cases[0].assertions[0]"),
        ([{"type": "regex", "value": "("}], "cases[0].assertions[0]"),
        ([{"type": "json-schema", "value": {"type": "nonsense"}}], "cases[0].assertions[0]"),
        ([{"type": "contains", "value": "\u0000"}], "cases[0].assertions[0]"),
    ],
)
def test_suites_with_bad_assertions_are_refused_whole(api: Client, assertions: Any, field: str) -> None:
    body = {"key": "bad", "name": "Bad", "cases": [{"name": "one", "assertions": assertions}]}
    response = send(api, "/api/eval/suites", body)
    assert (response.status_code, fields(response)) == (400, [field])
    assert "bad" not in [item["key"] for item in api.get("/api/eval/suites").json()["results"]]


def test_shared_suite_takes_no_cases(api: Client, writer: Person) -> None:
    with writer.at_work():
        suite = shared_suite()
    case = {"name": "one", "assertions": [{"type": "contains", "value": "a"}]}
    assert send(api, f"/api/eval/suites/{suite.pk}/cases", case).status_code == 409
    assert len(api.get(f"/api/eval/suites/{suite.pk}").json()["cases"]) == 4
    assert suite_of(writer).pk
