"""A worker outlives a Redis that goes away while it has messages in its hands."""

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


def test_a_connection_that_broke_is_closed_with_messages_in_hand(redis_broker: AnyBroker) -> None:
    connection = Connection(redis_broker.url)
    queue = Queue(f"test-{uuid.uuid4().hex}")(connection.default_channel)
    queue.declare()
    connection.Producer().publish({}, routing_key=queue.name)
    assert queue.get(no_ack=False) is not None
    # What a worker does that finds its Redis gone: it drops what it has, and closes the rest afterwards.
    redis_broker.stop()
    cast(Any, connection).transport.client = None
    connection.close()


def test_a_living_connection_puts_them_back(redis_broker: AnyBroker) -> None:
    name = f"test-{uuid.uuid4().hex}"
    with Connection(redis_broker.url) as connection:
        queue = Queue(name)(connection.default_channel)
        queue.declare()
        connection.Producer().publish({}, routing_key=name)
        assert queue.get(no_ack=False) is not None
    with Connection(redis_broker.url) as connection:
        assert Queue(name)(connection.default_channel).get(no_ack=True) is not None
