"""Alive, ready, degraded, down: what probes are told, also when what they ask about is gone."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings
from redis import Redis

from config import health
from config.heartbeats import BEAT, KEY, QUEUES
from config.runtime.ports import free_port
from tests.support.processes import wait_until

ALL = [*QUEUES, BEAT]


@pytest.fixture
def redis() -> Iterator["Redis"]:
    """The test's Redis without a sign of life."""
    with Redis.from_url(settings.REDIS_URL) as redis:
        redis.delete(KEY)
        yield redis
        redis.delete(KEY)


def alive(redis: "Redis", queues: list[str], *, ago: float = 0) -> None:
    redis.zadd(KEY, {f"{queue}|somewhere": time.time() - ago for queue in queues})


def asked(client: Client) -> tuple[int, dict[str, Any]]:
    answer = client.get("/ready")
    assert answer["Cache-Control"] == "no-store"
    return answer.status_code, json.loads(answer.content)


@pytest.mark.django_db
def test_with_everything_there_it_is_ready(client: Client, redis: "Redis") -> None:
    alive(redis, ALL)
    status, report = asked(client)
    assert (status, report["status"], report["degraded"]) == (200, "ready", [])
    assert {name: part["state"] for name, part in report["parts"].items()} == dict.fromkeys(
        ["postgres", "migrations", "redis", "broker", "workers", "scheduler", "engine"], "ok"
    )


@pytest.mark.django_db
def test_a_queue_that_nobody_serves_degrades(client: Client, redis: "Redis") -> None:
    alive(redis, ["model", BEAT])
    alive(redis, ["work"], ago=60)
    status, report = asked(client)
    assert (status, report["status"], report["degraded"]) == (200, "degraded", ["workers"])
    assert report["parts"]["workers"]["queues"] == {"model": 1, "work": 0}


@pytest.mark.django_db
def test_without_redis_calls_are_still_served(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = f"redis://:c4n4ry@127.0.0.1:{free_port()}/0"
    status, report = asked(client)
    assert (status, report["status"]) == (200, "degraded")
    assert report["parts"]["redis"] == {"state": "down", "error": "ConnectionError"}
    assert "c4n4ry" not in json.dumps(report)


@pytest.mark.django_db
def test_a_migration_that_is_missing_makes_it_unavailable(
    client: Client, redis: "Redis", monkeypatch: pytest.MonkeyPatch
) -> None:
    alive(redis, ALL)
    monkeypatch.setattr(health, "_applied", [])
    monkeypatch.setattr(health, "_migrations_of_this_release", lambda: frozenset({("accounts_app", "9999_new")}))
    status, report = asked(client)
    assert (status, report["status"]) == (503, "unavailable")
    assert report["parts"]["migrations"]["missing"] == ["accounts_app.9999_new"]


def test_without_postgres_it_is_alive_but_not_ready() -> None:
    code = (
        "import django, json; django.setup()\n"
        "from django.test import Client\n"
        "client = Client(SERVER_NAME='10.1.2.3')\n"
        "answers = [client.get(path) for path in ('/health', '/ready', '/metrics')]\n"
        "print(json.dumps([(answer.status_code, answer.content.decode()) for answer in answers]))\n"
    )
    url = f"postgres://app:c4n4ry@127.0.0.1:{free_port()}/x"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DATABASE_URL": url, "DATABASE_OWNER_URL": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    health, ready, figures = json.loads(done.stdout.splitlines()[-1])
    assert health == [200, '{"status": "alive"}']
    assert ready[0] == 503
    assert json.loads(ready[1])["parts"]["postgres"]["state"] == "down"
    assert figures[0] == 200
    assert 'deepspace_scrape_failed{source="holds"} 1.0' in figures[1]
    assert "c4n4ry" not in done.stdout + done.stderr


@pytest.fixture
def silence() -> Iterator[socket.socket]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)  # noqa: FBT003 - the socket's own signature
        yield server


def taken(server: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(BlockingIOError):
        while True:
            yield server.accept()[0]


@pytest.mark.django_db
@pytest.mark.timeout(60, func_only=True)
def test_a_postgres_that_says_nothing_is_named_soon_and_asked_once(
    client: Client, silence: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get("/health")  # the first request of a process looks at its role
    elsewhere: dict[str, Any] = {"HOST": "127.0.0.1", "PORT": str(silence.getsockname()[1])}
    elsewhere["OPTIONS"] = connection.settings_dict["OPTIONS"] | {"connect_timeout": 600}
    for name, value in elsewhere.items():  # of all threads' connections
        monkeypatch.setitem(connection.settings_dict, name, value)
    for _time in range(2):
        status, report = asked(client)
        assert (status, report["status"]) == (503, "unavailable")
        assert {"postgres", "migrations"} <= set(report["degraded"])
        assert report["parts"]["postgres"] == {"state": "down", "error": "Timeout"}
        assert report["parts"]["redis"]["state"] == "ok"
    (held,) = taken(silence)
    held.close()
    monkeypatch.undo()
    while asked(client)[1]["parts"]["postgres"]["state"] != "ok":
        time.sleep(0.05)


@pytest.mark.django_db
def test_a_redis_that_says_nothing_only_degrades(client: Client, silence: socket.socket, settings: Settings) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{silence.getsockname()[1]}/0"
    status, report = asked(client)
    assert (status, report["status"]) == (200, "degraded")
    assert report["parts"]["redis"]["state"] == "down"
    assert report["parts"]["postgres"]["state"] == "ok"


def test_health_asks_nobody_and_takes_any_host_name(
    client: Client, django_assert_num_queries: DjangoAssertNumQueries, db: None, settings: Settings
) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.ALLOWED_HOSTS = ["deepspace.example.com"]
    with django_assert_num_queries(0):
        answer = client.get("/health", headers={"host": "10.0.0.7"})
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


@pytest.mark.stack
def test_running_workers_are_counted(running_stack: Any) -> None:
    """The running system's own probe sees its two workers, and another system's on the same Redis."""
    import httpx2

    def workers() -> Any:
        return httpx2.get(f"{running_stack.url}/ready", timeout=20).json()["parts"]["workers"]

    found = wait_until(lambda: (seen := workers())["state"] == "ok" and seen)
    assert found["queues"].keys() == {"model", "work"}
    assert min(found["queues"].values()) >= 1
    running_stack.work_worker.stop()
    try:
        wait_until(lambda: workers()["queues"].get("work", 0) == found["queues"]["work"] - 1)
    finally:
        running_stack.mend()
