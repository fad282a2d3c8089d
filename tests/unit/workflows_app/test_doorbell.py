"""The door in Redis where workers wait for rings."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from pytest_django import Settings
from redis import Redis

from config.broker import queue_depths
from config.runtime.ports import free_port
from tests.support.gate import Gate
from tests.support.processes import wait_until
from workflows_app.services import dispatch
from workflows_app.services.doorbell import EXPIRES_SECONDS, MOST, Button, Doorkeeper, Hands, door

Keep = Callable[..., Doorkeeper]


@pytest.fixture(autouse=True)
def _own_door(settings: Settings) -> None:
    settings.WORKFLOW_QUEUE = f"test-{uuid.uuid4()}"


@pytest.fixture
def redis(settings: Settings) -> Iterator["Redis"]:
    with Redis.from_url(settings.REDIS_URL) as client:
        yield client


@pytest.fixture
def keep() -> Iterator[Keep]:
    """Start doorkeepers; they have left when the test is over."""
    leaving, keepers = threading.Event(), list[Doorkeeper]()

    def start(answer: Callable[[], object], hands: Hands, limit: int = 1) -> Doorkeeper:
        keepers.append(Doorkeeper(answer, hands=hands, limit=limit, leaving=leaving))
        keepers[-1].start()
        return keepers[-1]

    yield start
    leaving.set()
    for keeper in keepers:
        keeper.join(timeout=60)
        assert not keeper.is_alive()


def test_rings_that_nobody_hears_are_few_and_soon_forgotten(redis: "Redis") -> None:
    button = Button()
    for _ring in range(MOST + 5):
        assert button.press()
    assert redis.llen(door()) == MOST
    assert 0 < int(str(redis.ttl(door()))) <= EXPIRES_SECONDS


def test_a_redis_that_is_away_is_left_alone_for_a_while(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    here, button = settings.REDIS_URL, Button()
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert not button.press()
    assert "workflow.doorbell_failed" in caplog.messages
    settings.REDIS_URL = here
    assert not button.press()
    assert Button().press()


def test_a_ring_goes_through_the_broker_when_the_door_is_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "BUTTON", Button())
    queue = settings.WORKFLOW_QUEUE
    assert dispatch.ring()
    assert queue_depths([queue]) == {queue: 0}
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert dispatch.ring()
    assert queue_depths([queue]) == {queue: 1}


def test_each_ring_is_answered_once(keep: Keep, redis: "Redis") -> None:
    answered = list[int]()
    for _keeper in range(2):
        keep(lambda: answered.append(1), Hands())
    for _ring in range(6):
        assert Button().press()
    wait_until(lambda: len(answered) == 6)
    time.sleep(0.2)
    assert len(answered) == 6
    assert redis.llen(door()) == 0


def test_a_worker_whose_hands_are_full_leaves_rings_to_others(keep: Keep, redis: "Redis") -> None:
    busy, answered = Hands(), list[str]()

    def take_one() -> None:
        busy.take()
        answered.append("busy")

    keep(take_one, busy, limit=2)
    for _ring in range(3):
        assert Button().press()
    wait_until(lambda: len(answered) == 2)
    time.sleep(0.3)
    assert (len(answered), redis.llen(door())) == (2, 1)
    keep(lambda: answered.append("idle"), Hands())
    wait_until(lambda: answered == ["busy", "busy", "idle"])
    busy.give()
    assert Button().press()
    wait_until(lambda: len(answered) == 4)


def test_a_ring_that_a_closed_pool_heard_is_passed_on(keep: Keep, redis: "Redis") -> None:
    heard, answered = threading.Event(), list[int]()

    def refuse() -> None:
        heard.set()
        raise RuntimeError("cannot schedule new futures after shutdown")

    closed = keep(refuse, Hands())
    assert Button().press()
    assert heard.wait(60)
    keep(lambda: answered.append(1), Hands())
    wait_until(lambda: bool(answered))
    assert closed.is_alive()


@pytest.mark.usefixtures("redis")
def test_a_doorkeeper_survives_an_answer_that_fails(keep: Keep, caplog: pytest.LogCaptureFixture) -> None:
    answered = list[int]()

    def answer() -> None:
        answered.append(1)
        if len(answered) == 1:
            raise ValueError

    keep(answer, Hands())
    assert Button().press()
    assert Button().press()
    wait_until(lambda: len(answered) == 2)
    assert "workflow.doorkeeper_failed" in caplog.messages


def test_a_doorkeeper_goes_on_when_its_redis_is_back(keep: Keep, redis: "Redis", redis_gate: Gate) -> None:
    answered = list[int]()
    keep(lambda: answered.append(1), Hands())
    assert Button().press()
    wait_until(lambda: len(answered) == 1)
    redis_gate.shut()
    time.sleep(1.5)
    redis_gate.open()
    redis.lpush(door(), b"")
    wait_until(lambda: len(answered) == 2)


def test_hands_are_counted_while_they_are_busy() -> None:
    hands = Hands()
    assert hands.wait_free(1, 0)
    with hands.one():
        assert not hands.wait_free(1, 0.01)
        assert hands.wait_free(2, 0)
    assert hands.wait_free(1, 0)
