"""Whether this system serves: what ``/health`` and ``/ready`` answer.

Postgres is needed: without it no call can be paid, so none is made. Without Redis, broker or workers calls are still
answered, but live streams, limits and background work are not what they should be: that is degraded, not down.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import lru_cache
from typing import Any

import psycopg
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from redis import Redis, RedisError

from config.broker import broker_errors, queue_depths
from config.heartbeats import BEAT, QUEUES, queues_alive

OK, DOWN, DEGRADED, UNKNOWN = "ok", "down", "degraded", "unknown"
NEEDED = ("postgres", "migrations")
# Seconds that all of it may take: whoever asks wants to know now, also when what is asked about says nothing.
TIMEOUT = 1.0

Part = dict[str, Any]
Parts = Mapping[str, Part]


_rooms: dict[str, Callable[[], Part]] = {}


def part_register(name: str, check: Callable[[], Part]) -> None:
    """Ask ``check`` for a part's state each time; rooms register theirs in ``AppConfig.ready()``.

    It reads Postgres, cheaply, and can degrade the system but not take it out of service.
    """
    _rooms[name] = check


def readiness() -> tuple[bool, dict[str, Any]]:
    """Return whether calls can be served, and ``{"status", "degraded", "parts": {name: {"state", …}}}``.

    Takes TIMEOUT seconds at most; what has not answered by then is down.
    """
    until = time.monotonic() + TIMEOUT
    checks = {check: _begun(check) for check in (_postgres_parts, _redis_parts, _broker_parts)}
    parts = {name: part for check, future in checks.items() for name, part in _answer(check, future, until).items()}
    parts |= _room_parts() if parts["postgres"]["state"] == OK else {name: {"state": UNKNOWN} for name in _rooms}
    failing = [name for name, part in parts.items() if part["state"] != OK]
    serves = not set(failing) & set(NEEDED)
    status = "unavailable" if not serves else "degraded" if failing else "ready"
    return serves, {"status": status, "degraded": failing, "parts": parts}


Check = Callable[[], Parts]
_begun_already: dict[Check, "Future[Parts]"] = {}
_lock = threading.Lock()


def _begun(check: Check) -> "Future[Parts]":
    """Run ``check`` in a thread, unless it still waits since somebody asked before: one thread at most hangs."""
    with _lock:
        future = _begun_already.get(check)
        if future is None or future.done():
            future = _begun_already[check] = Future()
            threading.Thread(target=_run, args=(check, future), name="readiness", daemon=True).start()
        return future


def _run(check: Check, future: "Future[Parts]") -> None:
    try:
        future.set_result(check())
    except Exception as error:  # noqa: BLE001 - whoever waits is told
        future.set_exception(error)


def _answer(check: Check, future: "Future[Parts]", until: float) -> Parts:
    try:
        return future.result(timeout=max(0.0, until - time.monotonic()))
    except TimeoutError:
        return _down(check, "Timeout")
    except Exception as error:
        if not isinstance(error, (psycopg.Error, DatabaseError, RedisError, *broker_errors())):
            raise
        # Its text may quote the address with the password.
        return _down(check, type(error).__name__)


def _down(check: Check, error: str) -> Parts:
    """What is known when a service does not answer: nothing about what only it can tell."""
    down, unknown = {"state": DOWN, "error": error}, {"state": UNKNOWN}
    if check is _postgres_parts:
        return {"postgres": down, "migrations": unknown}
    if check is _broker_parts:
        return {"broker": down}
    return {"redis": down, "workers": unknown, "scheduler": unknown}


def _postgres_parts() -> Parts:
    """Ask on a connection of its own: the pool may be busy, or wait for a server that comes back."""
    began = time.monotonic()
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as asked:
        asked.execute("SELECT 1")
        postgres = {"state": OK, "ms": _ms(began)}
        began = time.monotonic()
        return {"postgres": postgres, "migrations": {**_migrations(asked), "ms": _ms(began)}}


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


def _migrations(asked: "psycopg.Connection[Any]") -> Part:
    """Whether every migration of this release is in the database; asked until it is, then remembered."""
    if not _applied:
        rows = asked.execute("SELECT app, name FROM django_migrations").fetchall()
        missing = _migrations_of_this_release() - set(rows)
        if missing:
            return {"state": DOWN, "missing": sorted(".".join(pair) for pair in missing)[:20]}
        _applied.append(True)
    return {"state": OK}


_applied: list[bool] = []


@lru_cache(maxsize=1)
def _migrations_of_this_release() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


def _redis_parts() -> Parts:
    began = time.monotonic()
    with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=TIMEOUT, socket_timeout=TIMEOUT) as redis:
        alive = queues_alive(redis)
    queues = {queue: alive.get(queue, 0) for queue in QUEUES}
    return {
        "redis": {"state": OK, "ms": _ms(began)},
        "workers": {"state": OK if all(queues.values()) else DEGRADED, "queues": queues},
        "scheduler": {"state": OK if alive.get(BEAT) else DEGRADED},
    }


def _broker_parts() -> Parts:
    began = time.monotonic()
    depths = queue_depths(QUEUES)
    return {"broker": {"state": OK, "ms": _ms(began), "waiting": depths}}


def _room_parts() -> Parts:
    """Ask the rooms, which read Postgres through Django's connection; it has just answered."""
    parts: dict[str, Part] = {}
    for name, check in _rooms.items():
        began = time.monotonic()
        try:
            parts[name] = {**check(), "ms": _ms(began)}
        except DatabaseError as error:
            parts[name] = {"state": DOWN, "error": type(error).__name__}
    return parts
