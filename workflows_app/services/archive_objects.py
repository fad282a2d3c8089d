"""The objects of the archive: how the events of some runs are packed, stored, and found again.

One object is a gzip file of JSON lines: first ``{"format", "organization_id", "month", "runs", "events"}``, then the
events, run by run in the order of their ids and within a run by number. An object says by itself what it holds, so
that the archive can be read without this program, and the table `RunArchive` be made anew from it.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from accounts_app.ids import uuid7_floor
from workflows_app.contracts import EventDetail, Json
from workflows_app.exceptions import HistoryDamaged, HistoryUnavailable
from workflows_app.models import RunArchive, RunEvent

FORMAT = "deepspace.run-events/1"
# An object is closed once it holds so much JSON (bytes): reading one run then takes tens of milliseconds.
FULL = 4 * 1024 * 1024


@dataclass(frozen=True)
class RunLines:
    """One run's events as they stand in an object."""

    run_id: UUID
    lines: Sequence[bytes]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(map(len, self.lines))


def event_line(row: RunEvent) -> bytes:
    """Return the event as one line of JSON, which begins with the run."""
    event: Json = {
        "run_id": str(row.run_id),
        "seq": row.seq,
        "id": str(row.id),
        "prev_event_id": str(row.prev_event_id) if row.prev_event_id else None,
        "type": row.type,
        "step_key": row.step_key,
        "attempt": row.attempt,
        "data": row.data,
        "trace_id": row.trace_id,
        "user_id": str(row.user_id) if row.user_id else None,
        "at": row.created_at.isoformat(),
    }
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def object_store(organization_id: UUID, month: date, runs: Sequence[RunLines]) -> RunArchive:
    """Write the runs into one object, read it back, and return its row, not saved yet.

    The key contains the checksum: writing the same again finds it there. Raises HistoryUnavailable when the storage
    does not answer, HistoryDamaged when it gives back something else.
    """
    events = sum(len(run.lines) for run in runs)
    head = {
        "format": FORMAT,
        "organization_id": str(organization_id),
        "month": f"{month:%Y-%m}",
        "runs": len(runs),
        "events": events,
    }
    plain = json.dumps(head).encode() + b"\n" + b"".join(line for run in runs for line in run.lines)
    body = gzip.compress(plain, mtime=0)
    checksum = hashlib.sha256(body).hexdigest()
    row = RunArchive(
        organization_id=organization_id,
        month=month,
        first_run_id=runs[0].run_id,
        last_run_id=runs[-1].run_id,
        storage_key=f"archive/run-events/{month:%Y-%m}/{organization_id}/{runs[0].run_id}-{checksum[:16]}.jsonl.gz",
        runs=len(runs),
        events=events,
        size=len(body),
        sha256=checksum,
    )
    if not _is_there(row):
        row.storage_key = _save(row.storage_key, body)
        object_verify(row)
    return row


def object_verify(row: RunArchive) -> None:
    """Read the object and compare it with its row. Raises HistoryUnavailable, HistoryDamaged."""
    if _plain(row).count(b"\n") != row.events + 1:
        raise HistoryDamaged


def object_delete(row: RunArchive) -> None:
    """Delete the object, if it is there. Raises HistoryUnavailable."""
    try:
        default_storage.delete(row.storage_key)
    except _storage_errors() as error:
        raise HistoryUnavailable from error


def object_events(row: RunArchive, run_id: UUID) -> Iterator[EventDetail]:
    """Yield one run's events in the order of their numbers. Raises HistoryUnavailable, HistoryDamaged."""
    begin = f'{{"run_id":"{run_id}",'.encode()
    for line in _plain(row).split(b"\n"):
        if line.startswith(begin):
            yield _event(json.loads(line))


def month_of(run_id: UUID) -> date:
    """Return the first day of the month that a UUIDv7 was made in, UTC."""
    moment = datetime.fromtimestamp((run_id.int >> 80) / 1000, UTC)
    return moment.date().replace(day=1)


def month_after(month: date, count: int = 1) -> date:
    """Return the first day of the month ``count`` later, or earlier."""
    months = month.year * 12 + month.month - 1 + count
    return date(months // 12, months % 12 + 1, 1)


def month_ids(month: date) -> tuple[UUID, UUID]:
    """Return where the ids of a month begin, and where those of the next one do."""
    first, second = (datetime(day.year, day.month, 1, tzinfo=UTC) for day in (month, month_after(month)))
    return uuid7_floor(first), uuid7_floor(second)


def _is_there(row: RunArchive) -> bool:
    """Whether an earlier try left the very object. A torn one is taken away."""
    try:
        if not default_storage.exists(row.storage_key):
            return False
        object_verify(row)
    except HistoryDamaged:
        object_delete(row)
        return False
    except _storage_errors() as error:
        raise HistoryUnavailable from error
    return True


def _storage_errors() -> tuple[type[Exception], ...]:
    """What a file storage that is away is noticed by; only asked when something went wrong: S3's client is large."""
    from botocore.exceptions import BotoCoreError, ClientError

    return (OSError, BotoCoreError, ClientError)


def _save(key: str, body: bytes) -> str:
    try:
        return str(default_storage.save(key, ContentFile(body)))
    except _storage_errors() as error:
        raise HistoryUnavailable from error


def _plain(row: RunArchive) -> bytes:
    try:
        with default_storage.open(row.storage_key) as file:
            body = file.read()
    except FileNotFoundError as error:
        raise HistoryDamaged from error
    except _storage_errors() as error:
        raise HistoryUnavailable from error
    if hashlib.sha256(body).hexdigest() != row.sha256:
        raise HistoryDamaged
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error) as error:
        raise HistoryDamaged from error


def _event(line: dict[str, Any]) -> EventDetail:
    before = line["prev_event_id"]
    return EventDetail(
        id=UUID(line["id"]),
        seq=line["seq"],
        prev_event_id=UUID(before) if before else None,
        type=line["type"],
        step_key=line["step_key"],
        data=line["data"],
        trace_id=line["trace_id"],
        at=line["at"],
        attempt=line["attempt"],
    )
