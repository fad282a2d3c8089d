"""Circuit breakers, slots, and the order in which providers are asked."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway_app.services import breakers as module
from gateway_app.services.breakers import (
    Breaker,
    Breakers,
    BreakerState,
    Slots,
    breakers,
    candidates_ordered,
    counts_as_failure,
)
from tests.factories.gateway import candidate, model_snap

FAILURES, WINDOW, PAUSE = 3, 30.0, 15.0


class Time:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def one(time: Time, settings: object) -> Breakers:
    return Breakers(clock=time)


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    breakers.reset()
    yield
    breakers.reset()


def _breaker() -> Breaker:
    return Breaker(failures=FAILURES, window=WINDOW, pause=PAUSE)


def _opened(now: float = 0) -> Breaker:
    breaker = _breaker()
    for _ in range(FAILURES):
        breaker.failure(now)
    return breaker


@pytest.mark.parametrize(
    ("http_status", "told_when", "counts"),
    [
        (None, False, True),
        (500, False, True),
        (503, True, True),
        (429, False, True),
        (429, True, False),
        (400, False, False),
        (401, False, False),
        (404, False, False),
        (422, True, False),
    ],
)
def test_what_speaks_against_a_provider(http_status: int | None, told_when: bool, counts: bool) -> None:
    assert counts_as_failure(http_status, told_when=told_when) is counts


def test_a_breaker_opens_at_the_last_failure_of_its_number() -> None:
    breaker = _breaker()
    for _ in range(FAILURES - 1):
        breaker.failure(0)
    assert breaker.state(0) is BreakerState.CLOSED
    breaker.failure(0)
    assert breaker.state(0) is BreakerState.OPEN
    assert not breaker.allow(PAUSE - 0.01)


def test_failures_that_have_left_the_window_do_not_count() -> None:
    breaker = _breaker()
    for now in (0, WINDOW / 2, WINDOW + 2):
        breaker.failure(now)
    assert breaker.state(WINDOW + 2) is BreakerState.CLOSED


def test_a_busy_provider_that_mostly_answers_stays_closed() -> None:
    breaker = _breaker()
    for now in range(25):
        for _ in range(9):
            breaker.success(now)
        breaker.failure(now)
    assert breaker.state(25) is BreakerState.CLOSED


def test_half_open_lets_one_call_through() -> None:
    breaker = _opened()
    assert breaker.state(PAUSE) is BreakerState.HALF_OPEN
    assert [breaker.allow(PAUSE) for _ in range(3)] == [True, False, False]
    breaker.success(PAUSE + 1)
    assert breaker.state(PAUSE + 1) is BreakerState.CLOSED


def test_a_probe_that_fails_opens_it_again() -> None:
    breaker = _opened()
    assert breaker.allow(PAUSE)
    breaker.failure(PAUSE + 1)
    assert breaker.state(2 * PAUSE) is BreakerState.OPEN
    assert breaker.allow(2 * PAUSE + 1)


def test_a_probe_whose_caller_left_does_not_lock_the_provider_out() -> None:
    breaker = _opened()
    assert breaker.allow(PAUSE)
    assert not breaker.allow(2 * PAUSE - 0.01)
    assert breaker.allow(2 * PAUSE)


def test_the_last_resort_that_answers_closes_it() -> None:
    breaker = _opened()
    breaker.success(1)
    assert breaker.state(1) is BreakerState.CLOSED


class BreakerMachine(RuleBasedStateMachine):
    """Any order of results and pauses against the rules, told from the whole history."""

    @initialize()
    def begin(self) -> None:
        self.breaker = _breaker()
        self.now = 0.0
        self.since_closed: list[tuple[float, bool]] = []
        self.opened: float | None = None
        self.probed: float | None = None

    @property
    def model_state(self) -> BreakerState:
        if self.opened is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self.now - self.opened < PAUSE else BreakerState.HALF_OPEN

    # Whole seconds, as the window's cells are: a second more or less is no promise.
    @rule(seconds=st.integers(0, 40))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def succeed(self) -> None:
        self.breaker.success(self.now)
        if self.opened is not None:
            self.opened = self.probed = None
            self.since_closed = []
        self.since_closed.append((self.now, False))

    @rule()
    def fail(self) -> None:
        state = self.model_state
        self.breaker.failure(self.now)
        if state is BreakerState.HALF_OPEN:
            self.opened, self.probed = self.now, None
        elif state is BreakerState.CLOSED:
            self.since_closed.append((self.now, True))
            recent = [failed for at, failed in self.since_closed if at > self.now - WINDOW]
            if sum(recent) >= FAILURES and sum(recent) * 2 >= len(recent):
                self.opened, self.probed, self.since_closed = self.now, None, []

    @precondition(lambda self: self.model_state is BreakerState.HALF_OPEN)
    @rule()
    def probe(self) -> None:
        is_free = self.probed is None or self.now - self.probed >= PAUSE
        assert self.breaker.is_ready(self.now) == is_free
        assert self.breaker.allow(self.now) == is_free
        if is_free:
            self.probed = self.now
        assert not self.breaker.allow(self.now)

    @invariant()
    def says_what_the_history_says(self) -> None:
        assert self.breaker.state(self.now) is self.model_state
        if self.model_state is not BreakerState.HALF_OPEN:
            assert self.breaker.allow(self.now) == (self.model_state is BreakerState.CLOSED)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = hypothesis_settings(max_examples=60, stateful_step_count=40)


def test_providers_have_breakers_of_their_own(one: Breakers, time: Time) -> None:
    for _ in range(5):
        one.failure("a")
    assert (one.allow("a"), one.allow("b")) == (False, True)
    assert one.states() == {"a": BreakerState.OPEN, "b": BreakerState.CLOSED}
    time.now += 15
    assert one.is_ready("a")
    assert one.is_ready("a")  # asking is not taking
    assert (one.allow("a"), one.allow("a")) == (True, False)
    one.success("a")
    assert one.allow("a")


def test_the_modules_own_functions_are_the_processs_breakers() -> None:
    for _ in range(5):
        module.failure("p")
    assert not module.allow("p")
    module.success("p")
    assert module.allow("p")


def test_of_many_threads_one_probes(one: Breakers, time: Time) -> None:
    for _ in range(5):
        one.failure("a")
    time.now += 15
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: one.allow("a"), range(64))) == 1


def test_slots_end_at_their_limit_and_come_back() -> None:
    slots = Slots()
    assert [slots.take("p", 2) for _ in range(3)] == [True, True, False]
    assert slots.take("q", 2)
    slots.give("p")
    assert slots.take("p", 2)
    assert slots.taken() == {"p": 2, "q": 1}


def test_slots_without_limit_are_counted_all_the_same() -> None:
    slots = Slots()
    assert all(slots.take("p", 0) for _ in range(100))
    assert slots.taken() == {"p": 100}
    with pytest.raises(ValueError, match="No slot of q"):
        slots.give("q")


def test_slots_of_many_threads_never_pass_the_limit() -> None:
    slots = Slots()
    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(lambda _: slots.take("p", 7), range(200))) == 7


def test_the_lowest_priority_number_is_asked_first() -> None:
    model = model_snap(candidate("c", priority=30), candidate("a", priority=10), candidate("b", priority=20))
    assert [one.endpoint.provider for one in candidates_ordered(model)] == ["a", "b", "c"]


def test_weights_are_shares() -> None:
    model = model_snap(candidate("a", weight=1), candidate("b", weight=3), candidate("c", weight=6))
    chance = random.Random(20_261_122).random
    first = Counter(candidates_ordered(model, chance=chance)[0].endpoint.provider for _ in range(20_000))
    # Four standard deviations of a share of 20,000 draws are below 0.0142.
    assert {provider: count / 20_000 for provider, count in first.items()} == pytest.approx(
        {"a": 0.1, "b": 0.3, "c": 0.6}, abs=0.0142
    )


def test_weights_count_among_equal_priorities_only() -> None:
    model = model_snap(candidate("a", priority=1, weight=1), candidate("b", priority=2, weight=1_000))
    assert {candidates_ordered(model)[0].endpoint.provider for _ in range(200)} == {"a"}


def test_open_breakers_are_the_last_resort() -> None:
    model = model_snap(candidate("a", priority=1), candidate("b", priority=2), candidate("c", priority=3))
    for _ in range(5):
        breakers.failure("a")
    assert [one.endpoint.provider for one in candidates_ordered(model)] == ["b", "c", "a"]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_every_candidate_is_in_the_order_once(priorities: list[int]) -> None:
    ways = [candidate(f"p{number}", priority=priority) for number, priority in enumerate(priorities)]
    ordered = candidates_ordered(model_snap(*ways))
    assert sorted(one.endpoint.provider for one in ordered) == sorted(one.endpoint.provider for one in ways)
    assert [one.priority for one in ordered] == sorted(priorities)
