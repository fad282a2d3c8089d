"""Which provider to ask: priority and weight, circuit breakers, concurrency slots. All of it for this process only.

A breaker is closed while its provider works. It opens when at least GATEWAY_BREAKER_FAILURES calls failed within
GATEWAY_BREAKER_WINDOW_SECONDS, and at least half of all those that ended in it. After GATEWAY_BREAKER_PAUSE_SECONDS it
is half open: one call goes through and decides. An open provider stays the last resort: it is asked when nothing else
is left, and its first success closes the breaker.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum

from django.conf import settings

from gateway_app.services import metrics
from gateway_app.services.routes import Candidate
from gateway_app.services.snapshot import ModelSnap

_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_CELLS = 30


class BreakerState(StrEnum):
    """Closed: calls go through. Open: they go elsewhere. Half open: one goes through and decides."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


def counts_as_failure(http_status: int | None, *, told_when: bool = False) -> bool:
    """Whether an attempt that failed so speaks against its provider.

    No answer at all (no connection, broken off, too late: None), an error of the server's, and a 429 that does not say
    when to come back. What the caller did wrong (any other 4xx) never does.
    """
    if http_status is None or http_status >= _SERVER_ERROR:
        return True
    return http_status == _TOO_MANY_REQUESTS and not told_when


class Breaker:
    """The state of one provider. Not thread-safe: `Breakers` guards it. ``now`` is in seconds, of any origin."""

    def __init__(self, *, failures: int, window: float, pause: float) -> None:
        self._failures, self._window, self._pause = failures, window, pause
        # What ended in each thirtieth of the window: [which one, failed, all]. A busy provider fills no more of them.
        self._cells: deque[list[int]] = deque()
        self._opened_at: float | None = None
        self._probed_at: float | None = None

    def state(self, now: float) -> BreakerState:
        """Return the state at ``now``; asking changes nothing."""
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now - self._opened_at < self._pause else BreakerState.HALF_OPEN

    def is_ready(self, now: float) -> bool:
        """Whether `allow` would let a call through."""
        state = self.state(now)
        # A probe that nobody reported on (its caller left) is forgotten after as long as the pause.
        probing = self._probed_at is not None and now - self._probed_at < self._pause
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and not probing)

    def allow(self, now: float) -> bool:
        """Whether a call may go through; half open, the one that may is the probe."""
        if not self.is_ready(now):
            return False
        if self._opened_at is not None:
            self._probed_at = now
        return True

    def success(self, now: float) -> None:
        """The provider answered: whatever the state, it works."""
        if self._opened_at is not None:
            self._close()
        self._note(now, is_failure=False)

    def failure(self, now: float) -> None:
        """The provider failed. Half open, that opens the breaker again; open, it changes nothing."""
        state = self.state(now)
        if state is BreakerState.HALF_OPEN:
            self._open(now)
        elif state is BreakerState.CLOSED:
            self._note(now, is_failure=True)
            failed, ended = sum(cell[1] for cell in self._cells), sum(cell[2] for cell in self._cells)
            if failed >= self._failures and failed * 2 >= ended:
                self._open(now)

    def _note(self, now: float, *, is_failure: bool) -> None:
        number = int(now * _CELLS / self._window)
        while self._cells and self._cells[0][0] <= number - _CELLS:
            self._cells.popleft()
        if not self._cells or self._cells[-1][0] != number:
            self._cells.append([number, 0, 0])
        self._cells[-1][1] += is_failure
        self._cells[-1][2] += 1

    def _open(self, now: float) -> None:
        self._opened_at, self._probed_at = now, None

    def _close(self) -> None:
        self._opened_at = self._probed_at = None
        self._cells.clear()


class Breakers:
    """One breaker for each provider of this process, for threads and event loops alike."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._breakers: dict[str, Breaker] = {}

    def allow(self, provider: str) -> bool:
        """Whether a call may go to ``provider`` now. Half open, True is given to one call, which then must report."""
        with self._lock:
            return self._of(provider).allow(self._clock())

    def is_ready(self, provider: str) -> bool:
        """Whether `allow` would say yes; asking changes nothing."""
        with self._lock:
            return self._of(provider).is_ready(self._clock())

    def success(self, provider: str) -> None:
        """A call to ``provider`` was answered."""
        self._report(provider, Breaker.success)

    def failure(self, provider: str) -> None:
        """A call to ``provider`` failed in a way that speaks against it; see `counts_as_failure`."""
        self._report(provider, Breaker.failure)

    def _report(self, provider: str, outcome: Callable[[Breaker, float], None]) -> None:
        with self._lock:
            breaker, now = self._of(provider), self._clock()
            before = breaker.state(now)
            outcome(breaker, now)
            after = breaker.state(now)
        if before is not after:
            metrics.breaker_set(provider=provider, is_open=after is not BreakerState.CLOSED)

    def states(self) -> dict[str, BreakerState]:
        """Return the state of every provider that was asked, for metrics."""
        with self._lock:
            now = self._clock()
            return {provider: breaker.state(now) for provider, breaker in self._breakers.items()}

    def reset(self) -> None:
        """Forget everything, as a new process."""
        with self._lock:
            self._breakers.clear()

    def _of(self, provider: str) -> Breaker:
        if provider not in self._breakers:
            self._breakers[provider] = Breaker(
                failures=settings.GATEWAY_BREAKER_FAILURES,
                window=settings.GATEWAY_BREAKER_WINDOW_SECONDS,
                pause=settings.GATEWAY_BREAKER_PAUSE_SECONDS,
            )
        return self._breakers[provider]


class Slots:
    """How many calls of this process are with each provider at this moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: dict[str, int] = {}

    def take(self, provider: str, limit: int) -> bool:
        """Take one of ``limit`` slots (0: without end); False when all are taken. Each taken one must be given back."""
        with self._lock:
            taken = self._taken.get(provider, 0)
            if limit and taken >= limit:
                return False
            self._taken[provider] = taken + 1
            return True

    def give(self, provider: str) -> None:
        """Give one slot back; raises ValueError when none is taken."""
        with self._lock:
            if not self._taken.get(provider):
                raise ValueError(f"No slot of {provider} is taken.")
            self._taken[provider] -= 1

    def taken(self) -> dict[str, int]:
        """Return how many are taken of each provider, for metrics."""
        with self._lock:
            return dict(self._taken)


breakers = Breakers()
slots = Slots()
allow, success, failure = breakers.allow, breakers.success, breakers.failure


def candidates_ordered(model: ModelSnap, *, chance: Callable[[], float] = random.random) -> list[Candidate]:
    """Return the model's candidates in the order in which to ask them.

    By priority; among equals, each comes first as often as its weight says. Those whose breaker is open come last, in
    the same order. Ask `breakers.allow` before each, except for the last one left.
    """
    if len(model.candidates) == 1:
        return list(model.candidates)
    drawn = sorted(model.candidates, key=lambda candidate: (candidate.priority, _draw(candidate.weight, chance)))
    # Sorting is stable: within ready and not ready the drawn order stays.
    return sorted(drawn, key=lambda candidate: not breakers.is_ready(candidate.endpoint.provider))


def _draw(weight: int, chance: Callable[[], float]) -> float:
    # Efraimidis and Spirakis, 2006: the largest of u^(1/w), u uniform, belongs to the i-th with probability wi / sum.
    return -float((1 - chance()) ** (1 / weight))
