"""A process that asks one limit as often as it can: ``python -m tests.support.limit_worker ORGANIZATION RULE LIMIT N``

Prints how many of N calls were allowed, and how many were answered without being counted.
"""

import asyncio
import sys
from uuid import UUID

import django


async def _ask(organization_id: UUID, rule_id: UUID, limit: int, calls: int) -> str:
    from gateway_app.services.limits import LimitRule, RateLimiter

    rules = [LimitRule(rule_id, "key", organization_id, limit, None)]
    limiter = RateLimiter()
    gate = asyncio.Semaphore(16)

    async def one() -> tuple[bool, bool]:
        async with gate:
            answer = await limiter.take(organization_id, rules, 10)
            return answer.allowed, answer.degraded

    answers = await asyncio.gather(*(one() for _ in range(calls)))
    await limiter.close()
    return f"{sum(allowed for allowed, _ in answers)} {sum(degraded for _, degraded in answers)}"


if __name__ == "__main__":
    django.setup()
    organization, rule, limit, calls = sys.argv[1:]
    print(asyncio.run(_ask(UUID(organization), UUID(rule), int(limit), int(calls))))  # noqa: T201
