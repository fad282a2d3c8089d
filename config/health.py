"""Whether this system serves: what ``/health`` and ``/ready`` answer.

Postgres is needed: without it no call can be paid, so none is made. Without Redis, broker or workers calls are still
answered, but live streams, limits and background work are not what they should be: that is degraded, not down.
"""

import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.db import Error, connection
from django.db.migrations.loader import MigrationLoader
from redis import Redis, RedisError

from config.broker import broker_errors, queue_depths
from config.heartbeats import BEAT, QUEUES, queues_alive

OK, DOWN, DEGRADED, UNKNOWN = "ok", "down", "degraded", "unknown"
NEEDED = ("postgres", "migrations")
# Seconds that Redis may take; Postgres has the pool's own limit.
TIMEOUT = 1.0

Part = dict[str, Any]


_rooms: dict[str, Callable[[], Part]] = {}


def part_register(name: str, check: Callable[[], Part]) -> None:
    """Ask ``check`` for a part's state each time; rooms register theirs in ``AppConfig.ready()``.

    It reads Postgres, cheaply, and can degrade the system but not take it out of service.
    """
    _rooms[name] = check


def readiness() -> tuple[bool, dict[str, Any]]:
    """Return whether calls can be served, and ``{"status", "degraded", "parts": {name: {"state", …}}}``."""
    postgres = _timed(_postgres)
    migrations = _timed(_migrations) if postgres["state"] == OK else {"state": UNKNOWN}
    parts = {"postgres": postgres, "migrations": migrations, **_redis_parts(), "broker": _broker()}
    parts |= {name: _timed(check) if postgres["state"] == OK else {"state": UNKNOWN} for name, check in _rooms.items()}
    failing = [name for name, part in parts.items() if part["state"] != OK]
    serves = not set(failing) & set(NEEDED)
    status = "unavailable" if not serves else "degraded" if failing else "ready"
    return serves, {"status": status, "degraded": failing, "parts": parts}


def _timed(check: Callable[[], Part]) -> Part:
    began = time.monotonic()
    try:
        part = check()
    except Error as error:  # its text may quote the address with the password
        part = {"state": DOWN, "error": type(error).__name__}
    return {**part, "ms": round((time.monotonic() - began) * 1000, 1)}


def _postgres() -> Part:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return {"state": OK}


def _migrations() -> Part:
    """Whether every migration of this release is in the database; asked until it is, then remembered."""
    if not _applied:
        with connection.cursor() as cursor:
            cursor.execute("SELECT app, name FROM django_migrations")
            missing = _migrations_of_this_release() - set(cursor.fetchall())
        if missing:
            return {"state": DOWN, "missing": sorted(".".join(pair) for pair in missing)[:20]}
        _applied.append(True)
    return {"state": OK}


_applied: list[bool] = []


@lru_cache(maxsize=1)
def _migrations_of_this_release() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None, ignore_no_migrations=True).disk_migrations)


def _broker() -> Part:
    began = time.monotonic()
    try:
        depths = queue_depths(QUEUES)
    except broker_errors() as error:  # its text may quote the address with the password
        return {"state": DOWN, "error": type(error).__name__}
    return {"state": OK, "ms": round((time.monotonic() - began) * 1000, 1), "waiting": depths}


def _redis_parts() -> Mapping[str, Part]:
    try:
        with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=TIMEOUT, socket_timeout=TIMEOUT) as redis:
            began = time.monotonic()
            alive = queues_alive(redis)
            took = round((time.monotonic() - began) * 1000, 1)
    except RedisError as error:
        return {
            "redis": {"state": DOWN, "error": type(error).__name__},
            "workers": {"state": UNKNOWN},
            "scheduler": {"state": UNKNOWN},
        }
    queues = {queue: alive.get(queue, 0) for queue in QUEUES}
    return {
        "redis": {"state": OK, "ms": took},
        "workers": {"state": OK if all(queues.values()) else DEGRADED, "queues": queues},
        "scheduler": {"state": OK if alive.get(BEAT) else DEGRADED},
    }
