"""Keeps the log lines of steps: collects them beside the step, writes them in batches, tells the run's readers.

A step never waits for a line of its own, and never fails for one: lines are written each second by a thread of the
process, and what is left when the step ends, then. Without a database they are kept for a while and then dropped.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice

from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction
from django.db import Error as DatabaseError

from accounts_app.tenancy.context import Tenant, bound
from config import metrics
from workflows_app.contracts import Json, Publisher
from workflows_app.logs import Line, collecting
from workflows_app.services.claims import Claim
from workflows_app.services.store import state_of

# Seconds between two batches of a step; lines of one; lines and characters that a step's live readers are told.
EACH = 1.0
BATCH = 500
LIVE_LINES = 200
LIVE_CHARACTERS = 500
# Seconds for which lines of a step that has ended wait for the database.
PATIENCE = 60.0
# Another worker may still write about the same run, one that has lost it.
_TRIES = 5

_WRITE = """
    INSERT INTO run_logs (id, organization_id, run_id, seq, path, step_key, attempt, level, logger, message, data, at)
    SELECT line.id, %(organization)s, %(run)s, last.seq + line.number, %(path)s, %(step)s, %(attempt)s,
           line.level, line.logger, line.message, line.data, line.at
    FROM ROWS FROM (jsonb_to_recordset(%(lines)s::jsonb)
        AS (id uuid, level text, logger text, message text, data jsonb, at timestamptz)) WITH ORDINALITY
        AS line (id, level, logger, message, data, at, number),
        (SELECT coalesce(max(seq), 0) AS seq FROM run_logs WHERE run_id = %(run)s) AS last
    -- A batch whose commit came through, though its answer did not.
    WHERE NOT EXISTS (SELECT FROM run_logs AS known WHERE known.id = line.id AND known.run_id = %(run)s)
    -- Two who want the same numbers in different orders would each wait for the other.
    ORDER BY line.number
    RETURNING id, seq
"""

logger = logging.getLogger(__name__)


@contextmanager
def step_logs(claim: Claim, publisher: Publisher) -> Iterator[None]:
    """Collect the log lines of the claimed step while the block carries it out; store them, and publish ``log`` events.

    An event is ``{step, attempt, lines: [{seq, level, message, at}]}``. Call with no transaction open.
    """
    lines = StepLines(claim, publisher)
    try:
        with collecting(lines.add):
            yield
    finally:
        lines.end()


class StepLines:
    """The lines of one attempt that are not written yet. Safe to use from several threads."""

    def __init__(self, claim: Claim, publisher: Publisher) -> None:
        run, attempt = claim.run, claim.attempt
        assert attempt is not None
        self._tenant = Tenant(organization_id=run.organization_id, user_id=run.user_id)
        self._claim = claim
        self._step, self._attempt = attempt.step, attempt.number
        self._publisher: Publisher | None = publisher
        self._lines: deque[Line] = deque()
        self._taken = 0
        self._told = 0
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self.ended_at: float | None = None

    @cached_property
    def _columns(self) -> Json:
        run = self._claim.run
        # As it was when the attempt began: the claim is of then.
        path = state_of(run).path(self._step)
        about = {"organization": run.organization_id, "run": run.id}
        return about | {"path": path, "step": self._step.key, "attempt": self._attempt}

    @property
    def is_empty(self) -> bool:
        """Whether all is written."""
        return not self._lines

    def add(self, line: Line) -> None:
        """Take a line, unless the attempt has said too much already."""
        with self._lock:
            self._taken += 1
            over = self._taken - settings.RUN_LOG_LINES_PER_ATTEMPT
            if over > 0:
                metrics.child(metrics.RUN_LOG_LINES_DROPPED, "limit").inc()
            if over > 1:
                return
            self._lines.append(_last_line() if over == 1 else line)
        KEEPER.watch(self)

    def end(self) -> None:
        """The step is over: write what is left. Without a database the keeper goes on trying."""
        try:
            self.flush()
        except DatabaseError:
            connection.close_if_unusable_or_obsolete()
        # The stream is not ours any more.
        self._publisher = None
        self.ended_at = time.monotonic()

    def flush(self) -> None:
        """Write the lines so far, and publish them. Raises the database's errors, and keeps the lines then."""
        if self.is_empty:
            return
        with self._writing:
            while batch := self._batch():
                try:
                    numbers = self._write(batch)
                except DataError:
                    # Trying again will not help, and the lines after these are waiting.
                    logger.exception("run_logs.not_storable")
                    self._drop(len(batch), "unstorable")
                    continue
                self._drop(len(batch))
                self._publish(batch, numbers)

    def give_up(self) -> None:
        """Drop what is left: there was no database for too long."""
        with self._writing:
            self._drop(len(self._lines), "database")

    def _batch(self) -> list[Line]:
        with self._lock:
            return list(islice(self._lines, BATCH))

    def _drop(self, count: int, why: str = "") -> None:
        with self._lock:
            for _each in range(count):
                self._lines.popleft()
        if why:
            metrics.child(metrics.RUN_LOG_LINES_DROPPED, why).inc(count)

    def _write(self, batch: list[Line]) -> dict[str, int]:
        values = self._columns | {"lines": json.dumps([line.as_json() for line in batch])}
        with bound(self._tenant):
            for left in reversed(range(_TRIES)):
                try:
                    with transaction.atomic(), connection.cursor() as cursor:
                        cursor.execute(_WRITE, values)
                        return {str(id_): seq for id_, seq in cursor.fetchall()}
                except IntegrityError:
                    if not left:
                        raise
        return {}

    def _publish(self, batch: list[Line], numbers: dict[str, int]) -> None:
        publisher, told = self._publisher, batch[: max(LIVE_LINES - self._told, 0)]
        if publisher is None or not told:
            return
        self._told += len(told)
        lines = [_told(line, numbers.get(str(line.id))) for line in told]
        publisher.publish("log", {"step": self._step.key, "attempt": self._attempt, "lines": lines})


class Keeper:
    """Writes the lines of all steps of the process each second, while there are any. One instance a process."""

    def __init__(self) -> None:
        self._watched: set[StepLines] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, lines: StepLines) -> None:
        """Write the lines of this step from now on, until it has ended and all are written."""
        with self._lock:
            self._watched.add(lines)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="run-logs", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while self._has_work():
            time.sleep(EACH)
            with self._lock:
                watched = list(self._watched)
            for lines in watched:
                self._flush(lines)
            # Between the batches it holds none of the pool's connections.
            connection.close()

    def _has_work(self) -> bool:
        with self._lock:
            self._watched = {lines for lines in self._watched if lines.ended_at is None or not lines.is_empty}
            if self._watched:
                return True
            self._thread = None
        return False

    def _flush(self, lines: StepLines) -> None:
        try:
            lines.flush()
        except Exception as error:  # noqa: BLE001 - the lines of all steps depend on this thread
            logger.warning("run_logs.not_written", extra={"error": str(error)})
            connection.close()
            if lines.ended_at is not None and time.monotonic() > lines.ended_at + PATIENCE:
                lines.give_up()


def _told(line: Line, seq: int | None) -> Json:
    whole = line.as_json()
    return {"seq": seq, "level": line.level, "message": line.message[:LIVE_CHARACTERS], "at": whole["at"]}


def _last_line() -> Line:
    most = settings.RUN_LOG_LINES_PER_ATTEMPT
    return Line(level="warning", logger=__name__, message=f"Only the first {most} lines of an attempt are kept.")


KEEPER = Keeper()
