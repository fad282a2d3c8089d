"""Counting calls in Redis, together for all that come in the same moment."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import orjson
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from gateway_app.services import metrics
from gateway_app.services.limits.allowance import Allowance, Meter, Place
from gateway_app.services.limits.patience import PATIENCE, patiently
from gateway_app.services.limits.rules import LimitRule
from gateway_app.services.limits.script import SCRIPT

logger = logging.getLogger(__name__)

_SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
_RECOVER_EVERY = 0.25
# What puts a count right waits so long (seconds) for a call to go along with.
_NO_HURRY = 0.01
_CELLS = 61
_REDIS_ERRORS = (RedisError, OSError, TimeoutError)

_Operation = list[Any]


@dataclass
class _Job:
    """One operation that waits for the next batch; ``answer`` becomes [now, answer], or None when Redis is gone."""

    organization_id: UUID
    operation: Callable[[Callable[[UUID], int]], _Operation]
    answer: "asyncio.Future[tuple[int, Any] | None]"


class RateLimiter:
    """Counts the calls of one event loop; all processes share the counters. ``clock`` (ms) stands in for Redis's own.

    While a batch is under way, what comes meanwhile is gathered for the next. When Redis fails, everything is allowed,
    uncounted and without waiting, until a ping in the background succeeds again.
    """

    def __init__(self, url: str = "", *, clock: Callable[[], int] | None = None) -> None:
        self._redis = redis.asyncio.Redis.from_url(
            url or settings.REDIS_URL,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        self._clock = clock
        self._waiting: list[_Job] = []
        self._sender: asyncio.Task[None] | None = None
        self._recovery: asyncio.Task[None] | None = None

    @property
    def is_degraded(self) -> bool:
        """Whether Redis is gone and nothing is counted."""
        return self._recovery is not None

    async def take(self, organization_id: UUID, rules: Sequence[LimitRule], tokens: int) -> Allowance:
        """Count one request and ``tokens`` (the most it may use) under all ``rules``, or under none. Never raises."""
        if not rules:
            return Allowance(organization_id, reserved=tokens)
        limits = [(rule.id, rule.requests_per_minute or 0, rule.tokens_per_minute or 0) for rule in rules]

        def operation(index: Callable[[UUID], int]) -> _Operation:
            return ["take", tokens, [[index(rule), requests, most] for rule, requests, most in limits]]

        answer = await self._ask(organization_id, operation, self._begin)
        if answer is None:
            metrics.limits_degraded()
            return Allowance(organization_id, degraded=True, reserved=tokens)
        return _allowance(organization_id, rules, tokens, *answer)

    async def correct(self, allowance: Allowance, tokens_used: int) -> None:
        """Count what the call really used in place of what was reserved: less is free at once, more counts from now."""
        if allowance.tokens is None:
            return  # no rule counts tokens
        await self._change(allowance, 0, tokens_used - allowance.reserved)

    async def give_back(self, allowance: Allowance) -> None:
        """Take the request and its tokens off again: the call was refused before it was made."""
        await self._change(allowance, -1, -allowance.reserved)

    async def close(self) -> None:
        """End what runs in the background, and the connections."""
        for task in (self._sender, self._recovery):
            if task:
                task.cancel()
        await self._redis.aclose()

    async def _change(self, allowance: Allowance, requests: int, tokens: int) -> None:
        if not allowance.allowed or not allowance.places or not (requests or tokens):
            return

        def operation(index: Callable[[UUID], int]) -> _Operation:
            places = [[index(place.rule_id), place.cell, place.epoch] for place in allowance.places]
            return ["change", requests, tokens, places]

        await self._ask(allowance.organization_id, operation, self._begin_later)

    async def _ask(
        self, organization_id: UUID, operation: Callable[..., _Operation], begin: Callable[[], None]
    ) -> tuple[int, Any] | None:
        if self._recovery is not None:
            return None
        job = _Job(organization_id, operation, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        begin()
        return await job.answer

    def _begin(self) -> None:
        if self._sender is None and self._waiting:
            self._sender = asyncio.create_task(self._send_all())

    def _begin_later(self) -> None:
        if self._sender is None and len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(_NO_HURRY, self._begin)

    async def _send_all(self) -> None:
        batch: list[_Job] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._send(batch)
        except _REDIS_ERRORS as error:
            logger.warning("Rate limits are not counted: Redis does not answer (%s).", type(error).__name__)
            self._recovery = asyncio.create_task(self._recover())
        finally:
            self._sender = None
            # Also when this task is cancelled: nobody is left waiting.
            for job in (*batch, *self._waiting):
                _resolve(job, None)
            self._waiting = []

    async def _send(self, batch: Sequence[_Job]) -> None:
        groups: dict[UUID, list[_Job]] = {}
        for job in batch:
            groups.setdefault(job.organization_id, []).append(job)
        now = self._clock() if self._clock else 0
        calls = [_arguments(organization_id, jobs, now) for organization_id, jobs in groups.items()]
        for jobs, answer in zip(groups.values(), await patiently(self._evaluate(calls)), strict=True):
            moment, answers = orjson.loads(answer)
            for job, one in zip(jobs, answers, strict=True):
                _resolve(job, (int(moment), one))

    async def _evaluate(self, calls: list[list[Any]]) -> list[Any]:
        """Run the script for each organization; a Redis that was restarted is given it anew."""
        if len(calls) == 1:
            try:
                return [await self._redis.evalsha(_SHA, *calls[0])]
            except NoScriptError:
                return [await self._redis.eval(SCRIPT, *calls[0])]
        pipeline = self._redis.pipeline(transaction=False)
        for call in calls:
            pipeline.evalsha(_SHA, *call)
        answers = await pipeline.execute(raise_on_error=False)
        for number, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):
                answers[number] = await self._redis.eval(SCRIPT, *calls[number])
            elif isinstance(answer, Exception):
                raise answer
        return list(answers)

    async def _recover(self) -> None:
        while True:
            await asyncio.sleep(_RECOVER_EVERY)
            try:
                # What was given up may still answer on its connection: no other request must read that.
                await self._redis.connection_pool.disconnect()
                await patiently(self._redis.ping())
            except _REDIS_ERRORS:
                continue
            logger.info("Rate limits are counted again.")
            self._recovery = None
            return


_limiters: "WeakKeyDictionary[asyncio.AbstractEventLoop, RateLimiter]" = WeakKeyDictionary()


def limiter() -> RateLimiter:
    """Return the running event loop's limiter."""
    loop = asyncio.get_running_loop()
    if loop not in _limiters:
        _limiters[loop] = RateLimiter()
    return _limiters[loop]


def _arguments(organization_id: UUID, jobs: Sequence[_Job], now: int) -> list[Any]:
    """What EVAL takes after the script: the number of keys, the keys, and the two arguments."""
    numbers: dict[UUID, int] = {}

    def index(rule: UUID) -> int:
        return numbers.setdefault(rule, len(numbers) + 1)

    operations = [job.operation(index) for job in jobs]
    # The braces keep one organization's counters in one slot of a Redis Cluster.
    keys = [f"limit:{{{organization_id}}}:{rule}" for rule in numbers]
    return [len(keys), *keys, now, orjson.dumps(operations)]


def _resolve(job: _Job, answer: tuple[int, Any] | None) -> None:
    # A caller that left has cancelled its future.
    if not job.answer.done():
        job.answer.set_result(answer)


def _allowance(organization_id: UUID, rules: Sequence[LimitRule], tokens: int, now: int, answer: Any) -> Allowance:
    allowed, pause, seen = answer
    requests_meters, tokens_meters = [], []
    for rule, (requests, used, newest_request, newest_tokens, _cell, _epoch) in zip(rules, seen, strict=True):
        if rule.requests_per_minute:
            requests_meters.append(_meter(rule.requests_per_minute, requests, newest_request, now))
        if rule.tokens_per_minute:
            tokens_meters.append(_meter(rule.tokens_per_minute, used, newest_tokens, now))
    return Allowance(
        organization_id,
        allowed=bool(allowed),
        retry_after_ms=None if pause < 0 else int(pause),
        requests=min(requests_meters, key=lambda meter: meter.remaining, default=None),
        tokens=min(tokens_meters, key=lambda meter: meter.remaining, default=None),
        reserved=tokens,
        places=tuple(Place(rule.id, int(row[4]), row[5]) for rule, row in zip(rules, seen, strict=True)),
    )


def _meter(limit: int, used: float, newest_cell: float, now: int) -> Meter:
    reset = int((newest_cell + _CELLS) * 1000 - now) if used > 0 else 0
    return Meter(limit=limit, remaining=max(0, limit - int(used)), reset_ms=max(0, reset))
