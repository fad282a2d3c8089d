"""What carries Celery's messages, Redis or RabbitMQ, asked in the one way that both understand.

Nothing is in it that Postgres does not hold too: a message lost is sent again, a message doubled finds nothing to do.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from celery import current_app
from kombu import Connection
from kombu.exceptions import KombuError

Answer = TypeVar("Answer")

# Seconds to wait for one of the process's connections.
PATIENCE = 2.0


def transport_options(url: str) -> dict[str, object]:
    """Return what Celery is told of how to reach this broker. Who connects hears at once that it is away."""
    at_once = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0}
    if urlsplit(url).scheme.startswith("redis"):
        return {"socket_connect_timeout": 2, "socket_timeout": 30, "visibility_timeout": 3600, **at_once}
    # Without confirms a message that the broker throws away looks as if it had been sent.
    return {"confirm_publish": True, **at_once}


def broker_errors() -> tuple[type[Exception], ...]:
    """Return what a broker that is away, or that refuses, is noticed by."""
    connection = current_app.connection_for_write()
    # The transports' own, which their stubs do not promise to be exceptions.
    own = cast(tuple[type[Exception], ...], (*connection.connection_errors, *connection.channel_errors))
    return (KombuError, OSError, *own)


def broker_ask(question: Callable[[Connection], Answer]) -> Answer:
    """Return what ``question`` gives over one of the process's connections; raises `broker_errors`.

    It may be asked twice: once more must do no harm.
    """
    with current_app.pool.acquire(block=True, timeout=PATIENCE) as acquired:
        # The stubs take Celery's pool for one of producers.
        connection = cast(Connection, acquired)
        try:
            return question(connection)
        except connection.connection_errors:
            # It lay idle, and the broker has been started again since; a second failure is the broker's own.
            connection.collect()
            return question(connection)


def queue_depths(queues: Iterable[str]) -> Mapping[str, int]:
    """Return how many messages wait in each queue, 0 where there is none of that name; raises `broker_errors`."""
    names = list(queues)
    return broker_ask(lambda connection: _depths(connection, names))


def _depths(connection: Connection, queues: list[str]) -> Mapping[str, int]:
    connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
    return {queue: _depth(connection, queue) for queue in queues}


def _depth(connection: Connection, queue: str) -> int:
    try:
        with connection.channel() as channel:
            return int(cast(Any, channel).queue_declare(queue=queue, passive=True).message_count)
    except connection.channel_errors:  # nobody has sent to it or served it yet
        return 0
