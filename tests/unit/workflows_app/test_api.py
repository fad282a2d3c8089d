"""Workflow versions over REST."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from jsonschema import Draft202012Validator

from accounts_app.models import Membership
from accounts_app.tenancy.context import operator_atomic
from tests.support.accounts import Account, account_create

pytestmark = pytest.mark.usefixtures("committed_db")

SPEC = json.loads((Path(__file__).parent / "spec_article.json").read_text(encoding="utf-8"))
URL = "/api/workflows/article"


@pytest.fixture
def account() -> Account:
    return account_create(balance=0)


def call(account: Account, method: str, path: str, body: Any = None) -> Any:
    data = body if isinstance(body, str) else json.dumps(body)
    return Client(headers=account.headers).generic(method, path, data, content_type="application/json")


def spec(version: str = "2.0.0") -> Any:
    return copy.deepcopy(SPEC) | {"version": version}


def drafted(account: Account, document: Any) -> Any:
    answer = call(account, "POST", f"{URL}/versions", {"config": document})
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_a_workspaces_default_is_served(account: Account) -> None:
    answer = call(account, "GET", URL)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["workspace"], body["version"], body["status"], body["is_default"], body["shared"]) == (
        "article",
        "1.1.0",
        "published",
        True,
        True,
    )
    assert body["config"]["defaults"] == {"start": "A"}


@pytest.mark.parametrize("workspace", ["video", "music"])
def test_an_unknown_or_closed_workspace_is_not_found(account: Account, workspace: str) -> None:
    answer = call(account, "GET", f"/api/workflows/{workspace}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "unknown_workspace")
    assert answer.json()["error"]["trace_id"]


def test_the_schema_is_served_and_accepts_the_documented_workflow(account: Account) -> None:
    schema = call(account, "GET", "/api/workflows/schema").json()
    Draft202012Validator.check_schema(schema)
    assert Draft202012Validator(schema).is_valid(SPEC)


def test_a_draft_is_saved_changed_and_published(account: Account) -> None:
    draft = drafted(account, spec())
    assert (draft["status"], draft["shared"]) == ("draft", False)
    assert {item["severity"] for item in draft["problems"]} == {"warning"}
    one = f"{URL}/versions/{draft['id']}"
    changed = call(account, "PUT", one, {"config": spec("2.0.1"), "notes": "better"})
    assert (changed.status_code, changed.json()["version"], changed.json()["notes"]) == (200, "2.0.1", "better")
    assert call(account, "GET", one).json()["version"] == "2.0.1"
    published = call(account, "POST", f"{one}/publish", {})
    assert (published.status_code, published.json()["is_default"]) == (200, True)
    assert call(account, "GET", URL).json()["id"] == draft["id"]
    versions = call(account, "GET", f"{URL}/versions").json()["results"]
    assert {item["version"] for item in versions} == {"1.1.0", "2.0.1"}
    refused = call(account, "PUT", one, {"config": spec("3.0.0")})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "template_state")


def test_publishing_names_every_error_by_its_pointer(account: Account) -> None:
    broken = spec()
    broken["stages"]["A"]["steps"][2]["with"] = "no_such_prompt"
    broken["stages"]["B"]["next"] = "Z"
    draft = drafted(account, broken)
    assert len([item for item in draft["problems"] if item["severity"] == "error"]) == 2
    answer = call(account, "POST", f"{URL}/versions/{draft['id']}/publish", {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_config")
    assert {item["field"] for item in answer.json()["error"]["details"]} == {
        "/stages/A/steps/2/with",
        "/stages/B/next",
    }


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"config": "text"}, 400),
        ({"config": {"workspace": "general"}}, 400),
        ('{"config": ' + "[" * 100_000 + "]" * 100_000 + "}", 400),
        ("{", 400),
        ({"config": SPEC, "notes": "x" * 5000}, 400),
    ],
)
def test_bad_bodies_are_refused_in_the_error_format(account: Account, body: Any, status: int) -> None:
    answer = call(account, "POST", f"{URL}/versions", body)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_a_version_that_exists_is_a_conflict(account: Account) -> None:
    drafted(account, spec())
    answer = call(account, "POST", f"{URL}/versions", {"config": spec()})
    assert (answer.status_code, answer.json()["error"]["details"][0]["field"]) == (409, "/version")


def test_another_organizations_version_is_not_found(account: Account) -> None:
    draft, stranger = drafted(account, spec()), account_create(balance=0)
    one = f"{URL}/versions/{draft['id']}"
    assert call(stranger, "GET", one).status_code == 404
    assert call(stranger, "PUT", one, {"config": spec("2.0.1")}).status_code == 404
    assert call(stranger, "POST", f"{one}/publish", {}).status_code == 404
    assert call(account, "GET", f"/api/workflows/general/versions/{draft['id']}").status_code == 404


@pytest.mark.parametrize(("role", "draft_status", "publish_status"), [("member", 201, 403), ("viewer", 403, 403)])
def test_only_managers_publish(account: Account, role: str, draft_status: int, publish_status: int) -> None:
    draft = drafted(account, spec())
    with operator_atomic("test"):
        Membership.objects.filter(user=account.user).update(role=role)
    assert call(account, "POST", f"{URL}/versions", {"config": spec("2.0.1")}).status_code == draft_status
    assert call(account, "POST", f"{URL}/versions/{draft['id']}/publish", {}).status_code == publish_status
    assert call(account, "GET", URL).json()["version"] == "1.1.0"


def test_nobody_reads_without_a_key() -> None:
    assert Client().get(URL).status_code == 401


def test_the_versions_list_costs_the_same_however_long_it_is(account: Account) -> None:
    counts = []
    for version in ("2.0.0", "2.0.1"):
        drafted(account, spec(version))
        with CaptureQueriesContext(connection) as queries:
            call(account, "GET", f"{URL}/versions")
        counts.append(len(queries))
    assert counts[0] == counts[1]
