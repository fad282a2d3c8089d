"""Log lines of steps, from the handler to the reader: stored, searched, live, bounded, and never in the step's way."""

import logging
import subprocess
import sys
import threading
import uuid
from typing import Any
from uuid import UUID

import pytest
from django.conf import LazySettings
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import Tenant, bound, operator_atomic
from config import metrics
from gateway_app.models import LiveStream
from gateway_app.services.streams import stream_open
from tests.factories.workflows import acting, handlers, owner, started
from tests.support.gate import Gate
from tests.support.processes import wait_until
from workflows_app.contracts import LogLine, StepContext, StepResult
from workflows_app.models import RunLog
from workflows_app.reads.logs import run_logs
from workflows_app.selectors import run_get
from workflows_app.services import run_logs as kept
from workflows_app.services.claims import Claim, run_claim
from workflows_app.services.execution import run_advance
from workflows_app.services.live import Silence
from workflows_app.services.run_logs import step_logs

pytestmark = pytest.mark.usefixtures("committed_db")

SOMEBODY = logging.getLogger("somebody.else")


def talk(ctx: StepContext) -> StepResult:
    ctx.log("Reading the brief", words=12)
    SOMEBODY.warning("slow answer", extra={"seconds": 3})
    ctx.log("Found 100% of the ERRORS_", level="error", file="tea.md")
    return StepResult()


def silent(ctx: StepContext) -> StepResult:
    return StepResult()


def claimed() -> tuple[Tenant, Claim]:
    """A run whose step a worker has begun."""
    tenant = owner()
    with handlers(silent=silent):
        run = started(tenant, "silent")
        with acting(tenant):
            claim = run_claim(run.id)
    assert claim is not None
    return tenant, claim


def done(tenant: Tenant, *steps: Any, **fields: Any) -> UUID:
    run = started(tenant, *steps, **fields)
    with bound(tenant):
        run_advance(run_id=run.id)
    return run.id


def lines_of(tenant: Tenant, run_id: UUID, **options: Any) -> list[LogLine]:
    with acting(tenant):
        return list(run_logs(run_id, **options))


def said(tenant: Tenant, run_id: UUID, **options: Any) -> list[str]:
    return [line.message for line in lines_of(tenant, run_id, **options)]


def test_what_a_step_says_is_stored_with_its_run() -> None:
    tenant = owner()
    with handlers(talk=talk, silent=silent):
        run_id = done(tenant, "silent", "talk")
    lines = lines_of(tenant, run_id)
    assert [(line.seq, line.level, line.logger, line.message, line.data) for line in lines] == [
        (1, "info", "workflows.step", "Reading the brief", {"words": 12}),
        (2, "warning", "somebody.else", "slow answer", {"seconds": 3}),
        (3, "error", "workflows.step", "Found 100% of the ERRORS_", {"file": "tea.md"}),
    ]
    assert {(line.step_key, line.path, line.attempt) for line in lines} == {("talk", "A/talk", 1)}
    assert [line.at for line in lines] == sorted(line.at for line in lines)


def test_lines_are_searched_by_step_level_and_text() -> None:
    tenant = owner()
    with handlers(talk=talk):
        run_id = done(tenant, "talk", "talk")
    assert len(said(tenant, run_id)) == 6
    assert {line.step_key for line in lines_of(tenant, run_id, step="talk-2")} == {"talk-2"}
    assert len(said(tenant, run_id, step="A/talk-2")) == 3
    assert said(tenant, run_id, step="nowhere") == []
    assert said(tenant, run_id, step="talk", level="warning") == ["slow answer", "Found 100% of the ERRORS_"]
    assert said(tenant, run_id, step="talk", level="critical") == []
    assert said(tenant, run_id, step="talk", q="errors_") == ["Found 100% of the ERRORS_"]
    assert said(tenant, run_id, step="talk", q="0% of") == ["Found 100% of the ERRORS_"]
    assert said(tenant, run_id, step="talk", q="TEA.md") == ["Found 100% of the ERRORS_"]
    assert said(tenant, run_id, q="'; DROP TABLE run_logs; --") == []


def test_lines_come_in_pages() -> None:
    tenant = owner()
    with handlers(talk=talk):
        run_id = done(tenant, "talk")
    assert [line.seq for line in lines_of(tenant, run_id, limit=2)] == [1, 2]
    assert [line.seq for line in lines_of(tenant, run_id, after=2, limit=2)] == [3]
    assert lines_of(tenant, run_id, after=3) == []


@pytest.mark.parametrize(
    "nonsense",
    [{"level": "loud"}, {"q": "x" * 201}, {"q": "\0"}, {"after": -1}, {"after": 2**31}, {"limit": 0}, {"limit": 1001}],
)
def test_nonsense_is_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        lines_of(owner(), uuid.uuid4(), **nonsense)


def test_somebody_elses_lines_are_not_found() -> None:
    mine, theirs = owner(), owner()
    with handlers(talk=talk):
        run_id = done(theirs, "talk")
    with pytest.raises(NotFound):
        lines_of(mine, run_id)
    with acting(mine):
        assert not RunLog.objects.filter(run_id=run_id).exists()


def test_lines_appear_live_before_the_step_has_ended(settings: LazySettings) -> None:
    tenant = owner()
    seen: list[list[str]] = []

    def slow(ctx: StepContext) -> StepResult:
        ctx.log("begun")
        wait_until(lambda: bool(_committed(ctx.run_id)), timeout=30)
        seen.append(_committed(ctx.run_id))
        ctx.log("nearly done")
        return StepResult()

    with acting(tenant):
        stream_id = stream_open(kind="run", subject_id=uuid.uuid4())
    with handlers(slow=slow):
        run_id = done(tenant, "slow", stream_id=stream_id)
    assert seen == [["begun"]]
    with acting(tenant):
        events = LiveStream.objects.get(pk=stream_id).events
    told = [event["data"] for event in events if event["type"] == "log"]
    assert [(item["step"], item["attempt"]) for item in told] == [("slow", 1), ("slow", 1)]
    assert [[(line["seq"], line["level"], line["message"]) for line in item["lines"]] for item in told] == [
        [(1, "info", "begun")],
        [(2, "info", "nearly done")],
    ]
    types = [event["type"] for event in events]
    assert types.index("step.completed") > max(n for n, name in enumerate(types) if name == "log")
    assert said(tenant, run_id) == ["begun", "nearly done"]


def _committed(run_id: UUID) -> list[str]:
    """As another process sees it."""
    with operator_atomic("test"):
        return list(RunLog.objects.filter(run_id=run_id).order_by("seq").values_list("message", flat=True))


def test_every_attempt_has_its_lines_and_a_crash_its_trace() -> None:
    tenant = owner()

    def flaky(ctx: StepContext) -> StepResult:
        ctx.log(f"try {ctx.attempt}")
        if ctx.attempt == 1:
            raise ConnectionResetError("by peer")
        raise ZeroDivisionError("a bug")

    with handlers(flaky=flaky):
        run_id = done(tenant, {"action": "flaky", "attempts": 3, "backoff": 0.01})
    lines = lines_of(tenant, run_id)
    assert [(line.attempt, line.message) for line in lines] == [
        (1, "try 1"),
        (1, "workflow.step_interrupted"),
        (2, "try 2"),
        (2, "workflow.step_crashed"),
    ]
    assert lines[1].data["exception"].endswith("ConnectionResetError: by peer")
    assert lines[3].data["exception"].endswith("ZeroDivisionError: a bug")


def test_an_attempt_that_says_too_much_is_cut_short_and_counted(settings: LazySettings) -> None:
    settings.RUN_LOG_LINES_PER_ATTEMPT = 20
    tenant = owner()
    before = dropped("limit")

    def chatty(ctx: StepContext) -> StepResult:
        for number in range(700):
            ctx.log(str(number))
        return StepResult()

    with handlers(chatty=chatty):
        run_id = done(tenant, "chatty", "chatty")
    lines = lines_of(tenant, run_id, step="chatty")
    assert [line.message for line in lines[:20]] == [str(number) for number in range(20)]
    assert [line.message for line in lines[20:]] == ["Only the first 20 lines of an attempt are kept."]
    assert len(lines_of(tenant, run_id, step="chatty-2")) == 21
    assert dropped("limit") - before == 2 * 680


def dropped(why: str) -> float:
    return float(metrics.child(metrics.RUN_LOG_LINES_DROPPED, why)._value.get())


def test_many_lines_are_written_in_order_and_few_statements() -> None:
    tenant = owner()

    def chatty(ctx: StepContext) -> StepResult:
        for number in range(900):
            ctx.log(str(number))
        return StepResult()

    with handlers(chatty=chatty):
        run_id = done(tenant, "chatty")
    assert said(tenant, run_id, limit=1000) == [str(number) for number in range(900)]


@pytest.mark.parametrize("joins", ["enable_hashjoin", "enable_mergejoin", "enable_nestloop"])
def test_lines_are_inserted_in_their_order_whatever_the_planner_does(joins: str) -> None:
    """Two who want the same numbers in different orders would each wait for the other."""
    tenant, claim = claimed()
    with bound(tenant), transaction.atomic(), connection.cursor() as cursor:
        for method in {"enable_hashjoin", "enable_mergejoin", "enable_nestloop"} - {joins}:
            cursor.execute(f"SET LOCAL {method} = off")
        with step_logs(claim, Silence()):
            for number in range(200):
                SOMEBODY.warning("%s", number)
        cursor.execute("SELECT seq FROM run_logs WHERE run_id = %s ORDER BY tableoid, ctid", [claim.run.id])
        assert [seq for (seq,) in cursor.fetchall()] == list(range(1, 201))


def test_two_workers_that_write_about_one_run_get_numbers_of_their_own() -> None:
    tenant, claim = claimed()
    ready = threading.Barrier(4)

    def worker(number: int) -> None:
        with bound(tenant), step_logs(claim, Silence()):
            ready.wait(60)
            for each in range(20):
                SOMEBODY.warning("%s %s", number, each)
        connection.close()

    threads = [threading.Thread(target=worker, args=[number]) for number in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = lines_of(tenant, claim.run.id)
    assert [line.seq for line in lines] == list(range(1, 81))
    assert sorted(line.message for line in lines) == sorted(f"{n} {each}" for n in range(4) for each in range(20))


def test_lines_wait_for_a_database_that_is_away_and_the_step_does_not(database_gate: Gate) -> None:
    tenant, claim = claimed()
    with bound(tenant), step_logs(claim, Silence()):
        SOMEBODY.warning("nobody hears this yet")
        database_gate.shut()
    database_gate.open()
    wait_until(lambda: bool(_committed(claim.run.id)), timeout=30)
    assert said(tenant, claim.run.id) == ["nobody hears this yet"]


def test_lines_are_dropped_and_counted_when_the_database_stays_away(
    database_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "PATIENCE", 0.0)
    tenant, claim = claimed()
    before = dropped("database")
    with bound(tenant), step_logs(claim, Silence()):
        SOMEBODY.warning("never kept")
        database_gate.shut()
    wait_until(lambda: dropped("database") == before + 1, timeout=30)
    database_gate.open()
    assert said(tenant, claim.run.id) == []


def test_a_step_that_says_nothing_costs_no_statement(django_assert_num_queries: Any) -> None:
    tenant, claim = claimed()
    with bound(tenant), django_assert_num_queries(0), step_logs(claim, Silence()):
        pass


def test_the_writer_rests_when_nothing_is_left_to_write() -> None:
    tenant = owner()
    with handlers(talk=talk):
        done(tenant, "talk")
    assert wait_until(lambda: not any(thread.name == "run-logs" for thread in threading.enumerate()), timeout=30)


def _row(tenant: Tenant, run_id: UUID, **fields: Any) -> RunLog:
    assert tenant.organization_id is not None
    values = {"seq": 1, "path": "A/x", "step_key": "x", "attempt": 1, "level": "info", "logger": "l", "message": "m"}
    return RunLog(organization_id=tenant.organization_id, run_id=run_id, at=timezone.now(), **(values | fields))


def test_a_number_comes_once_in_a_run_and_levels_are_known() -> None:
    tenant = owner()
    with handlers(talk=talk):
        run_id = done(tenant, "talk")
    for fields, name in (({"seq": 3}, "seq"), ({"seq": 9, "level": "loud"}, "run_log_level_known")):
        with acting(tenant), pytest.raises(IntegrityError, match=name), transaction.atomic():
            _row(tenant, run_id, **fields).save(force_insert=True)


def test_lines_are_never_changed_and_lie_in_the_month_of_their_run() -> None:
    tenant = owner()
    with handlers(talk=talk):
        run_id = done(tenant, "talk")
    with acting(tenant), connection.cursor() as cursor:
        cursor.execute("SELECT DISTINCT tableoid::regclass::text FROM run_logs WHERE run_id = %s", [run_id])
        assert cursor.fetchall() == [(f"run_logs_{timezone.now():%Y_%m}",)]
    with acting(tenant), pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        RunLog.objects.filter(run_id=run_id).update(message="other")


def test_months_of_lines_have_a_retention(settings: LazySettings) -> None:
    assert "run_logs" in settings.PARTITION_RETENTION_MONTHS


def test_operators_look_at_lines_and_archives_in_the_admin_and_change_nothing(client: Client) -> None:
    tenant = owner()
    with handlers(talk=talk):
        run_id = done(tenant, "talk")
    with transaction.atomic():
        client.force_login(user_create(email=f"{uuid.uuid4().hex}@example.com", is_operator=True))
    with operator_atomic("test"):
        line = RunLog.objects.filter(run_id=run_id).latest("seq")
    lines = client.get(reverse("admin:workflows_app_runlog_changelist"), {"q": str(run_id)})
    assert [name in lines.content.decode() for name in ("slow answer", str(run_id), "A/talk")] == [True] * 3
    assert client.get(reverse("admin:workflows_app_runlog_change", args=[line.id])).status_code == 200
    assert client.get(reverse("admin:workflows_app_runarchive_changelist"), {"q": "x"}).status_code == 200
    for name in ("runlog", "runarchive"):
        assert client.get(reverse(f"admin:workflows_app_{name}_add")).status_code == 403


SPEAKER = """
import django; django.setup()
import sys, time
from uuid import UUID
from accounts_app.tenancy.context import bound, Tenant
from tests.factories.workflows import handlers
from workflows_app.services.execution import run_advance

def speak(ctx):
    ctx.log("before the end")
    time.sleep(120)

with bound(Tenant(organization_id=UUID(sys.argv[1]))), handlers(speak=speak):
    run_advance(run_id=UUID(sys.argv[2]))
"""


def test_the_lines_of_a_worker_that_is_killed_are_kept() -> None:
    tenant = owner()
    with handlers(speak=silent):
        run = started(tenant, "speak")
    worker = subprocess.Popen([sys.executable, "-c", SPEAKER, str(tenant.organization_id), str(run.id)])
    try:
        wait_until(lambda: bool(_committed(run.id)), timeout=120)
    finally:
        worker.kill()
        worker.wait()
    assert said(tenant, run.id) == ["before the end"]
    with handlers(speak=talk), bound(tenant):
        wait_until(lambda: _advanced(tenant, run.id), timeout=60)
    lines = lines_of(tenant, run.id)
    assert [(line.seq, line.attempt) for line in lines] == [(1, 1), (2, 2), (3, 2), (4, 2)]


def _advanced(tenant: Tenant, run_id: UUID) -> bool:
    run_advance(run_id=run_id)
    with acting(tenant):
        return run_get(run_id).is_finished
