"""The counter of requests and tokens, over the real Redis."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gateway_app.services.limits import Allowance, LimitRule, RateLimiter
from tests.support.limits import Clock, PlainLimiter, rule


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def limiter(clock: Clock) -> AsyncIterator[RateLimiter]:
    limiter = RateLimiter(settings.REDIS_URL, clock=clock)
    yield limiter
    await limiter.close()


async def _allowed(limiter: RateLimiter, rules: list[LimitRule], times: int, tokens: int = 0) -> int:
    organization_id = uuid4()
    answers = await asyncio.gather(*(limiter.take(organization_id, rules, tokens) for _ in range(times)))
    assert not any(answer.degraded for answer in answers)
    return sum(answer.allowed for answer in answers)


async def test_as_many_requests_as_the_limit_says(limiter: RateLimiter) -> None:
    assert await _allowed(limiter, [rule(requests=5)], 8) == 5


async def test_as_many_tokens_as_the_limit_says(limiter: RateLimiter) -> None:
    assert await _allowed(limiter, [rule(tokens=100)], 8, tokens=30) == 3


async def test_the_largest_limit_that_can_be_set_admits(limiter: RateLimiter) -> None:
    answer = await limiter.take(uuid4(), [rule(requests=2**31 - 1, tokens=2**63 - 1)], 1_000_000)
    assert answer.allowed
    assert answer.headers()["x-ratelimit-limit-tokens"] == str(2**63 - 1)


async def test_without_rules_nothing_is_asked(limiter: RateLimiter) -> None:
    answer = await limiter.take(uuid4(), [], 10)
    assert (answer.allowed, answer.degraded, answer.headers()) == (True, False, {})


async def test_a_call_counts_under_all_its_rules_or_under_none(limiter: RateLimiter) -> None:
    organization_id, wide, narrow = uuid4(), rule(requests=10, tokens=1_000), rule(requests=1)
    assert (await limiter.take(organization_id, [wide, narrow], 100)).allowed
    for _ in range(3):
        refused = await limiter.take(organization_id, [wide, narrow], 100)
        assert not refused.allowed
    after = await limiter.take(organization_id, [wide], 100)
    assert after.requests is not None
    assert after.tokens is not None
    assert (after.requests.remaining, after.tokens.remaining) == (8, 800)


async def test_limits_of_one_organization_do_not_touch_another(limiter: RateLimiter) -> None:
    shared = rule(requests=1)
    answers = await asyncio.gather(*(limiter.take(uuid4(), [shared], 0) for _ in range(5)))
    assert all(answer.allowed for answer in answers)


async def test_a_refused_caller_is_told_when_the_call_will_fit(limiter: RateLimiter, clock: Clock) -> None:
    organization_id, limit = uuid4(), rule(requests=2)
    await limiter.take(organization_id, [limit], 0)
    clock.pass_ms(7_000)
    await limiter.take(organization_id, [limit], 0)
    refused = await limiter.take(organization_id, [limit], 0)
    assert not refused.allowed
    assert refused.retry_after_ms is not None
    clock.pass_ms(refused.retry_after_ms - 1)
    assert not (await limiter.take(organization_id, [limit], 0)).allowed
    clock.pass_ms(1)
    assert (await limiter.take(organization_id, [limit], 0)).allowed


async def test_a_call_that_can_never_fit_is_told_so(limiter: RateLimiter) -> None:
    refused = await limiter.take(uuid4(), [rule(requests=5, tokens=100)], 101)
    assert (refused.allowed, refused.retry_after_ms) == (False, None)
    assert "alone needs more tokens" in refused.refusal().message
    assert refused.refusal().retry_after_ms is None


async def test_what_was_reserved_but_not_used_is_free_at_once(limiter: RateLimiter, clock: Clock) -> None:
    organization_id, limit = uuid4(), rule(tokens=100)
    first = await limiter.take(organization_id, [limit], 90)
    clock.pass_ms(5_000)
    assert not (await limiter.take(organization_id, [limit], 90)).allowed
    await limiter.correct(first, 10)
    assert (await limiter.take(organization_id, [limit], 90)).allowed
    assert not (await limiter.take(organization_id, [limit], 1)).allowed


async def test_what_was_used_beyond_the_reserve_counts_from_now(limiter: RateLimiter, clock: Clock) -> None:
    organization_id, limit = uuid4(), rule(tokens=100)
    begun = await limiter.take(organization_id, [limit], 10)
    clock.pass_ms(20_000)
    await limiter.correct(begun, 95)
    refused = await limiter.take(organization_id, [limit], 6)
    assert refused.tokens is not None
    assert (refused.allowed, refused.retry_after_ms, refused.tokens.reset_ms) == (False, 41_000, 61_000)
    assert (await limiter.take(organization_id, [limit], 5)).allowed


async def test_a_call_given_back_never_happened(limiter: RateLimiter, clock: Clock) -> None:
    organization_id, limit = uuid4(), rule(requests=1, tokens=50)
    first = await limiter.take(organization_id, [limit], 50)
    clock.pass_ms(1_500)
    await limiter.give_back(first)
    again = await limiter.take(organization_id, [limit], 50)
    assert again.allowed
    assert again.requests is not None
    assert again.requests.remaining == 0


async def test_what_has_left_the_window_is_not_given_back_from_what_took_its_place(
    limiter: RateLimiter, clock: Clock
) -> None:
    organization_id, limit = uuid4(), rule(requests=3)
    old = await limiter.take(organization_id, [limit], 0)
    for pause in (30_000, 31_000):
        clock.pass_ms(pause)
        await limiter.take(organization_id, [limit], 0)
    clock.pass_ms(1_000)
    await limiter.give_back(old)
    answer = await limiter.take(organization_id, [limit], 0)
    assert answer.requests is not None
    assert answer.requests.remaining == 0


async def test_a_refused_call_gives_nothing_back(limiter: RateLimiter) -> None:
    organization_id, limit = uuid4(), rule(requests=1)
    await limiter.take(organization_id, [limit], 0)
    await limiter.give_back(await limiter.take(organization_id, [limit], 0))
    assert not (await limiter.take(organization_id, [limit], 0)).allowed


async def test_given_back_twice_frees_no_more_than_once(limiter: RateLimiter) -> None:
    organization_id, limit = uuid4(), rule(requests=1, tokens=10)
    first = await limiter.take(organization_id, [limit], 10)
    await limiter.give_back(first)
    await limiter.give_back(first)
    await limiter.correct(first, 0)
    answers = [await limiter.take(organization_id, [limit], 5) for _ in range(2)]
    assert [answer.allowed for answer in answers] == [True, False]


async def test_less_than_sixty_seconds_is_one_window_wherever_it_begins(limiter: RateLimiter, clock: Clock) -> None:
    organization_id, limit = uuid4(), rule(requests=1)
    clock.pass_ms(999)
    assert (await limiter.take(organization_id, [limit], 0)).allowed
    clock.pass_ms(59_999)  # 60 cells later
    assert not (await limiter.take(organization_id, [limit], 0)).allowed
    clock.pass_ms(1_000)
    assert (await limiter.take(organization_id, [limit], 0)).allowed


async def test_a_clock_that_steps_back_frees_nothing(limiter: RateLimiter, clock: Clock) -> None:
    organization_id, limit = uuid4(), rule(requests=1)
    await limiter.take(organization_id, [limit], 0)
    clock.pass_ms(-30_000)
    assert not (await limiter.take(organization_id, [limit], 0)).allowed
    clock.pass_ms(91_000)
    assert (await limiter.take(organization_id, [limit], 0)).allowed


async def test_headers_tell_of_the_tightest_rule_in_openais_words(limiter: RateLimiter, clock: Clock) -> None:
    clock.ms = 1_763_788_800_250
    answer = await limiter.take(uuid4(), [rule(requests=100), rule(requests=3, tokens=5_000)], 1_200)
    assert answer.headers() == {
        "x-ratelimit-limit-requests": "3",
        "x-ratelimit-remaining-requests": "2",
        "x-ratelimit-reset-requests": "1m0.75s",
        "x-ratelimit-limit-tokens": "5000",
        "x-ratelimit-remaining-tokens": "3800",
        "x-ratelimit-reset-tokens": "1m0.75s",
    }


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "take", "take", "correct", "give_back"]),
        st.one_of(  # ms that pass before it: any, and those around a minute
            st.just(0),
            st.integers(0, 40_000),
            st.sampled_from([1, 999, 1_000, 58_999, 59_001, 59_999, 60_000, 60_001, 60_999, 61_000, 200_000]),
        ),
        st.integers(0, 60),  # tokens taken or used
        st.integers(0, 5),  # which earlier call
    ),
    max_size=40,
)


@given(steps=_STEPS, requests=st.integers(1, 5), tokens=st.integers(1, 120))
@hypothesis_settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_it_decides_as_a_plain_list_of_calls_would(
    steps: list[tuple[str, int, int, int]], requests: int, tokens: int
) -> None:
    asyncio.run(_compare(steps, rule(requests=requests, tokens=tokens)))


async def _compare(steps: list[tuple[str, int, int, int]], limit: LimitRule) -> None:
    clock, organization_id = Clock(), uuid4()
    limiter, plain = RateLimiter(settings.REDIS_URL, clock=clock), PlainLimiter(limit)
    made: list[tuple[Allowance, int]] = []
    try:
        for kind, pause, figure, which in steps:
            clock.pass_ms(pause)
            if kind == "take":
                answer = await limiter.take(organization_id, [limit], figure)
                number = plain.take(clock.ms, figure)
                assert answer.allowed == (number is not None), (clock.ms, plain)
                if number is not None:
                    made.append((answer, number))
            elif made:
                answer, number = made.pop(which % len(made))
                if kind == "correct":
                    await limiter.correct(answer, figure)
                    plain.correct(number, clock.ms, figure)
                else:
                    await limiter.give_back(answer)
                    plain.give_back(number)
            assert plain.most_in_any_minute() <= (limit.requests_per_minute or 0)
    finally:
        await limiter.close()


def test_ids_of_rules_are_what_counters_are_named_by() -> None:
    assert isinstance(rule().id, UUID)
