"""``check_runs`` says so when a history or a row was changed by hand, and is content otherwise."""

import json
import os
import uuid
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from psycopg import sql

from accounts_app.ids import uuid7
from accounts_app.tenancy.context import Tenant, bound, operator_context
from config.runtime.postgres import OWNER
from tests.factories.histories import copied_into, finished_run, old_month
from tests.factories.workflows import handlers, owner, started
from tests.integration.workflows_app.test_archive import MARCH, archived
from tests.support import services as support
from workflows_app.contracts import StepContext, StepResult
from workflows_app.exceptions import StepFailed
from workflows_app.services.checks import RunsReport, runs_check
from workflows_app.services.controls import run_cancel, run_pause, run_resume, run_retry, run_signal
from workflows_app.services.execution import run_advance

pytestmark = [
    pytest.mark.usefixtures("committed_db"),
    pytest.mark.odd_runs("they are tampered with, to see that this is noticed"),
]


@pytest.fixture
def tables(django_db_setup: None) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    """The tables' owner, above the policies; each statement is committed."""
    url = support.database_url(OWNER, os.environ["DEEPSPACE_TEST_DATABASE"])
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT set_config('app.operator', 'test', false)")
        yield connection


def checked(tenant: Tenant) -> RunsReport:
    with operator_context("test"):
        return runs_check(organization_id=tenant.organization_id)


def wrong(tenant: Tenant) -> dict[UUID, list[str]]:
    found: dict[UUID, list[str]] = {}
    for item in checked(tenant).differences:
        found.setdefault(item.run_id, []).append(item.what)
    return found


def command(tenant: Tenant, *arguments: str) -> str:
    out = StringIO()
    call_command("check_runs", "--organization", str(tenant.organization_id), *arguments, stdout=out)
    return out.getvalue()


def refuse(ctx: StepContext) -> StepResult:
    raise StepFailed("No.")


def note(ctx: StepContext) -> StepResult:
    return StepResult(output={"cost_usd": "0.1234567"}, set={ctx.step_key: {"n": 1.5, "list": [None, True]}})


def test_runs_of_every_kind_are_what_their_histories_say() -> None:
    tenant = owner()
    with handlers(note=note, refuse=refuse), bound(tenant):
        for control in (run_cancel, run_pause):
            control(run_id=started(tenant, "note").id)
        resumed = started(tenant, "note", "note").id
        run_pause(run_id=resumed)
        run_resume(run_id=resumed)
        run_signal(run_id=resumed, name="later", data={"a": 1})
        run_advance(run_id=resumed)
        failed = started(tenant, "note", "refuse").id
        run_advance(run_id=failed)
        run_retry(run_id=failed)
        run_advance(run_id=failed)
        run_advance(run_id=started(tenant, {"action": "wait", "params": {"signal": "go"}}).id)
    report = checked(tenant)
    assert (report.runs, report.older, report.archived, report.differences) == (5, 0, 0, [])
    assert report.events > 15
    assert "5 runs" in command(tenant)
    assert json.loads(command(tenant, "--json"))["differences"] == []


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ('context = context || \'{"first": "other"}\'', "context"),
        ("cost_usd = cost_usd + 0.0000000001", "cost_usd"),
        ("status = 'failed', error = '{\"code\": \"x\"}'", "status"),
        ("cursor = 0", "cursor"),
        ("steps = steps - 1", "steps"),
        ("visits = '{\"A\": 2}'", "visits"),
        ("steps_done = 9", "steps_done"),
        ("event_seq = event_seq - 1", "end"),
        ("last_event_id = gen_random_uuid()", "end"),
    ],
)
def test_a_changed_row_is_named(tables: "psycopg.Connection[tuple[Any, ...]]", change: str, part: str) -> None:
    tenant = owner()
    sound, harmed = finished_run(tenant), finished_run(tenant)
    assert wrong(tenant) == {}
    tables.execute(sql.SQL("UPDATE workflow_runs SET {} WHERE id = %s").format(sql.SQL(change)), [harmed])
    found = wrong(tenant)
    assert found.keys() == {harmed}
    assert part in found[harmed]
    assert sound not in found


LAST = "seq = (SELECT max(seq) FROM run_events WHERE run_id = %(run)s)"


@pytest.mark.parametrize(
    ("change", "which", "what"),
    [
        ("DELETE FROM run_events", "seq = 3", "chain"),
        ("DELETE FROM run_events", LAST, "end"),
        ("UPDATE run_events SET prev_event_id = gen_random_uuid()", "seq = 3", "chain"),
        ('UPDATE run_events SET data = data || \'{"set": {"first": 0}}\'', "type = 'step.completed'", "context"),
        ("UPDATE run_events SET type = 'step.skipped'", "type = 'step.completed'", "context"),
        ('UPDATE run_events SET data = \'{"scope": "stage"}\'', "type = 'run.created'", "fold"),
        ("DELETE FROM run_events", "true", "archive"),
    ],
)
def test_a_changed_history_is_named(
    tables: "psycopg.Connection[tuple[Any, ...]]", change: str, which: str, what: str
) -> None:
    tenant = owner()
    harmed, _sound = finished_run(tenant), finished_run(tenant)
    with tables.transaction():
        tables.execute("ALTER TABLE run_events DISABLE TRIGGER append_only")
        tables.execute(f"{change} WHERE run_id = %(run)s AND {which}".encode(), {"run": harmed})
        tables.execute("ALTER TABLE run_events ENABLE TRIGGER append_only")
    found = wrong(tenant)
    assert found.keys() == {harmed}
    assert what in found[harmed]
    with pytest.raises(CommandError, match="1 run"):
        command(tenant)


def test_the_command_names_the_run_and_both_values(tables: "psycopg.Connection[tuple[Any, ...]]") -> None:
    tenant = owner()
    harmed = finished_run(tenant)
    tables.execute("UPDATE workflow_runs SET cost_usd = 7 WHERE id = %s", [harmed])
    out = StringIO()
    with pytest.raises(CommandError) as refused:
        call_command("check_runs", "--organization", str(tenant.organization_id), "--json", stdout=out)
    assert refused.value.returncode == 1
    assert json.loads(out.getvalue())["differences"] == [
        {
            "run_id": str(harmed),
            "organization_id": str(tenant.organization_id),
            "what": "cost_usd",
            "stored": '"7.0000000000"',
            "derived": '"1.0"',
        }
    ]


def test_archived_histories_are_checked_where_they_lie(
    tables: "psycopg.Connection[tuple[Any, ...]]", settings: LazySettings, tmp_path: Path
) -> None:
    settings.MEDIA_ROOT = tmp_path
    tenant = owner()
    with old_month(tables, MARCH):
        (run_id,) = copied_into(tenant, finished_run(tenant), MARCH)
        archived()
        report = checked(tenant)
        assert (report.runs, report.archived, report.differences) == (2, 1, [])
        tables.execute("UPDATE workflow_runs SET cursor = 0 WHERE id = %s", [run_id])
        assert wrong(tenant) == {run_id: ["cursor"]}
        next(tmp_path.rglob("*.gz")).unlink()
        assert wrong(tenant) == {run_id: ["archive"]}


def test_runs_of_before_full_histories_are_counted_and_their_chains_checked(
    tables: "psycopg.Connection[tuple[Any, ...]]",
) -> None:
    tenant = owner()
    run_id = finished_run(tenant)
    with tables.transaction():
        tables.execute("ALTER TABLE run_events DISABLE TRIGGER append_only")
        tables.execute("UPDATE run_events SET data = '{}' WHERE run_id = %s AND type = 'run.created'", [run_id])
        tables.execute("ALTER TABLE run_events ENABLE TRIGGER append_only")
    report = checked(tenant)
    assert (report.runs, report.older, report.differences) == (1, 1, [])


def test_an_organization_alone_can_be_checked(tables: "psycopg.Connection[tuple[Any, ...]]") -> None:
    mine, theirs = owner(), owner()
    harmed = finished_run(theirs)
    finished_run(mine)
    tables.execute(sql.SQL("UPDATE workflow_runs SET cursor = 0 WHERE id = %s"), [harmed])
    assert wrong(mine) == {}
    assert wrong(theirs) == {harmed: ["cursor"]}
    with operator_context("test"):
        assert runs_check(after=uuid7()).runs == 0


@pytest.mark.parametrize("organization", ["nonsense", ""])
def test_the_command_refuses_nonsense(organization: str) -> None:
    with pytest.raises(CommandError):
        call_command("check_runs", "--organization", organization)


def test_nobody_elses_runs_are_needed_to_find_nothing() -> None:
    with operator_context("test"):
        assert runs_check(organization_id=uuid.uuid4()) == RunsReport()
