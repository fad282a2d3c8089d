"""Workflow templates over REST."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from jsonschema import Draft202012Validator

from accounts_app.models import AuditLog, Membership
from accounts_app.tenancy.context import operator_atomic
from tests.factories.workflows import acting, document
from tests.support.accounts import Account, account_create
from workflows_app.models import WorkflowConfig
from workflows_app.services.runs import run_start

pytestmark = pytest.mark.usefixtures("committed_db")

URL = "/api/v1/templates"


@pytest.fixture
def account() -> Account:
    return account_create(balance=0)


def call(account: Account, method: str, path: str, body: Any = None) -> Any:
    data = body if isinstance(body, str) else json.dumps(body)
    return Client(headers=account.headers).generic(method, path, data, content_type="application/json")


def whole(**fields: Any) -> Any:
    return document([{"action": "finish"}], **fields)


def drafted(account: Account, name: str = "News", version: str = "1.0.0", **fields: Any) -> Any:
    config = {key: value for key, value in whole().items() if key != "version"}
    answer = call(account, "POST", URL, {"name": name, "version": version, "config": config, **fields})
    assert answer.status_code == 201, answer.content
    return answer.json()


def published(account: Account, name: str = "News", version: str = "1.0.0", **body: Any) -> Any:
    draft = drafted(account, name, version)
    answer = call(account, "POST", f"{URL}/{draft['id']}/publish", body)
    assert answer.status_code == 200, answer.content
    return answer.json()


def used(account: Account, template: Any) -> None:
    with acting(account.tenant):
        run_start(config_id=template["id"], workspace_key="general", stage="A", key=template["id"])


def error(answer: Any) -> tuple[int, str, list[str]]:
    body = answer.json()["error"]
    return answer.status_code, body["code"], [item["field"] for item in body["details"]]


def test_a_template_is_drafted_looked_at_and_published(account: Account) -> None:
    draft = drafted(account, description="For Mondays", notes="First")
    assert (draft["name"], draft["version"], draft["description"], draft["notes"]) == (
        "News",
        "1.0.0",
        "For Mondays",
        "First",
    )
    assert (draft["status"], draft["workspace"], draft["shared"], draft["problems"]) == ("draft", "general", False, [])
    assert (draft["config"]["name"], draft["config"]["version"]) == ("News", "1.0.0")
    one = f"{URL}/{draft['id']}"
    assert call(account, "GET", one).json() == draft
    answer = call(account, "POST", f"{one}/publish", {})
    assert (answer.status_code, answer.json()["status"], answer.json()["is_default"]) == (200, "published", False)
    assert answer.json()["published_at"]
    with operator_atomic("test"):
        actions = set(AuditLog.objects.filter(target_id=draft["id"]).values_list("action", flat=True))
    assert actions == {"workflow.draft", "workflow.publish"}


def test_the_location_of_a_new_template_is_its_address(account: Account) -> None:
    answer = call(account, "POST", URL, {"config": whole(name="Own words")})
    assert answer.headers["Location"] == f"{URL}/{answer.json()['id']}"
    assert answer.json()["name"] == "Own words"


def test_a_document_may_come_as_text(account: Account) -> None:
    answer = call(
        account, "POST", URL, {"name": "Text", "version": "2.0.0", "config": json.dumps(whole(version="2.0.0"))}
    )
    assert (answer.status_code, answer.json()["config"]["stages"]["A"]["name"]) == (201, "A")


def test_a_draft_is_replaced_and_changed(account: Account) -> None:
    draft = drafted(account, description="Old")
    one = f"{URL}/{draft['id']}"
    other = document([{"action": "finish"}, {"action": "finish"}])
    replaced = call(account, "PUT", one, {"name": "New", "version": "1.0.0", "config": other}).json()
    assert (replaced["name"], len(replaced["config"]["stages"]["A"]["steps"])) == ("New", 2)
    patched = call(account, "PATCH", one, {"version": "1.5.0", "description": "Newer"}).json()
    assert (patched["version"], patched["description"], patched["name"]) == ("1.5.0", "Newer", "New")
    assert (patched["config"]["version"], len(patched["config"]["stages"]["A"]["steps"])) == ("1.5.0", 2)
    emptied = call(account, "PATCH", one, {"description": ""}).json()
    assert emptied["description"] == ""
    assert "description" not in emptied["config"]
    reworked = call(account, "PATCH", one, {"config": {**whole(), "version": "1.6.0"}}).json()
    assert (reworked["name"], reworked["version"]) == ("New", "1.6.0")


def test_a_published_template_never_changes(account: Account) -> None:
    one = f"{URL}/{published(account)['id']}"
    for method, body in (("PUT", {"config": whole()}), ("PATCH", {"notes": "x"})):
        assert error(call(account, method, one, body))[:2] == (409, "template_state")
    assert error(call(account, "POST", f"{one}/publish", {}))[:2] == (409, "template_state")


def test_publishing_names_every_error_by_its_pointer(account: Account) -> None:
    wrong = document([{"action": "nothing"}, {"action": "finish", "when": "1 +"}])
    answer = call(account, "POST", URL, {"name": "Wrong", "config": wrong})
    pointers = ["/stages/A/steps/0/action", "/stages/A/steps/1/when"]
    assert [item["pointer"] for item in answer.json()["problems"] if item["severity"] == "error"] == pointers
    refused = call(account, "POST", f"{URL}/{answer.json()['id']}/publish", {})
    assert error(refused) == (400, "invalid_config", pointers)


def test_a_name_has_each_version_once(account: Account) -> None:
    drafted(account)
    second = drafted(account, version="1.0.1")
    body = {"name": "News", "version": "1.0.0", "config": {**whole(), "version": "1.0.0"}}
    assert error(call(account, "POST", URL, body)) == (409, "conflict", ["/version"])
    assert error(call(account, "PATCH", f"{URL}/{second['id']}", {"version": "1.0.0"}))[0] == 409
    drafted(account, name="Other news")
    drafted(account_create(balance=0))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "config"),
        ({"name": "x"}, "config"),
        ({"config": whole()}, "/name"),
        ({"name": "x", "config": {"stages": {}}}, "/version"),
        ({"name": "x", "version": "2.0.0", "config": whole()}, "/version"),
        ({"name": "x", "workspace": "article", "config": whole()}, "/workspace"),
        ({"name": "x", "config": whole(workspace="music")}, "/workspace"),
        ({"name": "x", "config": whole(workspace="video")}, "/workspace"),
        ({"name": "x@y", "config": whole()}, "/name"),
        ({"name": "x", "config": whole(version="1.0")}, "/version"),
        ({"name": "x", "version": 1.0, "config": whole()}, "version"),
        ({"name": "x", "config": []}, ""),
        ({"name": "x", "config": "no json"}, ""),
        ({"name": "x", "config": '{"a": 1, "a": 2}'}, ""),
        ({"name": "x", "config": whole(notes="nul \0")}, ""),
        ({"name": "x", "config": whole(notes="x" * 300_000)}, ""),
        ({"name": "x", "description": "x" * 1001, "config": whole()}, "description"),
        ('{"name": "x", "config": {"notes": "half \\ud800", "version": "1.0.0"}}', ""),
        ('{"name": "x", "config": {"notes": 1e999, "version": "1.0.0"}}', ""),
    ],
)
def test_what_is_no_template_is_refused_at_its_place(account: Account, body: Any, field: str) -> None:
    status, _code, fields = error(call(account, "POST", URL, body))
    assert (status, field in fields) == (400, True), fields
    assert call(account, "GET", f"{URL}?owner=own").json()["results"] == []


@pytest.mark.parametrize(
    "body",
    [
        "{",
        '{"config": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"config": "' + "[" * 100_000 + '"}',
        "[]",
        "null",
        '"x"',
    ],
)
def test_hostile_bodies_are_bad_input(account: Account, body: str) -> None:
    for path in (URL, f"{URL}/import", f"{URL}/validate"):
        answer = call(account, "POST", path, body)
        assert answer.status_code in {200, 400}, (path, answer.content)
        if path.endswith("validate") and answer.status_code == 200:
            assert answer.json()["valid"] is False


def test_a_huge_body_is_refused(account: Account) -> None:
    huge = json.dumps({"name": "x", "config": {"notes": "x" * 5_000_000}})
    assert call(account, "POST", URL, huge).status_code in {400, 413}
    assert call(account, "POST", f"{URL}/import", huge).status_code in {400, 413}


def test_the_list_is_filtered_ordered_and_paged(account: Account) -> None:
    for name, version in (("Beta", "1.0.0"), ("Alpha", "1.0.0"), ("Alpha", "1.1.0")):
        drafted(account, name, version, description=f"About {name}")
    call(account, "POST", f"{URL}/{published(account, 'Gamma')['id']}/deactivate")

    def names(query: str) -> list[str]:
        rows = call(account, "GET", f"{URL}?{query}").json()["results"]
        return [f"{row['name']} {row['version']}" for row in rows]

    assert names("owner=own") == ["Gamma 1.0.0", "Alpha 1.1.0", "Alpha 1.0.0", "Beta 1.0.0"]
    assert names("owner=own&ordering=created_at&limit=2") == ["Beta 1.0.0", "Alpha 1.0.0"]
    assert names("owner=own&ordering=name")[-1] == "Gamma 1.0.0"
    assert names("name=Alpha&status=draft") == ["Alpha 1.1.0", "Alpha 1.0.0"]
    assert names("q=about+alp") == ["Alpha 1.1.0", "Alpha 1.0.0"]
    assert names("status=inactive&workspace=general") == ["Gamma 1.0.0"]
    assert {name.split()[0] for name in names("owner=shared")} == {"Article", "General", "Prompt"}
    assert names("owner=shared&is_default=true&workspace=article") == ["Article 1.1.0"]
    first = call(account, "GET", f"{URL}?owner=own&limit=3").json()
    following = Client(headers=account.headers).get(first["next"]).json()
    assert [row["name"] for row in following["results"]] == ["Beta"]
    assert "config" not in first["results"][0]


@pytest.mark.parametrize("query", ["status=lost", "ordering=config", "owner=me", "cursor=nonsense", "q=" + "x" * 300])
def test_a_filter_that_means_nothing_is_refused(account: Account, query: str) -> None:
    assert call(account, "GET", f"{URL}?{query}").status_code in {400, 404}


def test_the_list_costs_the_same_however_long_it_is(account: Account) -> None:
    counts = []
    for version in ("1.0.0", "1.0.1"):
        drafted(account, version=version)
        with CaptureQueriesContext(connection) as queries:
            call(account, "GET", URL)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_template_is_switched_off_and_on(account: Account) -> None:
    one = f"{URL}/{published(account)['id']}"
    for action, status in (("deactivate", "inactive"), ("deactivate", "inactive"), ("activate", "active")):
        answer = call(account, "POST", f"{one}/{action}")
        assert (answer.status_code, answer.json()["status"]) == (200, status)
    draft = f"{URL}/{drafted(account, version='2.0.0')['id']}"
    for action in ("activate", "deactivate", "default"):
        assert error(call(account, "POST", f"{draft}/{action}"))[:2] == (409, "template_state")


def test_there_is_one_default_and_a_way_back_to_the_shared_one(account: Account) -> None:
    def followed() -> str:
        body = call(account, "GET", "/api/workflows/general").json()
        return f"{body['name']} {body['version']}"

    shared = call(account, "GET", f"{URL}?owner=shared&workspace=general").json()["results"][0]
    first, second = published(account), published(account, version="2.0.0", make_default=True)
    assert followed() == "News 2.0.0"
    assert call(account, "POST", f"{URL}/{first['id']}/default").json()["is_default"] is True
    assert followed() == "News 1.0.0"
    assert call(account, "GET", f"{URL}/{second['id']}").json()["is_default"] is False
    for method, path in (("POST", f"{URL}/{first['id']}/deactivate"), ("DELETE", f"{URL}/{first['id']}")):
        assert error(call(account, method, path))[:2] == (409, "template_state")
    assert call(account, "POST", f"{URL}/{shared['id']}/default").status_code == 200
    assert followed() == "General 1.1.0"
    call(account, "POST", f"{URL}/{first['id']}/deactivate")
    assert error(call(account, "POST", f"{URL}/{first['id']}/default"))[0] == 409


def test_only_what_was_never_used_is_deleted(account: Account) -> None:
    draft, kept, unused = drafted(account), published(account, version="2.0.0"), published(account, version="3.0.0")
    used(account, kept)
    for template in (draft, unused):
        assert call(account, "DELETE", f"{URL}/{template['id']}").status_code == 204
        assert call(account, "GET", f"{URL}/{template['id']}").status_code == 404
    assert error(call(account, "DELETE", f"{URL}/{kept['id']}"))[:2] == (409, "template_state")
    assert call(account, "GET", f"{URL}/{kept['id']}").json()["status"] == "published"


def test_a_duplicate_is_a_draft_of_the_next_version(account: Account) -> None:
    template = published(account)
    copy = call(account, "POST", f"{URL}/{template['id']}/duplicate", {})
    assert copy.status_code == 201
    assert (copy.json()["name"], copy.json()["version"], copy.json()["status"]) == ("News", "1.0.1", "draft")
    assert copy.json()["config"] == {**template["config"], "version": "1.0.1"}
    named = call(account, "POST", f"{URL}/{template['id']}/duplicate", {"name": "Else", "version": "4.0.0"}).json()
    assert (named["name"], named["version"]) == ("Else", "4.0.0")
    shared = call(account, "GET", f"{URL}?owner=shared&workspace=article").json()["results"][0]
    own = call(account, "POST", f"{URL}/{shared['id']}/duplicate", {}).json()
    assert (own["name"], own["version"], own["shared"]) == ("Article", "1.1.0", False)
    again = {"name": "Else", "version": "4.0.0"}
    assert call(account, "POST", f"{URL}/{template['id']}/duplicate", again).status_code == 409


def test_differences_are_told_by_pointer(account: Account) -> None:
    older = drafted(account)
    newer = drafted(account, version="1.1.0", notes="More")
    steps: list[Any] = [{"action": "linter"}, {"action": "finish", "timeout": 5}]
    call(account, "PATCH", f"{URL}/{newer['id']}", {"config": document(steps, version="1.1.0", notes="More")})
    answer = call(account, "GET", f"{URL}/{older['id']}/diff?to={newer['id']}").json()
    assert (answer["older"]["version"], answer["newer"]["version"]) == ("1.0.0", "1.1.0")
    found = {(item["kind"], item["pointer"]) for item in answer["differences"]}
    assert found >= {("changed", "/version"), ("added", "/notes"), ("added", "/stages/A/steps/1")}
    assert call(account, "GET", f"{URL}/{older['id']}/diff?to={older['id']}").json()["differences"] == []
    assert error(call(account, "GET", f"{URL}/{older['id']}/diff?to=x")) == (400, "invalid_input", ["to"])
    theirs = drafted(account_create(balance=0))
    assert call(account, "GET", f"{URL}/{older['id']}/diff?to={theirs['id']}").status_code == 404


def test_a_change_goes_on_from_what_was_read_or_is_refused(account: Account) -> None:
    one = f"{URL}/{drafted(account)['id']}"

    def patched(tag: str, **change: Any) -> Any:
        headers = {**account.headers, "If-Match": tag}
        return Client(headers=headers).patch(one, change, content_type="application/json")

    read = call(account, "GET", one).headers["ETag"]
    first = patched(read, notes="Mine")
    assert (first.status_code, first.json()["notes"]) == (200, "Mine")
    assert first.headers["ETag"] != read
    refused = patched(read, notes="Theirs")
    assert error(refused)[:2] == (412, "draft_changed")
    assert call(account, "GET", one).json()["notes"] == "Mine"
    assert patched("nonsense", notes="Theirs").status_code == 412
    assert patched(f'"other", W/{first.headers["ETag"]}', notes="Known").status_code == 200
    assert patched("*", notes="Whatever").status_code == 200
    assert Client(headers={**account.headers, "If-Match": read}).delete(one).status_code == 412
    now = call(account, "GET", one).headers["ETag"]
    assert Client(headers={**account.headers, "If-Match": now}).delete(one).status_code == 204


def test_what_is_exported_is_imported_as_it_was(account: Account) -> None:
    template = drafted(account, name="周报 News", description="For Mondays", notes="First")
    exported = call(account, "GET", f"{URL}/{template['id']}/export")
    assert exported.headers["Content-Disposition"] == 'attachment; filename="news-1.0.0.json"'
    file = json.loads(exported.content)
    assert file["$schema"].startswith("http")
    assert file["$schema"].endswith("/api/v1/schemas/workflow.json")
    assert Draft202012Validator(call(account, "GET", "/api/v1/schemas/workflow.json").json()).is_valid(file)
    other = account_create(balance=0)
    upload = SimpleUploadedFile("news.json", b"\xef\xbb\xbf" + exported.content, content_type="application/json")
    answer = Client(headers=other.headers).post(f"{URL}/import", {"file": upload})
    assert answer.status_code == 201, answer.content
    (imported,) = answer.json()["templates"]
    same = ("name", "version", "description", "notes", "workspace", "status", "problems")
    assert {key: imported[key] for key in same} == {key: template[key] for key in same}
    assert call(other, "GET", f"{URL}/{imported['id']}/export").json() == file


def test_several_are_imported_together_or_not_at_all(account: Account) -> None:
    good, wrong = whole(name="One"), whole(name="Two", stages={})
    answer = call(account, "POST", f"{URL}/import", {"templates": [good, wrong, whole(name="x@y")]})
    assert error(answer) == (400, "invalid_config", ["/templates/1/stages", "/templates/2/name"])
    twice = call(account, "POST", f"{URL}/import", [good, whole(name="Two"), good])
    assert error(twice) == (409, "conflict", ["/2/version"])
    assert call(account, "GET", f"{URL}?owner=own").json()["results"] == []
    assert call(account, "POST", f"{URL}/import", [good, whole(name="Two")]).status_code == 201
    assert error(call(account, "POST", f"{URL}/import", good))[2] == ["/version"]
    following = call(account, "POST", f"{URL}/import?on_conflict=next", good)
    assert [row["version"] for row in following.json()["templates"]] == ["1.0.1"]
    nothings: list[Any] = [[], {"templates": []}, {"templates": {}}, {"templates": [good], "extra": 1}, {"prompts": 1}]
    for nothing in nothings:
        assert call(account, "POST", f"{URL}/import", nothing).status_code == 400
    assert call(account, "POST", f"{URL}/import?on_conflict=overwrite", good).status_code == 400


def test_an_import_reports_what_is_wrong_with_what_it_kept(account: Account) -> None:
    unknown = document([{"action": "generate", "via": "apply", "with": "not_here"}], name="From elsewhere")
    (imported,) = call(account, "POST", f"{URL}/import", unknown).json()["templates"]
    assert ("/stages/A/steps/0/with", "error") in {(item["pointer"], item["severity"]) for item in imported["problems"]}


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"{", b'{"a": NaN}', b'{"stages": {"A": 1, "A": 2}}', b"[" * 200_000, b" " * 2_200_000],
)
def test_a_file_that_cannot_be_read_is_refused_aloud(account: Account, content: bytes) -> None:
    upload = SimpleUploadedFile("x.json", content, content_type="application/json")
    answer = Client(headers=account.headers).post(f"{URL}/import", {"file": upload})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
    assert Client(headers=account.headers).post(f"{URL}/import", {}).status_code == 400


def test_a_document_is_checked_without_being_saved(account: Account) -> None:
    assert call(account, "POST", f"{URL}/validate", whole()).json() == {"valid": True, "problems": []}
    answer = call(account, "POST", f"{URL}/validate", whole(defaults={"start": "Z"})).json()
    assert (answer["valid"], answer["problems"][0]["pointer"]) == (False, "/defaults/start")
    assert call(account, "GET", f"{URL}?owner=own").json()["results"] == []


def test_the_schema_is_open_to_everybody() -> None:
    answer = Client().get("/api/v1/schemas/workflow.json")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "public" in answer.headers["Cache-Control"]
    assert answer.json()["$id"] == "/api/v1/schemas/workflow.json"


@pytest.mark.parametrize("role", ["member", "viewer"])
def test_others_than_managers_read_only(account: Account, role: str) -> None:
    draft = drafted(account)
    with operator_atomic("test"):
        Membership.objects.filter(user=account.user).update(role=role)
    one = f"{URL}/{draft['id']}"
    for path in (URL, one, f"{one}/export", f"{one}/diff?to={draft['id']}"):
        assert call(account, "GET", path).status_code == 200
    writes = [("POST", URL), ("PUT", one), ("PATCH", one), ("DELETE", one), ("POST", f"{URL}/import")]
    writes += [("POST", f"{one}/{action}") for action in ("publish", "activate", "deactivate", "default", "duplicate")]
    for method, path in writes:
        assert call(account, method, path, {"config": whole()}).status_code == 403, path
    assert call(account, "POST", f"{URL}/validate", whole()).status_code == (200 if role == "member" else 403)


def test_shared_templates_are_read_and_never_written(account: Account) -> None:
    shared = call(account, "GET", f"{URL}?owner=shared").json()["results"][0]
    one = f"{URL}/{shared['id']}"
    assert call(account, "GET", one).json()["shared"] is True
    for method, path in (("PATCH", one), ("DELETE", one), ("POST", f"{one}/publish"), ("POST", f"{one}/deactivate")):
        assert call(account, method, path, {}).status_code == 404, path
    with operator_atomic("test"):
        assert WorkflowConfig.objects.get(pk=shared["id"]).status == "published"


def test_nobody_reads_without_a_key() -> None:
    assert Client().get(URL).status_code == 401
