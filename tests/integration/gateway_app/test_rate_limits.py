"""Rate limits over several processes, and while their Redis is gone."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from pytest_django import Settings

from config.environment import BASE_DIR
from config.runtime.redis import EmbeddedRedis
from gateway_app.services.limits import Allowance, RateLimiter
from tests.support.limits import rule

PROCESSES, EACH, LIMIT = 10, 60, 137


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(tmp_path / "redis")
    server.start()
    yield server
    server.stop()


def _kill(server: EmbeddedRedis) -> None:
    assert server.process
    server.process.kill()
    server.process.wait()


def test_ten_processes_on_one_limit_make_not_one_request_too_many(settings: Settings) -> None:
    arguments = [str(uuid4()), str(uuid4()), str(LIMIT), str(EACH)]
    environment = {**os.environ, "REDIS_URL": settings.REDIS_URL}

    def run(_number: int) -> list[int]:
        command = [sys.executable, "-m", "tests.support.limit_worker", *arguments]
        done = subprocess.run(command, env=environment, cwd=BASE_DIR, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return [int(figure) for figure in done.stdout.split()]

    began = time.monotonic()
    with ThreadPoolExecutor(PROCESSES) as pool:
        answers = list(pool.map(run, range(PROCESSES)))
    allowed = sum(figures[0] for figures in answers)
    assert sum(figures[1] for figures in answers) == 0
    # On a machine so slow that more than a minute went by, the next minute's requests are allowed too.
    assert allowed == LIMIT or (time.monotonic() - began > 60 and allowed > LIMIT)
    assert sum(1 for figures in answers if figures[0]) > 1


async def _until(limiter: RateLimiter, *, is_degraded: bool) -> None:
    async with asyncio.timeout(20):
        while limiter.is_degraded != is_degraded:  # noqa: ASYNC110 - the limiter tells nobody
            await asyncio.sleep(0.02)


async def test_while_redis_is_gone_calls_go_on_and_afterwards_they_count_again(own_redis: EmbeddedRedis) -> None:
    limiter, organization_id, limit = RateLimiter(own_redis.url), uuid4(), rule(requests=2, tokens=100)
    first = await limiter.take(organization_id, [limit], 10)
    assert (first.allowed, first.degraded) == (True, False)

    await asyncio.to_thread(_kill, own_redis)
    degraded = await asyncio.gather(*(limiter.take(organization_id, [limit], 10) for _ in range(50)))
    assert all(answer.allowed and answer.degraded for answer in degraded)
    assert degraded[0].headers() == {}
    # Nothing to correct, and nobody waits for it.
    await limiter.correct(first, 5)
    await limiter.give_back(degraded[0])
    assert limiter.is_degraded

    # The file of commands brings the counters back; the script's cache is empty.
    await asyncio.to_thread(own_redis.start)
    await _until(limiter, is_degraded=False)
    answers = [await limiter.take(organization_id, [limit], 10) for _ in range(2)]
    assert [(answer.allowed, answer.degraded) for answer in answers] == [(True, False), (False, False)]
    await limiter.close()


async def test_calls_under_way_when_redis_dies_are_all_answered(own_redis: EmbeddedRedis) -> None:
    limiter, limit = RateLimiter(own_redis.url), rule(requests=10_000_000)
    answers: list[Allowance] = []
    ended = asyncio.Event()

    async def call() -> None:
        while not ended.is_set():
            answers.append(await limiter.take(uuid4(), [limit], 1))
            await asyncio.sleep(0)

    callers = [asyncio.create_task(call()) for _ in range(32)]
    async with asyncio.timeout(60):
        while not answers or answers[-1].degraded:  # noqa: ASYNC110 - callers tell nobody
            await asyncio.sleep(0.02)
    await asyncio.to_thread(_kill, own_redis)
    await _until(limiter, is_degraded=True)
    await asyncio.sleep(0.1)
    ended.set()
    async with asyncio.timeout(20):
        await asyncio.gather(*callers)
    assert all(answer.allowed for answer in answers)
    assert {answer.degraded for answer in answers} == {True, False}
    await limiter.close()


async def test_a_redis_that_hangs_is_waited_for_once(own_redis: EmbeddedRedis) -> None:
    limiter, limit = RateLimiter(own_redis.url), rule(requests=10)
    await limiter.take(uuid4(), [limit], 1)
    assert own_redis.process
    os.kill(own_redis.process.pid, signal.SIGSTOP)
    try:
        assert (await limiter.take(uuid4(), [limit], 1)).degraded
        async with asyncio.timeout(10):  # each waiting for itself, they took minutes
            answers = [await limiter.take(uuid4(), [limit], 1) for _ in range(1_000)]
        assert all(answer.allowed and answer.degraded for answer in answers)
    finally:
        os.kill(own_redis.process.pid, signal.SIGCONT)
    await _until(limiter, is_degraded=False)
    assert not (await limiter.take(uuid4(), [limit], 1)).degraded
    await limiter.close()


async def test_a_loop_that_stood_still_itself_does_not_take_redis_for_hanging(own_redis: EmbeddedRedis) -> None:
    limiter, organization_id, limit = RateLimiter(own_redis.url), uuid4(), rule(requests=3)
    await limiter.take(organization_id, [limit], 1)
    for pause in (1.2, 2.5):
        under_way = asyncio.create_task(limiter.take(organization_id, [limit], 1))
        for _turn in range(3):
            await asyncio.sleep(0)
        time.sleep(pause)  # noqa: ASYNC251 - as a busy machine does
        assert not (await under_way).degraded
    assert not (await limiter.take(organization_id, [limit], 1)).allowed
    await limiter.close()


async def test_a_script_that_redis_forgot_is_sent_again_also_within_a_batch(own_redis: EmbeddedRedis) -> None:
    limiter, limit = RateLimiter(own_redis.url), rule(requests=3)
    one = uuid4()
    await limiter.take(one, [limit], 1)
    await limiter._redis.script_flush()
    organizations = [one, uuid4(), uuid4()]
    answers = await asyncio.gather(*(limiter.take(each, [limit], 1) for each in organizations * 3))
    assert not any(answer.degraded for answer in answers)
    assert sum(answer.allowed for answer in answers) == 2 + 3 + 3
    await limiter.close()


async def test_emptied_counters_are_not_made_negative_by_what_was_counted_before(own_redis: EmbeddedRedis) -> None:
    limiter, organization_id, limit = RateLimiter(own_redis.url), uuid4(), rule(requests=3)
    old = [await limiter.take(organization_id, [limit], 1) for _ in range(3)]
    await limiter._redis.flushall()
    assert (await limiter.take(organization_id, [limit], 1)).allowed
    for answer in old:
        await limiter.give_back(answer)
    answers = [await limiter.take(organization_id, [limit], 1) for _ in range(3)]
    assert [answer.allowed for answer in answers] == [True, True, False]
    await limiter.close()


async def test_a_caller_that_leaves_does_not_disturb_the_others(own_redis: EmbeddedRedis) -> None:
    limiter, organization_id, limit = RateLimiter(own_redis.url), uuid4(), rule(requests=100)
    callers = [asyncio.create_task(limiter.take(organization_id, [limit], 1)) for _ in range(10)]
    await asyncio.sleep(0)
    callers[3].cancel()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(answers[3], asyncio.CancelledError)
    assert sum(isinstance(answer, Allowance) and answer.allowed for answer in answers) == 9
    await limiter.close()
