"""The list of executions: filters, search, pages that stay, statistics, how many statements each takes."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts_app.tenancy.context import operator_atomic
from tests.factories.executions import URL, call, start, template
from tests.factories.workflows import acting
from tests.support.accounts import Account, account_create
from workflows_app.models import RunStatistic, RunStatus, WorkflowConfig, WorkflowRun
from workflows_app.models.run import FINISHED

pytestmark = pytest.mark.django_db
# Of the frame around a request: savepoints and the recognition of the caller.
_NOT_COUNTED = ("SAVEPOINT", "RELEASE", '"api_keys"', '"memberships"', '"ip_rules"')
NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)


@pytest.fixture
def account() -> Account:
    return account_create(balance=0)


def put(account: Account, config: WorkflowConfig, status: str = "completed", **fields: Any) -> str:
    """Write a run's row as it would stand."""
    assert account.tenant.organization_id
    created = fields.pop("created_at", None)
    ended = status in FINISHED
    failed = {"error": {"code": "provider_error", "message": "The provider did not answer."}}
    values: dict[str, Any] = {
        "organization_id": account.tenant.organization_id,
        "config": config,
        "workspace_key": "general",
        "scope": "workflow",
        "idempotency_key": uuid.uuid4().hex,
        "status": status,
        "stage": "A",
        "steps": [],
        "is_ready": False,
        "wait": {"kind": "timer"} if status == "waiting" else None,
        "started_at": created or timezone.now(),
        "finished_at": timezone.now() if ended else None,
        **(failed if status == "failed" else {}),
    }
    with acting(account.tenant):
        run = WorkflowRun.objects.create(**values | fields)
        if created:
            WorkflowRun.objects.filter(pk=run.pk).update(created_at=created)
    return str(run.pk)


def found(account: Account, **query: Any) -> list[str]:
    answer = call(account, "GET", f"{URL}?" + "&".join(f"{name}={value}" for name, value in query.items()))
    assert answer.status_code == 200, answer.content
    return [run["id"] for run in answer.json()["results"]]


def test_the_list_is_newest_first_and_ones_own(account: Account) -> None:
    config = template(account)
    runs = [put(account, config) for _number in range(3)]
    other = account_create(balance=0)
    put(other, template(other))
    assert found(account) == runs[::-1]


def test_one_or_several_statuses(account: Account) -> None:
    config = template(account)
    runs = {status: put(account, config, status) for status in RunStatus.values}
    assert found(account, status="waiting") == [runs["waiting"]]
    both = [runs["failed"], runs["paused"]]
    assert found(account, status="paused,failed") == both
    answer = call(account, "GET", f"{URL}?status=paused&status=failed&status=paused")
    assert [run["id"] for run in answer.json()["results"]] == both


def test_a_template_by_name_version_and_id(account: Account) -> None:
    old = template(account, name="report", version="1.0.0")
    new = template(account, name="report", version="1.1.0")
    runs = {config: put(account, config) for config in (old, new, template(account))}
    assert found(account, template="report") == [runs[new], runs[old]]
    assert found(account, template="report@1.0.0") == [runs[old]]
    assert found(account, template=new.pk) == [runs[new]]
    assert found(account, template="nothing") == found(account, template=uuid.uuid4()) == []
    assert found(account, template="report", status="failed,completed") == [runs[new], runs[old]]


def test_what_a_run_is_part_of(account: Account) -> None:
    config, task = template(account), uuid.uuid4()
    root = put(account, config, subject_id=task, trace_id="a" * 32)
    branch = put(account, config, parent_id=root, branch=0, scope="stage")
    replay = put(account, config, origin_id=root, origin_seq=3)
    assert found(account, task=task) == found(account, trace_id="a" * 32) == [root]
    assert found(account, parent=root) == found(account, scope="stage") == [branch]
    assert found(account, origin=root) == [replay]
    assert found(account, roots="true") == [replay, root]


def test_a_span_of_time(account: Account) -> None:
    config = template(account)
    runs = [put(account, config, created_at=NOON + timedelta(hours=hours)) for hours in range(4)]
    moments = [(NOON + timedelta(hours=hours)).isoformat().replace("+00:00", "Z") for hours in (1, 3)]
    assert found(account, created_after=moments[0], created_before=moments[1]) == [runs[2], runs[1]]


def test_the_code_of_an_error(account: Account) -> None:
    config = template(account)
    failed = put(account, config, "failed")
    put(account, config, "failed", error={"code": "limit_cost", "message": "Too dear."})
    assert found(account, error="provider_error") == [failed]
    assert found(account, error="provider_error", status="completed") == []


def test_search_finds_ids_messages_and_templates(account: Account) -> None:
    report, other = template(account, name="Weekly report"), template(account)
    runs = [put(account, report), put(account, other), put(account, other, "failed")]
    other_one = put(account, other, id=uuid.uuid4())
    assert found(account, q=other_one[:8]) == [other_one]
    assert found(account, q=other_one) == found(account, q=other_one.upper()) == [other_one]
    assert found(account, q="DID NOT ANSWER") == [runs[2]]
    assert found(account, q="weekly") == [runs[0]]
    assert found(account, q="weekly", status="failed") == []
    assert found(account, q="100%25") == found(account, q="nothing of the kind") == []


def test_what_is_found_twice_is_listed_once(account: Account) -> None:
    config = template(account, name="provider")
    failed = put(account, config, "failed")
    assert found(account, q="provider") == [failed]


@pytest.mark.parametrize("query", ["", "&status=completed,failed", "&q=provider"])
def test_pages_stay_while_runs_are_added(account: Account, query: str) -> None:
    config = template(account, name="provider")
    moment = timezone.now()
    # Several of one moment, as a fan-out makes them.
    runs = [
        put(account, config, ("completed", "failed")[number % 2], created_at=moment + timedelta(seconds=number // 3))
        for number in range(11)
    ]
    seen: list[str] = []
    backwards: list[str] = []
    address = f"{URL}?limit=4{query}"
    while address:
        page = call(account, "GET", address).json()
        seen += [run["id"] for run in page["results"]]
        put(account, config, created_at=moment + timedelta(seconds=100))
        address, backwards = page["next"], [*backwards, page["previous"]]
    assert len(seen) == len(set(seen)) == 11
    assert set(seen) == set(runs)
    before = call(account, "GET", backwards[-1]).json()["results"]
    assert [run["id"] for run in before] == seen[4:8]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status"),
        ("status=failed,done", "status"),
        ("task=mine", "task"),
        ("trace_id=xyz", "trace_id"),
        ("parent=1", "parent"),
        ("origin=1", "origin"),
        ("roots=perhaps", "roots"),
        ("scope=all", "scope"),
        ("created_after=yesterday", "created_after"),
        ("created_before=2026-13-01", "created_before"),
        ("q=a%00b", "q"),
        ("q=" + "x" * 201, "q"),
        ("template=" + "x" * 201, "template"),
        ("error=" + "x" * 101, "error"),
    ],
)
def test_a_filter_that_makes_no_sense_names_its_field(account: Account, query: str, field: str) -> None:
    answer = call(account, "GET", f"{URL}?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"].startswith(field)


@pytest.mark.parametrize("cursor", ["x", "cD1hYmM%3D", "cD0yMDI2LTEzLTQx"])
def test_a_cursor_that_was_made_up_is_not_found(account: Account, cursor: str) -> None:
    assert call(account, "GET", f"{URL}?cursor={cursor}").status_code == 404


PINNED = {
    # The page.
    "": 1,
    "?status=failed": 1,
    # Which of both are the newest, and those.
    "?status=failed,completed": 2,
    # Which template is meant.
    "?template=report": 2,
    "?q=report": 3,
    # Sums of the roll-up, and what is unfinished; where there are sums, the templates' names too.
    "/statistics": 2,
    # The run; its attempts, counted.
    "/{id}": 2,
    # The run, and a page.
    "/{id}/history?after=10": 1,
    "/{id}/steps": 2,
    "/{id}/logs": 2,
    "/{id}/children": 2,
}


@pytest.mark.parametrize("path", PINNED)
def test_statements_of_an_address(account: Account, path: str) -> None:
    config = template(account, name="report")
    runs = [put(account, config, status) for status in ("completed", "failed") * 5]
    with CaptureQueriesContext(connection) as captured:
        answer = call(account, "GET", URL + path.format(id=runs[0]))
    assert answer.status_code == 200, answer.content
    said = [query["sql"] for query in captured if not any(word in query["sql"] for word in _NOT_COUNTED)]
    assert len(said) == PINNED[path], "\n".join(said)


def test_statements_of_a_start(account: Account) -> None:
    config = template(account)
    start(account, config, key="warm")
    with CaptureQueriesContext(connection) as captured:
        assert start(account, config, key="one", input={"a": 1}).status_code == 201
    said = [query["sql"] for query in captured if not any(word in query["sql"] for word in _NOT_COUNTED)]
    # The key, the template; place, run and event in one; the audit row.
    assert len(said) == 4, "\n".join(said)


def test_statistics_come_from_the_roll_up(account: Account) -> None:
    config, other = template(account, name="report"), template(account, name="other")
    put(account, other, "running")
    with operator_atomic("test"):
        for status, count, cost in (("created", 4, 0), ("completed", 3, "0.75"), ("failed", 1, 0)):
            RunStatistic.objects.create(
                organization_id=account.organization_id,
                grain="day",
                since=NOON.replace(hour=0),
                config_id=config.pk,
                kind="workflow",
                status=status,
                bucket=60,
                count=count,
                cost_usd=cost,
                duration_ms=1000 * count,
                example_id=uuid.uuid4(),
            )
    span = "?since=2026-01-10&until=2026-01-11"
    body = call(account, "GET", f"{URL}/statistics{span}").json()
    assert body["totals"] == {"created": 4, "completed": 3, "failed": 1, "cancelled": 0}
    assert (body["unfinished"]["running"], body["success_rate"], body["cost_usd"]) == (1, 0.75, "0.7500000000")
    assert body["p50_ms"] == body["p95_ms"] == body["days"][0]["figures"]["p50_ms"] > 0
    assert [day["day"] for day in body["days"]] == ["2026-01-10", "2026-01-11"]
    assert [each["template"] for each in body["templates"]] == [
        {"id": str(config.pk), "name": "report", "version": "1.0.0"}
    ]
    only = call(account, "GET", f"{URL}/statistics{span}&template=other").json()
    assert (only["totals"]["created"], only["success_rate"], only["unfinished"]["running"]) == (0, None, 1)


def test_statistics_of_a_week_unless_said_otherwise(account: Account) -> None:
    body = call(account, "GET", f"{URL}/statistics").json()
    assert (len(body["days"]), body["until"]) == (7, timezone.now().date().isoformat())
    assert (body["templates"], body["p95_ms"], body["cost_usd"]) == ([], None, "0.0000000000")


@pytest.mark.parametrize(
    "query",
    [
        "since=2026-01-02&until=2026-01-01",
        "since=2026-01-01&until=2026-04-03",
        "since=whenever",
    ],
)
def test_statistics_of_a_span_that_makes_no_sense(account: Account, query: str) -> None:
    answer = call(account, "GET", f"{URL}/statistics?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "since"
