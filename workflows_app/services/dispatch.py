"""The bell that calls workers to the queue. Losing or doubling a ring is harmless: the runs table is the queue.

A ring names no run: who is next is decided when a worker takes a run, in the database, fairly. Workers go on taking
runs while there are any, so that a burst of starts needs few rings; the reaper rings for what nobody came for.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction

from config.broker import broker_errors
from workflows_app.services.doorbell import BUTTON

ADVANCE = "workflows.advance"
# A ring that nobody heard in this time is worth nothing: the reaper has rung again.
EXPIRES_SECONDS = 30
# Not written to the broker's disk, and waited for no longer than this (seconds) by whoever starts a run.
_LIGHTLY: dict[str, Any] = {"delivery_mode": 1, "confirm_timeout": 2}

logger = logging.getLogger(__name__)


class Bell:
    """Rings ``burst`` times at once, and then ``rate`` times a second: what it owes by then, a thread rings later.

    A worker that hears one ring takes run after run; more rings than that only cost it time.
    """

    def __init__(self, ring: Callable[[], object], *, burst: int, rate: float) -> None:
        self._ring, self._burst, self._rate = ring, burst, rate
        self._left, self._at = float(burst), time.monotonic()
        self._owed = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def ring(self) -> None:
        """Ring now, or soon. More than a burst is not owed: whoever hears those takes the rest."""
        with self._lock:
            at_once = not self._owed and self._take()
            if not at_once:
                self._owed = min(self._owed + 1, self._burst)
                self._pay_later()
        if at_once:
            self._ring()

    @property
    def is_silent(self) -> bool:
        """Whether it owes nothing."""
        with self._lock:
            return self._thread is None

    def _take(self) -> bool:
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def _pay_later(self) -> None:
        # A forked child has no such thread, whatever it was told.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._pay, name="workflow-bell", daemon=True)
            self._thread.start()

    def _pay(self) -> None:
        is_over = False
        while not is_over:
            time.sleep(1 / self._rate)
            with self._lock:
                due = self._take()
                self._owed -= due
                is_over = not self._owed
                if is_over:
                    self._thread = None
            if due:
                self._ring_robustly()

    def _ring_robustly(self) -> None:
        # As what follows a commit: nobody is left to be told, and the next ring may be heard.
        try:
            self._ring()
        except Exception:
            logger.exception("workflow.ring_failed")


def ring_later(*, at_once: bool = False) -> None:
    """Ring once the open transaction has committed. A broker that is down does not stop the start.

    ``at_once``: nothing else waits, so nobody else has rung; otherwise the bell may be in no hurry.
    """
    transaction.on_commit(ring if at_once else _BELL.ring, robust=True)


def ring() -> bool:
    """Call a worker, at its door or else through the broker; False when neither took it."""
    return BUTTON.press() or ring_through_broker()


def ring_through_broker() -> bool:
    """Call a worker by a message; False, and a line in the log, when the broker does not take it."""
    try:
        current_app.send_task(ADVANCE, queue=settings.WORKFLOW_QUEUE, expires=EXPIRES_SECONDS, **_LIGHTLY)
    except broker_errors() as error:
        logger.warning("workflow.dispatch_failed", extra={"error": str(error)})
        return False
    return True


_BELL = Bell(ring, burst=16, rate=16.0)
