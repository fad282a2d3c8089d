"""Signs of life of workers and scheduler, in one sorted set of Redis: who serves a queue, and when he last said so.

Celery's own ``inspect`` asks every worker and waits a second for answers; a probe that comes each second cannot.
"""

import os
import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

from celery.signals import beat_init, worker_ready, worker_shutting_down
from django.conf import settings
from redis import Redis, RedisError

from config.broker import queue_depths
from config.metrics import Reading, source_register

KEY = "deepspace:heartbeats"
QUEUES = ("model", "work")
BEAT = "beat"
# Seconds between two signs, and after how long a silence somebody is taken to be gone.
PERIOD, SILENCE = 5.0, 20.0

_stop = threading.Event()

Figures = dict[tuple[str, ...], float]


def queues_alive(redis: "Redis") -> dict[str, int]:
    """Return how many processes serve each queue (and `BEAT`); raises RedisError."""
    alive: dict[str, int] = {}
    members: Any = redis.zrangebyscore(KEY, time.time() - SILENCE, "+inf")
    for member in members:
        queue = member.decode().partition("|")[0]
        alive[queue] = alive.get(queue, 0) + 1
    return alive


def queue_readings() -> list[Reading]:
    """Return what waits in each queue of the broker, for /metrics; raises what `queue_depths` does."""
    waiting: Figures = {(queue,): float(depth) for queue, depth in queue_depths(QUEUES).items()}
    return [Reading("deepspace_queue_depth", "Celery messages that wait.", ("queue",), waiting)]


def worker_readings() -> list[Reading]:
    """Return who serves each queue, for /metrics; raises RedisError."""
    with Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=1) as redis:
        alive = queues_alive(redis)
    serving: Figures = {(queue,): float(alive.get(queue, 0)) for queue in (*QUEUES, BEAT)}
    return [Reading("deepspace_workers", "Processes that serve a queue (and the scheduler).", ("queue",), serving)]


source_register("queues", queue_readings)
source_register("workers", worker_readings)


@worker_ready.connect
def worker_began(sender: Any = None, **_signal: Any) -> None:
    """Say from now on which queues this worker serves."""
    _begin([f"{queue}|{sender.hostname}" for queue in sender.app.amqp.queues.consume_from])


@beat_init.connect
def beat_began(**_signal: Any) -> None:
    """Say from now on that there is a scheduler."""
    _begin([f"{BEAT}|{socket.gethostname()}|{os.getpid()}"])


@worker_shutting_down.connect
def worker_ended(**_signal: Any) -> None:
    """Be gone at once, so that nobody counts on this worker."""
    _stop.set()


def _begin(members: list[str]) -> None:
    _stop.clear()
    threading.Thread(target=_keep, args=(members,), name="heartbeat", daemon=True).start()


def _keep(members: Iterable[str]) -> None:
    redis = Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2, socket_timeout=2)
    while True:
        try:
            redis.zadd(KEY, dict.fromkeys(members, time.time()))
            redis.zremrangebyscore(KEY, "-inf", time.time() - 10 * SILENCE)
            if _stop.wait(PERIOD):
                redis.zrem(KEY, *members)
                return
        except RedisError:  # it says so itself in /ready; this thread goes on when it is back
            if _stop.wait(PERIOD):
                return
