"""Months of run histories move to the file storage: written, read back, and only then dropped from the database.

A month goes when all its runs have finished. Each step can be repeated: whatever was killed in the middle leaves
objects that the next try finds, and the partition stays until all its events are in objects that were read back.
"""

import logging
import re
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Literal
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import QuerySet, Sum

from accounts_app.ids import uuid7_floor
from accounts_app.services.partitions import partition_drop_copied, partitions_list
from workflows_app.exceptions import HistoryDamaged, HistoryUnavailable
from workflows_app.models import RunArchive, RunEvent, WorkflowRun
from workflows_app.services import archive_objects
from workflows_app.services.archive_objects import (
    RunLines,
    month_after,
    month_ids,
    object_delete,
    object_store,
    object_verify,
)
from workflows_app.services.archive_runs import RunDamaged, runs_missing

TABLE = "run_events"
# A month in which something was written so lately is left alone; see partition_drop_copied.
QUIET = timedelta(hours=1)

logger = logging.getLogger(__name__)

Outcome = Literal["archived", "would archive", "open", "moving", "busy", "unfinished", "damaged", "unavailable"]


@dataclass(frozen=True)
class MonthReport:
    """What became of one month. ``size`` is that of its objects, in bytes.

    ``archived``: in objects, gone from the table. ``open``: ``runs`` of it have not finished. ``moving``: something
    was written within the last hour. ``busy``: the table's lock was not had. ``unfinished``: the time was up, the next
    try goes on. ``damaged``: ``run_id`` has a history with a hole, or an object does not give back what was written.
    ``unavailable``: the storage does not answer.
    """

    month: date
    outcome: Outcome
    runs: int = 0
    events: int = 0
    objects: int = 0
    size: int = 0
    run_id: UUID | None = None


class _TimeIsUp(Exception):
    """The rest comes next time."""


def runs_archive(*, before: date, dry_run: bool = False, seconds: float | None = None) -> list[MonthReport]:
    """Archive the months before the month of ``before``, oldest first, within about ``seconds``.

    Needs an operator context, and no open transaction. The last whole month and the running one always stay. With
    ``dry_run`` nothing is written. Never raises for what is wrong with one month: its report says it.
    """
    until = None if seconds is None else time.monotonic() + seconds
    months = [month for month in archivable_months() if month < before.replace(day=1)]
    return [_archive(month, until, dry_run=dry_run) for month in months]


def archivable_months(*, today: date | None = None) -> list[date]:
    """Return the months that are in the table and may leave it, oldest first."""
    last_whole = month_after(today or datetime.now(UTC).date(), -1)
    names = [partition.name for partition in partitions_list() if partition.table == TABLE]
    found = [re.fullmatch(rf"{TABLE}_(\d{{4}})_(\d\d)", name) for name in names]
    months = sorted(date(int(match[1]), int(match[2]), 1) for match in found if match)
    return [month for month in months if month < last_whole]


def retention_begins(today: date | None = None) -> date | None:
    """Return the first month that the setting keeps in the table; None when it keeps all."""
    months = settings.RUN_EVENTS_RETENTION_MONTHS
    return month_after(today or datetime.now(UTC).date(), -months) if months else None


def _archive(month: date, until: float | None, *, dry_run: bool) -> MonthReport:
    waiting = _not_yet(month)
    if waiting or dry_run:
        return waiting or MonthReport(month, "would archive", *_figures(month))
    try:
        _verify_earlier(month)
        for organization_id in _organizations(month):
            _archive_organization(organization_id, month, until)
        return _drop(month)
    except _TimeIsUp:
        return _said(MonthReport(month, "unfinished", *_written(month)))
    except RunDamaged as error:
        return _said(MonthReport(month, "damaged", run_id=error.run_id))
    except HistoryDamaged:
        return _said(MonthReport(month, "damaged"))
    except HistoryUnavailable:
        return _said(MonthReport(month, "unavailable", *_written(month)))
    except OperationalError:
        return _said(MonthReport(month, "busy", *_written(month)))


def _said(report: MonthReport) -> MonthReport:
    facts = {"month": f"{report.month:%Y-%m}", "outcome": report.outcome, "objects": report.objects}
    facts |= {"runs": report.runs, "events": report.events, "run_id": str(report.run_id or "")}
    done = report.outcome in {"archived", "unfinished"}
    logger.log(logging.INFO if done else logging.WARNING, "runs.archive", extra=facts)
    return report


@transaction.atomic
def _not_yet(month: date) -> MonthReport | None:
    begin, end = month_ids(month)
    unfinished = WorkflowRun.objects.filter(id__gte=begin, id__lt=end, finished_at__isnull=True).count()
    if unfinished:
        return MonthReport(month, "open", runs=unfinished)
    if _events(month).filter(id__gte=uuid7_floor(datetime.now(UTC) - QUIET)).exists():
        return MonthReport(month, "moving")
    return None


@transaction.atomic
def _figures(month: date) -> tuple[int, int]:
    return _events(month).values("run_id").distinct().count(), _events(month).count()


@transaction.atomic
def _written(month: date) -> tuple[int, int, int, int]:
    rows = RunArchive.objects.filter(month=month)
    sums = rows.aggregate(*(Sum(name, default=0) for name in ("runs", "events", "size")))
    return sums["runs__sum"], sums["events__sum"], rows.count(), sums["size__sum"]


@transaction.atomic
def _organizations(month: date) -> list[UUID]:
    begin, end = month_ids(month)
    runs = WorkflowRun.objects.filter(id__gte=begin, id__lt=end).order_by("organization_id")
    return list(runs.values_list("organization_id", flat=True).distinct())


def _verify_earlier(month: date) -> None:
    """Keep what earlier tries have written up to the first object that is not whole and true; take away the rest."""
    with transaction.atomic():
        rows = list(RunArchive.objects.filter(month=month).order_by("organization_id", "first_run_id"))
    for _organization_id, own in groupby(rows, key=lambda row: row.organization_id):
        last: UUID | None = None
        is_good = True
        for row in own:
            is_good = is_good and (last is None or row.first_run_id > last) and _is_whole(row)
            last = row.last_run_id
            if not is_good:
                _take_away(row)


def _is_whole(row: RunArchive) -> bool:
    with transaction.atomic():
        inside = _events(row.month).filter(organization_id=row.organization_id)
        found = inside.filter(run_id__gte=row.first_run_id, run_id__lte=row.last_run_id).count()
    try:
        object_verify(row)
    except HistoryDamaged:
        return False
    return found == row.events


def _take_away(row: RunArchive) -> None:
    # The row first: an object without one is found again by its name, a row without one is a loss.
    with transaction.atomic():
        row.delete()
    object_delete(row)


def _archive_organization(organization_id: UUID, month: date, until: float | None) -> None:
    runs: list[RunLines] = []
    size = 0
    for run in runs_missing(organization_id, month):
        runs.append(run)
        size += run.size
        if size >= archive_objects.FULL:
            _keep(object_store(organization_id, month, runs))
            runs, size = [], 0
            if until is not None and time.monotonic() > until:
                raise _TimeIsUp
    if runs:
        _keep(object_store(organization_id, month, runs))


def _keep(row: RunArchive) -> None:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:
        # Another archiver is at the same month; the sums decide whether all is there.
        logger.warning("runs.archive_twice", extra={"storage_key": row.storage_key})


def _drop(month: date) -> MonthReport:
    written = _written(month)
    is_gone = partition_drop_copied(TABLE, month, rows=written[1])
    return _said(MonthReport(month, "archived" if is_gone else "moving", *written))


def _events(month: date) -> QuerySet[RunEvent]:
    begin, end = month_ids(month)
    return RunEvent.objects.filter(run_id__gte=begin, run_id__lt=end)
