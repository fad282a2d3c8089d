"""Redis and RabbitMQ as brokers: what both are asked, what is said when they are away; and what faults do."""

import random
import uuid
from pathlib import Path

import psycopg
import pytest
from celery import current_app
from django.test import Client
from kombu import Connection, Exchange, Queue

from config.broker import broker_errors, queue_depths
from config.heartbeats import queue_readings
from tests.fixtures.brokers import AnyBroker
from tests.support.faults import double_messages, drop_messages, drop_postgres_connections, kill_worker
from tests.support.processes import Process, wait_until
from tests.support.services import database_url
from workflows_app.services.workers import workers_list


def some_queue() -> str:
    return f"test-{uuid.uuid4().hex}"


def send(queue: str, times: int = 1) -> None:
    for _time in range(times):
        current_app.send_task("tests.nothing", queue=queue, expires=60, delivery_mode=2, confirm_timeout=5)


def ids(broker: AnyBroker, name: str) -> list[str]:
    with Connection(broker.url) as connection, connection.channel() as channel:
        queue = Queue(name, Exchange(name), name)(channel)
        found = []
        while (message := queue.get(no_ack=True)) is not None:
            found.append(str(message.headers["id"]))
        return found


def test_a_queue_that_nobody_has_used_is_empty(broker: AnyBroker) -> None:
    name = some_queue()
    assert queue_depths([name, some_queue()])[name] == 0


def test_what_waits_is_counted(broker: AnyBroker) -> None:
    name = some_queue()
    send(name, 3)
    assert queue_depths([name]) == {name: 3}


def test_a_broker_that_is_away_is_said_to_be_at_once(broker: AnyBroker, client: Client, db: None) -> None:
    broker.stop()
    with pytest.raises(broker_errors()):
        queue_depths(["model"])
    with pytest.raises(broker_errors()):
        send("model")
    part = client.get("/ready").json()["parts"]["broker"]
    assert set(part) == {"state", "error"}
    assert part["state"] == "down"


def test_a_connection_that_is_older_than_the_broker_is_made_anew(broker: AnyBroker) -> None:
    name = some_queue()
    send(name)
    broker.restart()
    assert queue_depths([name]) == {name: 1}
    send(name)
    broker.restart()
    send(name)
    assert queue_depths([name]) == {name: 3}


def test_workers_are_asked_over_a_connection_that_is_older_than_the_broker(broker: AnyBroker, db: None) -> None:
    send(some_queue())
    broker.restart()
    assert workers_list(patience=0.2) == []


def test_probe_and_figures_tell_what_waits(broker: AnyBroker, client: Client, db: None) -> None:
    drop_messages(broker)
    send("model", 2)
    part = client.get("/ready").json()["parts"]["broker"]
    assert (part["state"], part["waiting"]) == ("ok", {"model": 2, "work": 0})
    (reading,) = queue_readings()
    assert reading.values == {("model",): 2.0, ("work",): 0.0}
    assert drop_messages(broker) == 2
    assert queue_depths(["model"]) == {"model": 0}


def test_messages_are_doubled_with_their_ids(broker: AnyBroker) -> None:
    name = some_queue()
    send(name, 2)
    assert double_messages(broker, [name]) == 2
    first, second, third, fourth = ids(broker, name)
    assert (first, third) == (second, fourth)
    assert first != third


def test_connections_to_postgres_are_dropped_by_share(django_db_setup: None) -> None:
    with psycopg.connect(database_url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE dropped")
        connections = [psycopg.connect(database_url("postgres", "dropped")) for _number in range(12)]
        dropped = drop_postgres_connections(0.5, random.Random(7), database="dropped")
        assert 0 < dropped < 12
        wait_until(lambda: sum(map(is_broken, connections)) == dropped)
        for connection in connections:
            connection.close()
        admin.execute("DROP DATABASE dropped WITH (FORCE)")


def is_broken(connection: "psycopg.Connection[tuple[object, ...]]") -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_the_same_seed_kills_the_same_worker(tmp_path: Path) -> None:
    def killed(seed: int) -> list[int]:
        chance = random.Random(seed)
        workers = [Process(f"{n}", ["sleep", "60"], {"PATH": "/usr/bin:/bin"}, tmp_path / "log") for n in range(4)]
        victims = [kill_worker(workers, chance) for _time in range(5)]
        assert victims[-1] is None
        return [workers.index(victim) for victim in victims if victim]

    assert killed(3) == killed(3) != killed(4)
