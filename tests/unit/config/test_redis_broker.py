"""A worker outlives a Redis that goes away while it has messages in its hands."""

import logging
import uuid
from collections.abc import Iterator
from typing import Any, cast

import pytest
from kombu import Connection, Queue

from tests.fixtures.brokers import AnyBroker
from tests.support.brokers import private_broker


@pytest.fixture
def redis_broker() -> Iterator[AnyBroker]:
    """A Redis that the test may stop."""
    with private_broker("redis") as broker:
        yield broker


def held(connection: Connection, count: int) -> list[Any]:
    """So many messages of a new queue, in hand and not acknowledged."""
    queue = Queue(f"test-{uuid.uuid4().hex}")(connection.default_channel)
    queue.declare()
    for _number in range(count):
        connection.Producer().publish({}, routing_key=queue.name)
    messages: list[Any] = [queue.get(no_ack=False) for _number in range(count)]
    assert None not in messages
    return messages


def break_off(connection: Connection, broker: AnyBroker) -> None:
    """What a worker does that finds its Redis gone: it drops what it has, and closes the rest afterwards."""
    broker.stop()
    cast(Any, connection).transport.client = None
    connection.close()


def test_a_connection_that_broke_is_closed_with_messages_in_hand(redis_broker: AnyBroker) -> None:
    connection = Connection(redis_broker.url)
    held(connection, 1)
    break_off(connection, redis_broker)


def test_a_message_is_acknowledged_after_its_channel_was_closed(
    redis_broker: AnyBroker, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Connection(redis_broker.url)
    acknowledged, rejected = held(connection, 2)
    break_off(connection, redis_broker)
    # What a worker does when a job ends that it had from there: it goes on.
    for told in (acknowledged.ack_log_error, rejected.reject_log_error):
        told(logging.getLogger("celery"), connection.connection_errors)
    assert [record.levelname for record in caplog.records].count("CRITICAL") == 2


def test_a_living_connection_puts_them_back(redis_broker: AnyBroker) -> None:
    with Connection(redis_broker.url) as connection:
        (message,) = held(connection, 1)
    with Connection(redis_broker.url) as connection:
        name = message.delivery_info["routing_key"]
        assert Queue(name)(connection.default_channel).get(no_ack=True) is not None
