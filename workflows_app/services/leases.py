"""The heartbeat of a worker process: one thread renews all its leases and brings back who is to stop."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection

from accounts_app.tenancy.context import operator_atomic
from workflows_app.services.claims import Claim

logger = logging.getLogger(__name__)

# One statement each, whatever the number of runs; the database's clock.
_RENEW = """
    UPDATE workflow_runs AS run SET lease_until = statement_timestamp() + make_interval(secs => %s)
    FROM unnest(%s::uuid[], %s::bigint[]) AS mine (id, token)
    WHERE run.id = mine.id AND run.token = mine.token AND run.lease_until IS NOT NULL
"""
_CHECK = """
    SELECT run.id, run.token, run.cancel_requested_at IS NOT NULL,
           coalesce(run.deadline_at <= statement_timestamp(), false) FROM workflow_runs AS run
    WHERE run.id = ANY(%s::uuid[])
"""
CHECK_SECONDS = 0.5


def _beat_seconds() -> float:
    return min(CHECK_SECONDS, float(settings.WORKFLOW_LEASE_SECONDS) / 3)


@dataclass(eq=False)
class Lease:
    """One run held by this process. ``deadline`` is the current step's, ``sure_until`` the lease's as we know it.

    ``silence`` is how long the step may say nothing (seconds, 0: as long as it likes).
    """

    run_id: UUID
    token: int
    deadline: float = 0.0
    sure_until: float = 0.0
    silence: float = 0.0
    heard: float = 0.0
    fenced: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def is_overdue(self) -> bool:
        """Whether the step has had its time."""
        now = time.monotonic()
        return now > self.deadline or bool(self.silence and now > self.heard + self.silence)

    @property
    def is_lost(self) -> bool:
        """Whether another worker has the run, or may have it: this one slept, or did not reach the database."""
        return self.fenced.is_set() or time.monotonic() > self.sure_until

    def should_stop(self) -> bool:
        """Whether the step's handler should leave now."""
        return self.is_lost or self.cancelled.is_set() or self.over.is_set() or self.is_overdue

    def beat(self) -> None:
        """The step is alive."""
        self.heard = time.monotonic()

    def begin_step(self, *, timeout: float = 0, silence: float = 0) -> None:
        """Give the next step its full time (seconds; 0: the default). The lease has half its time left, or more."""
        self.silence = silence
        self.heard = now = time.monotonic()
        self.deadline = now + (timeout or settings.WORKFLOW_STEP_TIMEOUT_SECONDS)
        self.sure_until = max(self.sure_until, now + settings.WORKFLOW_LEASE_SECONDS / 2)


class LeaseKeeper:
    """Looks after this process's leases in a thread of its own, which begins with the first and then stays.

    A run that ends before the first beat costs it nothing; without a lease it holds no connection.
    """

    def __init__(self) -> None:
        self._leases: set[Lease] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_connected = False

    @contextmanager
    def hold(self, claim: Claim) -> Iterator[Lease]:
        """Renew the claim's lease for the block."""
        # The claim's transaction has just begun it.
        lease = Lease(claim.run.pk, claim.token, sure_until=time.monotonic() + settings.WORKFLOW_LEASE_SECONDS)
        lease.begin_step()
        with self._changed:
            self._leases.add(lease)
            self._begin()
            self._changed.notify_all()
        try:
            yield lease
        finally:
            with self._changed:
                self._leases.discard(lease)
                self._changed.notify_all()
                # Whoever comes after may count on that no idle connection is left.
                self._changed.wait_for(lambda: self._leases or not self._is_connected, timeout=1)

    def _begin(self) -> None:
        # A forked child has no such thread, whatever it was told.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="workflow-leases", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        renewed = 0.0
        while True:
            self._pause()
            leases = self._current()
            if not leases:
                continue
            now = time.monotonic()
            due = now - renewed >= settings.WORKFLOW_LEASE_SECONDS / 3 - CHECK_SECONDS / 2
            try:
                self._is_connected = True
                self._beat(leases, renew=due)
            except DatabaseError as error:
                # Not the end: a lease that runs out meanwhile is noticed when recording.
                logger.warning("workflow.heartbeat_failed", extra={"error": str(error)})
                connection.close()
                continue
            renewed = now if due else renewed

    def _pause(self) -> None:
        """Wait for the next beat; as long as there is no lease, for one, without a connection."""
        with self._changed:
            self._changed.wait_for(lambda: not self._leases, timeout=_beat_seconds())
            if self._leases:
                return
            connection.close()
            self._is_connected = False
            self._changed.notify_all()
            self._changed.wait_for(lambda: bool(self._leases))
            # The lease is fresh: it is looked at a beat from now.
            self._changed.wait_for(lambda: not self._leases, timeout=_beat_seconds())

    def _current(self) -> list[Lease]:
        with self._changed:
            # A step that has had its time is renewed no more: another worker takes it, or gives it up.
            return [lease for lease in self._leases if not lease.is_overdue]

    def _beat(self, leases: list[Lease], *, renew: bool) -> None:
        ids, began = [lease.run_id for lease in leases], time.monotonic()
        with operator_atomic("workflow-leases"), connection.cursor() as cursor:
            if renew:
                cursor.execute(_RENEW, [settings.WORKFLOW_LEASE_SECONDS, ids, [lease.token for lease in leases]])
            cursor.execute(_CHECK, [ids])
            rows = {row[0]: row for row in cursor.fetchall()}
        for lease in leases:
            _id, token, cancelled, is_over = rows[lease.run_id]
            if token != lease.token:
                lease.fenced.set()
            elif renew:
                lease.sure_until = began + settings.WORKFLOW_LEASE_SECONDS
            if cancelled:
                lease.cancelled.set()
            if is_over:
                lease.over.set()


LEASES = LeaseKeeper()
