"""Months of histories that leave the database: nothing is lost, and all of it can still be opened."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import transaction

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.models import AuditLog
from accounts_app.services.partitions import partition_drop_copied
from accounts_app.tenancy.context import Tenant, bound, operator_atomic, operator_context
from config.runtime.postgres import OWNER
from tests.factories.histories import OldMonth, copied_into, finished_run, old_month
from tests.factories.workflows import acting, handlers, owner
from tests.support import services as support
from tests.support.object_store import ObjectStore, object_store
from workflows_app.contracts import EventDetail, StepContext, StepResult
from workflows_app.engine.state import state_rebuilt
from workflows_app.exceptions import HistoryDamaged, HistoryUnavailable, StepFailed
from workflows_app.models import RunArchive, RunEvent, WorkflowRun
from workflows_app.reads.history import history_facts, run_history
from workflows_app.services import archive_objects
from workflows_app.services.archive import MonthReport, archivable_months, retention_begins, runs_archive
from workflows_app.services.archive_objects import month_after, month_ids
from workflows_app.services.controls import run_retry
from workflows_app.services.execution import run_advance
from workflows_app.services.replays import run_replay
from workflows_app.services.store import state_of
from workflows_app.tasks import archive

pytestmark = pytest.mark.usefixtures("committed_db")

MARCH = date(2024, 3, 1)
APRIL = date(2024, 4, 1)


@pytest.fixture
def tables(django_db_setup: None) -> Iterator["psycopg.Connection[tuple[Any, ...]]"]:
    """The tables' owner; each statement is committed."""
    url = support.database_url(OWNER, os.environ["DEEPSPACE_TEST_DATABASE"])
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def march(committed_db: None, tables: "psycopg.Connection[tuple[Any, ...]]") -> Iterator[OldMonth]:
    with old_month(tables, MARCH) as month:
        yield month


@pytest.fixture(autouse=True)
def storage(settings: LazySettings, tmp_path: Path) -> Path:
    """The folder that stands for the file storage."""
    settings.MEDIA_ROOT = tmp_path / "media"
    return tmp_path / "media"


def objects_in(storage: Path) -> list[Path]:
    return sorted(storage.rglob("*.gz"))


def archived(before: date = APRIL, **options: Any) -> list[MonthReport]:
    with operator_context("test"):
        return runs_archive(before=before, **options)


def history(tenant: Tenant, run_id: UUID, **options: Any) -> list[EventDetail]:
    with acting(tenant):
        return run_history(run_id, **options)


def archives() -> list[RunArchive]:
    with operator_atomic("test"):
        return list(RunArchive.objects.filter(month=MARCH).order_by("first_run_id"))


def test_a_month_moves_to_the_storage_and_opens_as_before(march: OldMonth, storage: Path) -> None:
    tenant = owner()
    runs = copied_into(tenant, finished_run(tenant), MARCH, count=3)
    before = {run_id: history(tenant, run_id) for run_id in runs}
    (report,) = archived()
    assert (report.outcome, report.runs, report.objects) == ("archived", 3, 1)
    assert report.events == sum(map(len, before.values()))
    assert not march.is_there
    with acting(tenant):
        assert not RunEvent.objects.filter(run_id__in=runs).exists()
    assert {run_id: history(tenant, run_id) for run_id in runs} == before
    assert [event.type for event in before[runs[0]]][-1] == "run.completed"
    (kept,) = archives()
    assert (kept.runs, kept.events, kept.first_run_id, kept.last_run_id) == (3, report.events, runs[0], runs[2])
    assert [path.stat().st_size for path in objects_in(storage)] == [kept.size]


def test_pages_of_a_history_are_the_same_from_the_archive(march: OldMonth) -> None:
    tenant = owner()
    (run_id,) = copied_into(tenant, finished_run(tenant), MARCH)
    whole = history(tenant, run_id)
    pages = {
        (after, limit): history(tenant, run_id, after=after, limit=limit) for after in (0, 2, 99) for limit in (1, 3)
    }
    archived()
    assert not march.is_there
    assert {place: history(tenant, run_id, after=place[0], limit=place[1]) for place in pages} == pages
    assert pages[2, 3] == whole[2:5]
    assert pages[99, 1] == []


def test_a_run_is_rebuilt_from_the_archive_alone(march: OldMonth) -> None:
    tenant = owner()
    (run_id,) = copied_into(tenant, finished_run(tenant), MARCH)
    archived()
    with acting(tenant):
        assert state_rebuilt(history_facts(run_id)) == state_of(WorkflowRun.objects.get(pk=run_id))


def test_an_object_says_by_itself_what_it_holds(march: OldMonth, storage: Path) -> None:
    tenant = owner()
    (run_id,) = copied_into(tenant, finished_run(tenant), MARCH)
    archived()
    (path,) = objects_in(storage)
    head, *lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert head == {
        "format": "deepspace.run-events/1",
        "organization_id": str(tenant.organization_id),
        "month": "2024-03",
        "runs": 1,
        "events": len(lines),
    }
    assert {line["run_id"] for line in lines} == {str(run_id)}
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert str(tenant.organization_id) in str(path)


def test_every_organization_has_objects_of_its_own_and_reads_no_others(march: OldMonth, storage: Path) -> None:
    mine, theirs = owner(), owner()
    (my_run,) = copied_into(mine, finished_run(mine), MARCH)
    (their_run,) = copied_into(theirs, finished_run(theirs), MARCH)
    archived()
    assert len(objects_in(storage)) == 2
    assert history(mine, my_run)
    with pytest.raises(NotFound):
        history(mine, their_run)
    with acting(mine):
        assert {row.organization_id for row in RunArchive.objects.all()} == {mine.organization_id}


def test_a_tenant_cannot_write_what_the_archive_holds() -> None:
    tenant = owner()
    assert tenant.organization_id is not None
    with acting(tenant), pytest.raises(Exception, match="row-level security"), transaction.atomic():
        RunArchive.objects.create(
            organization_id=tenant.organization_id,
            month=MARCH,
            first_run_id=uuid.uuid4(),
            last_run_id=uuid.UUID(int=2**128 - 1),
            storage_key="somebody/else",
            runs=1,
            events=1,
            size=1,
            sha256="",
        )


def test_many_runs_are_spread_over_objects_of_which_one_has_each_run(
    march: OldMonth, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_objects, "FULL", 3000)
    tenant = owner()
    runs = copied_into(tenant, finished_run(tenant), MARCH, count=9)
    before = {run_id: history(tenant, run_id) for run_id in runs}
    (report,) = archived()
    assert report.objects == len(objects_in(storage)) > 2
    assert {run_id: history(tenant, run_id) for run_id in runs} == before


def test_a_month_with_a_run_under_way_stays(march: OldMonth, storage: Path) -> None:
    tenant = owner()
    (run_id,) = copied_into(tenant, finished_run(tenant), MARCH)
    with acting(tenant):
        WorkflowRun.objects.filter(pk=run_id).update(status="waiting", finished_at=None, wait={"kind": "signal"})
    assert archived() == [MonthReport(MARCH, "open", runs=1)]
    assert march.is_there
    assert objects_in(storage) == []


def test_months_of_the_retention_and_the_last_whole_one_stay(march: OldMonth, settings: LazySettings) -> None:
    today = datetime.now(UTC).date()
    assert archived(before=MARCH) == []
    assert march.is_there
    assert MARCH in archivable_months()
    assert all(month < month_after(today, -1) for month in archivable_months())
    settings.RUN_EVENTS_RETENTION_MONTHS = 0
    assert retention_begins() is None
    settings.RUN_EVENTS_RETENTION_MONTHS = 3
    assert retention_begins(date(2024, 2, 29)) == date(2023, 11, 1)


def test_the_hourly_job_archives_what_the_setting_lets_go(march: OldMonth, settings: LazySettings) -> None:
    tenant = owner()
    copied_into(tenant, finished_run(tenant), MARCH)
    settings.RUN_EVENTS_RETENTION_MONTHS = 0
    assert archive() == 0
    assert march.is_there
    settings.RUN_EVENTS_RETENTION_MONTHS = 12
    assert archive() == 1
    assert not march.is_there


def test_a_drop_is_on_record(march: OldMonth) -> None:
    tenant = owner()
    copied_into(tenant, finished_run(tenant), MARCH)
    (report,) = archived()
    with operator_atomic("test"):
        record = AuditLog.objects.filter(action="partition.drop", target_id=march.partition).latest("created_at")
    assert record.data == {"table": "run_events", "rows": report.events, "copied": True}


def test_without_a_storage_the_month_stays_and_goes_once_there_is_one(
    march: OldMonth, storage: Path, tmp_path: Path
) -> None:
    tenant = owner()
    (run_id,) = copied_into(tenant, finished_run(tenant), MARCH)
    before = history(tenant, run_id)
    storage.write_text("in the place of the folder")
    (report,) = archived()
    assert (report.outcome, report.objects) == ("unavailable", 0)
    assert march.is_there
    assert history(tenant, run_id) == before
    storage.unlink()
    assert [report.outcome for report in archived()] == ["archived"]
    assert history(tenant, run_id) == before


def test_an_archived_history_without_the_storage_is_an_error_and_not_empty(march: OldMonth, storage: Path) -> None:
    tenant = owner()
    (run_id,) = copied_into(tenant, finished_run(tenant), MARCH)
    archived()
    storage.rename(storage.with_name("elsewhere"))
    storage.write_text("in the place of the folder")
    with pytest.raises(HistoryUnavailable):
        history(tenant, run_id)


@pytest.fixture
def bucket(settings: LazySettings) -> Iterator[ObjectStore]:
    """A bucket in the place of the folder."""
    with object_store() as store:
        options = {
            "bucket_name": "deepspace",
            "endpoint_url": store.url,
            "region_name": "us-east-1",
            "access_key": "somebody",
            "secret_key": "only-for-tests",
            "file_overwrite": False,
        }
        backend = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}
        settings.STORAGES = settings.STORAGES | {"default": backend}
        yield store


def test_a_month_moves_to_a_bucket_and_opens_from_there(march: OldMonth, bucket: ObjectStore) -> None:
    tenant = owner()
    (run_id,) = copied_into(tenant, finished_run(tenant), MARCH)
    before = history(tenant, run_id)
    bucket.refuses = True
    assert [report.outcome for report in archived()] == ["unavailable"]
    bucket.refuses = False
    assert [report.outcome for report in archived()] == ["archived"]
    assert [f"/deepspace/{row.storage_key}" for row in archives()] == list(bucket.objects)
    assert history(tenant, run_id) == before
    bucket.refuses = True
    with pytest.raises(HistoryUnavailable):
        history(tenant, run_id)
    bucket.refuses = False
    bucket.objects.clear()
    with pytest.raises(HistoryDamaged):
        history(tenant, run_id)


@pytest.mark.parametrize("harm", ["deleted", "changed", "cut", "emptied"])
def test_an_object_that_is_not_what_was_written_is_an_error(march: OldMonth, storage: Path, harm: str) -> None:
    tenant = owner()
    (run_id,) = copied_into(tenant, finished_run(tenant), MARCH)
    archived()
    (path,) = objects_in(storage)
    body = path.read_bytes()
    match harm:
        case "deleted":
            path.unlink()
        case "changed":
            path.write_bytes(gzip.compress(gzip.decompress(body).replace(b"completed", b"completer")))
        case "cut":
            path.write_bytes(body[: len(body) // 2])
        case "emptied":
            path.write_bytes(b"")
    with pytest.raises(HistoryDamaged):
        history(tenant, run_id)


def test_an_object_left_torn_by_an_earlier_try_is_written_again(march: OldMonth, storage: Path) -> None:
    tenant = owner()
    (run_id,) = copied_into(tenant, finished_run(tenant), MARCH)
    before = history(tenant, run_id)
    with operator_atomic("test"):
        events = RunEvent.objects.filter(run_id=run_id).order_by("seq")
        lines = archive_objects.RunLines(run_id, [archive_objects.event_line(event) for event in events])
    assert tenant.organization_id is not None
    key = archive_objects.object_store(tenant.organization_id, MARCH, [lines]).storage_key
    (storage / key).write_bytes(b"torn")
    assert [report.outcome for report in archived()] == ["archived"]
    assert objects_in(storage) == [storage / key]
    assert history(tenant, run_id) == before


@pytest.mark.parametrize("harm", ["deleted", "grown"])
def test_what_earlier_tries_wrote_is_looked_at_again_before_the_month_goes(
    march: OldMonth, storage: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    monkeypatch.setattr(archive_objects, "FULL", 1)
    tenant = owner()
    runs = copied_into(tenant, finished_run(tenant), MARCH, count=3)
    assert [report.outcome for report in archived(seconds=0)] == ["unfinished"]
    assert len(objects_in(storage)) == 1
    assert march.is_there
    if harm == "deleted":
        objects_in(storage)[0].unlink()
    else:
        _append(march, tenant, runs[0])
    before = {run_id: history(tenant, run_id) for run_id in runs}
    assert [report.outcome for report in archived()] == ["archived"]
    assert {run_id: history(tenant, run_id) for run_id in runs} == before


def _append(march: OldMonth, tenant: Tenant, run_id: UUID) -> None:
    """One more event, of that time."""
    with acting(tenant):
        run = WorkflowRun.objects.get(pk=run_id)
        last = RunEvent.objects.get(run=run, seq=run.event_seq)
        event = RunEvent(
            id=UUID(int=last.id.int + 1),
            organization_id=run.organization_id,
            run=run,
            seq=run.event_seq + 1,
            prev_event_id=last.id,
            type="signal.received",
            data={"name": "late", "data": {}, "user_id": None},
        )
        event.save(force_insert=True)
        WorkflowRun.objects.filter(pk=run_id).update(event_seq=event.seq, last_event_id=event.id)


def test_a_month_is_not_dropped_when_the_copy_has_fewer_rows(march: OldMonth) -> None:
    tenant = owner()
    (run_id,) = copied_into(tenant, finished_run(tenant), MARCH)
    rows = len(history(tenant, run_id))
    with operator_context("test"):
        assert partition_drop_copied("run_events", MARCH, rows=rows - 1) is False
        assert partition_drop_copied("run_events", MARCH, rows=rows + 1) is False
        assert march.is_there
        assert partition_drop_copied("run_events", MARCH, rows=rows) is True
        assert partition_drop_copied("run_events", MARCH, rows=rows) is True
    assert not march.is_there


def test_a_month_that_was_written_to_just_now_stays(march: OldMonth) -> None:
    tenant = owner()
    run_id = _refused_run_in_march(tenant)
    with handlers(refused=_note), bound(tenant):
        run_retry(run_id=run_id)
        run_advance(run_id=run_id)
    rows = len(history(tenant, run_id))
    assert [report.outcome for report in archived()] == ["moving"]
    with operator_context("test"):
        assert partition_drop_copied("run_events", MARCH, rows=rows) is False
    assert march.is_there


def _note(ctx: StepContext) -> StepResult:
    return StepResult(set={"done": True})


def _refuse(ctx: StepContext) -> StepResult:
    raise StepFailed("No.")


def _refused_run_in_march(tenant: Tenant) -> UUID:
    (run_id,) = copied_into(tenant, finished_run(tenant, ["refused"], _refuse), MARCH)
    return run_id


def test_a_run_that_is_retried_after_its_month_went_has_one_history(march: OldMonth) -> None:
    tenant = owner()
    run_id = _refused_run_in_march(tenant)
    before = history(tenant, run_id)
    archived()
    assert not march.is_there
    with handlers(refused=_note), bound(tenant):
        with transaction.atomic():
            run_retry(run_id=run_id)
        run_advance(run_id=run_id)
    whole = history(tenant, run_id)
    assert whole[: len(before)] == before
    assert [event.type for event in whole[len(before) :]][-1] == "run.completed"
    assert [event.prev_event_id for event in whole] == [None, *(event.id for event in whole[:-1])]
    assert history(tenant, run_id, after=len(before) - 1, limit=2) == whole[len(before) - 1 : len(before) + 1]
    with acting(tenant):
        assert state_rebuilt(history_facts(run_id)) == state_of(WorkflowRun.objects.get(pk=run_id))


def test_an_archived_run_is_replayed(march: OldMonth) -> None:
    tenant = owner()
    run_id = _refused_run_in_march(tenant)
    archived()
    seq = next(event.seq for event in history(tenant, run_id) if event.type == "step.started")
    with handlers(refused=_note):
        with acting(tenant):
            again = run_replay(run_id=run_id, seq=seq - 1, key=uuid.uuid4().hex)
        with bound(tenant):
            run_advance(run_id=again.id)
    assert [event.type for event in history(tenant, again.id)][-1] == "run.completed"


def test_a_history_with_a_hole_keeps_its_month_and_is_named(march: OldMonth) -> None:
    tenant = owner()
    first, second = copied_into(tenant, finished_run(tenant), MARCH, count=2)
    with march.owner.transaction():
        march.owner.execute("SELECT set_config('app.operator', 'test', true)")
        march.owner.execute("ALTER TABLE run_events DISABLE TRIGGER append_only")
        march.owner.execute("DELETE FROM run_events WHERE run_id = %s AND seq = 2", [second])
        march.owner.execute("ALTER TABLE run_events ENABLE TRIGGER append_only")
    (report,) = archived()
    assert (report.outcome, report.run_id) == ("damaged", second)
    assert march.is_there
    assert history(tenant, first)
    with pytest.raises(HistoryDamaged):
        history(tenant, second)


@pytest.mark.parametrize("nonsense", [{"after": -1}, {"limit": 0}, {"limit": -5}])
def test_nonsense_is_refused(nonsense: dict[str, int]) -> None:
    tenant = owner()
    with pytest.raises(InvalidInput):
        history(tenant, uuid.uuid4(), **nonsense)


@pytest.mark.parametrize("run_id", [uuid.uuid4(), UUID(int=2**128 - 1), month_ids(MARCH)[0]])
def test_a_run_that_nobody_has_is_not_found(run_id: UUID) -> None:
    with pytest.raises(NotFound):
        history(owner(), run_id)


def command(*arguments: str) -> str:
    out = StringIO()
    call_command("archive_runs", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_says_what_it_would_do_and_does_it(march: OldMonth, storage: Path) -> None:
    tenant = owner()
    copied_into(tenant, finished_run(tenant), MARCH, count=2)
    assert "2024-03  would archive  2 runs, " in command("--before", "2024-04", "--dry-run")
    assert march.is_there
    assert objects_in(storage) == []
    assert "2024-03  archived       2 runs, " in command("--before", "2024-04")
    assert not march.is_there
    assert "no such month" in command("--before", "2024-04")


@pytest.mark.parametrize("arguments", [(), ("--before", "soon"), ("--before", "2024-13"), ("--before", "2024-04-01")])
def test_the_command_refuses_nonsense(arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        command(*arguments)


def test_the_command_fails_without_a_storage(march: OldMonth, storage: Path) -> None:
    tenant = owner()
    copied_into(tenant, finished_run(tenant), MARCH)
    storage.write_text("in the place of the folder")
    with pytest.raises(CommandError, match="no answer from the file storage"):
        command("--before", "2024-04")


KILLED = """
import django; django.setup()
from datetime import date
from accounts_app.tenancy.context import operator_context
from workflows_app.services import archive_objects
from workflows_app.services.archive import runs_archive
archive_objects.FULL = 1
with operator_context("test"):
    runs_archive(before=date(2024, 4, 1))
"""


def test_an_archiver_killed_in_the_middle_loses_nothing(march: OldMonth, storage: Path) -> None:
    tenant = owner()
    runs = copied_into(tenant, finished_run(tenant), MARCH, count=60)
    before = {run_id: history(tenant, run_id) for run_id in (runs[0], runs[31], runs[59])}
    environment = os.environ | {"DATA_DIR": str(storage.parent)}
    process = subprocess.Popen([sys.executable, "-c", KILLED], env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    until = time.monotonic() + 120
    while len(objects_in(storage)) < 3:
        assert time.monotonic() < until
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    assert march.is_there
    assert {run_id: history(tenant, run_id) for run_id in before} == before
    assert 0 < len(archives()) < 60
    assert [report.outcome for report in archived()] == ["archived"]
    assert not march.is_there
    assert {run_id: history(tenant, run_id) for run_id in before} == before
    assert sum(row.runs for row in archives()) == 60
