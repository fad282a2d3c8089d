"""What may go wrong around a running system, done on purpose. Whoever draws lots brings the seeded ``Random``.

Brokers to stop, kill and restart are in `tests.support.brokers`; a process that sends every message twice is one that
was started with ``DOUBLED`` as its Celery application.
"""

import os
import random
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from celery.contrib.migrate import republish
from django.conf import settings
from django.db import connection
from kombu import Connection, Exchange, Producer, Queue
from redis import Redis

from tests.support.brokers import Broker, private_broker
from tests.support.processes import Process
from tests.support.services import database_url
from workflows_app.services.doorbell import door

__all__ = ["DOUBLED", "double_messages", "drop_messages", "drop_postgres_connections", "kill_worker", "private_broker"]

# ``celery -A`` this: what the process publishes goes out twice, as from a broker that redelivers everything.
DOUBLED = "tests.support.doubled"
QUEUES = ("model", "work")


def drop_postgres_connections(share: float, rng: random.Random, *, database: str = "") -> int:
    """Have Postgres end about ``share`` (0 to 1) of the connections to the test database; returns how many.

    As a failover or an administrator would: in the middle of a statement, of a transaction, of nothing. Those of this
    process, which is no part of the system, are put back first.
    """
    own: Any = connection
    own.close()
    own.close_pool()
    database = database or os.environ["DEEPSPACE_TEST_DATABASE"]
    with psycopg.connect(database_url("postgres", "postgres"), autocommit=True) as admin:
        rows = admin.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend' ORDER BY pid",
            [database],
        ).fetchall()
        chosen = [pid for (pid,) in rows if rng.random() < share]
        admin.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS pid", [chosen])
    return len(chosen)


def kill_worker(workers: Sequence[Process], rng: random.Random) -> Process | None:
    """Kill -9 one of those that live, with its children; None when none does. The caller starts another."""
    alive = [worker for worker in workers if worker.is_alive]
    if not alive:
        return None
    victim = rng.choice(alive)
    victim.kill9()
    return victim


def drop_messages(broker: Broker, queues: Iterable[str] = QUEUES) -> int:
    """Throw away all messages that wait, and the rings at the workers' door; returns how many those were."""
    return _rings_left(copies=0) + sum(len(_taken(broker, queue, copies=0)) for queue in queues)


def double_messages(broker: Broker, queues: Iterable[str] = QUEUES) -> int:
    """Put each message that waits back twice, the same id on both, and each ring; returns how many those were."""
    return _rings_left(copies=2) + sum(len(_taken(broker, queue, copies=2)) for queue in queues)


def _rings_left(*, copies: int) -> int:
    """Make so many of each ring that lies at the door; returns how many there were."""
    with Redis.from_url(settings.REDIS_URL) as redis:
        waiting = int(str(redis.llen(door())))
        if waiting:
            redis.delete(door())
            if copies:
                redis.lpush(door(), *[b""] * (copies * waiting))
        return waiting


def _taken(broker: Broker, name: str, *, copies: int) -> list[str]:
    """Take what waits in the queue now, and put so many copies of each message back; returns their ids."""
    with Connection(broker.url) as connection, connection.channel() as channel:
        queue = Queue(name, Exchange(name), name)(channel)
        queue.declare()
        waiting = []
        while (message := queue.get(no_ack=True)) is not None:
            waiting.append(message)
        producer = Producer(channel)
        for message in waiting:
            # Milliseconds in the message; `republish` takes seconds, and takes them away.
            expires = message.properties.get("expiration")
            for _copy in range(copies):
                if expires is not None:
                    message.properties["expiration"] = str(float(expires) / 1000)
                republish(producer, message)
        return [str(message.headers["id"]) for message in waiting]
