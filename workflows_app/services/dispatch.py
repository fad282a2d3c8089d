"""The bell that calls workers to the queue. Losing or doubling a ring is harmless: the runs table is the queue.

A ring names no run: who is next is decided when a worker takes a run, in the database, fairly. Workers go on taking
runs while there are any, so that a burst of starts needs few rings; the reaper rings for what nobody came for.
"""

import logging
import threading
import time
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction

from config.broker import broker_errors

ADVANCE = "workflows.advance"
# A ring that nobody heard in this time is worth nothing: the reaper has rung again.
EXPIRES_SECONDS = 30
# Not written to the broker's disk, and waited for no longer than this (seconds) by whoever starts a run.
_LIGHTLY: dict[str, Any] = {"delivery_mode": 1, "confirm_timeout": 2}

logger = logging.getLogger(__name__)


class Bucket:
    """So many at once, so many a second."""

    def __init__(self, burst: int, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._left, self._at = float(burst), time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether there is one left."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._burst, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


_bucket = Bucket(burst=32, rate=32)


def ring_later() -> None:
    """Ring once the open transaction has committed. A broker that is down does not stop the start."""
    transaction.on_commit(_ring_sparingly, robust=True)


def ring() -> bool:
    """Call a worker; False, and a line in the log, when the broker does not take the message."""
    try:
        current_app.send_task(ADVANCE, queue=settings.WORKFLOW_QUEUE, expires=EXPIRES_SECONDS, **_LIGHTLY)
    except broker_errors() as error:
        logger.warning("workflow.dispatch_failed", extra={"error": str(error)})
        return False
    return True


def _ring_sparingly() -> None:
    # In a burst, those who heard the first rings take the rest too.
    if _bucket.take():
        ring()
