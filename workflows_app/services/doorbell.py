"""The quick way of a ring to a worker: a list in Redis, at which every worker with a free hand waits.

A message of Celery's passes a publisher, a consumer and a request before a thread hears it, which takes longer than
a run of five trivial steps. It is the way around a Redis that is away, and the reaper's, which brings what was not
heard here (`workflows_app.services.dispatch`).
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

from django.conf import settings
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

# Rings that are kept when nobody comes: who hears one takes run after run.
MOST = 64
# A ring that nobody heard in this time (seconds) is worth nothing: the reaper has rung since.
EXPIRES_SECONDS = 30
# Whoever starts a run waits so long for Redis, once, and then leaves it alone for a while (seconds).
_PATIENCE, _REST = 0.5, 5.0
# How long one wait at the door lasts: a worker looks then whether it is to leave.
_WATCH = 1.0

logger = logging.getLogger(__name__)


def door() -> str:
    """Return the name of the list where this installation's workers wait."""
    return f"deepspace:bell:{settings.WORKFLOW_QUEUE}"


class Button:
    """Rings at the door; leaves Redis alone for a while after it failed."""

    def __init__(self) -> None:
        self._rests_until = 0.0

    def press(self) -> bool:
        """Ring; False when Redis did not take it."""
        if time.monotonic() < self._rests_until:
            return False
        try:
            with _redis(settings.REDIS_URL).pipeline(transaction=False) as pipe:
                pipe.lpush(door(), b"")
                pipe.ltrim(door(), 0, MOST - 1)
                pipe.expire(door(), EXPIRES_SECONDS)
                pipe.execute()
        except RedisError as error:
            self._rests_until = time.monotonic() + _REST
            logger.warning("workflow.doorbell_failed", extra={"error": str(error)})
            return False
        return True


class Hands:
    """How many of a worker's threads carry runs, whoever called them."""

    def __init__(self) -> None:
        self._taken = 0
        self._changed = threading.Condition()

    def take(self) -> None:
        """Count one more."""
        with self._changed:
            self._taken += 1

    def give(self) -> None:
        """Count one less."""
        with self._changed:
            self._taken -= 1
            self._changed.notify()

    def wait_free(self, limit: int, timeout: float) -> bool:
        """Wait until fewer than ``limit`` are taken, at most ``timeout`` seconds; whether they are."""
        with self._changed:
            return self._changed.wait_for(lambda: self._taken < limit, timeout)

    @contextmanager
    def one(self) -> Iterator[None]:
        """Take one for the block."""
        self.take()
        try:
            yield
        finally:
            self.give()


class Doorkeeper(threading.Thread):
    """Waits at the door while the worker has a free hand; ``answer`` is called, in this thread, for each ring.

    ``answer`` has the work done elsewhere, and may raise RuntimeError when the worker is ending; the ring is passed on.
    """

    def __init__(self, answer: Callable[[], object], *, hands: Hands, limit: int, leaving: threading.Event) -> None:
        super().__init__(name="workflow-doorkeeper", daemon=True)
        self._answer, self._hands, self._limit, self._leaving = answer, hands, limit, leaving

    def run(self) -> None:
        """Wait for rings until the worker leaves."""
        redis = Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=10 * _WATCH)
        while not self._leaving.is_set():
            try:
                if self._hands.wait_free(self._limit, _WATCH) and self._rung(redis):
                    self._open()
            except Exception:
                # A worker that hears nothing would look idle for ever.
                logger.exception("workflow.doorkeeper_failed")
                self._leaving.wait(_WATCH)

    def _rung(self, redis: Redis) -> bool:
        try:
            return redis.blpop([door()], timeout=_WATCH) is not None
        except RedisError:  # its absence is told by /ready; rings come through the broker meanwhile
            self._leaving.wait(_WATCH)
            return False

    def _open(self) -> None:
        if not self._leaving.is_set():
            try:
                self._answer()
            except RuntimeError:
                logger.info("workflow.ring_passed_on")
            else:
                return
        BUTTON.press()
        # Somebody else is to hear it.
        self._leaving.wait(_WATCH)


BUTTON = Button()
HANDS = Hands()


@cache
def _redis(url: str) -> Redis:
    return Redis.from_url(url, socket_connect_timeout=_PATIENCE, socket_timeout=_PATIENCE, retry=Retry(NoBackoff(), 0))
