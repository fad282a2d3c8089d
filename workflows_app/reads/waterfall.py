"""A run's history as a waterfall: stages, their steps, and what each step's time went to. Pure; frozen values."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from workflows_app.contracts import Json

# What a stretch of time was: work is an attempt of a handler, all others are waiting of some kind.
WORK, QUEUED, PAUSED, STOPPED = "work", "queued", "paused", "stopped"
RETRY, TIMER, SIGNAL, APPROVAL, CHILDREN, SLOT = "retry", "timer", "signal", "approval", "children", "slot"


@dataclass(frozen=True)
class Part:
    """One stretch of a step's time. ``offset_ms`` counts from the run's start; ``is_open``: it lasts still.

    ``seq`` is the event that began it, ``end_seq`` the one that ended it (None while open). ``attempt`` is 0 for
    waiting. ``status``: running, waiting, completed, failed, lost, cancelled, skipped.
    """

    kind: str
    status: str
    offset_ms: int
    duration_ms: int
    seq: int
    end_seq: int | None = None
    attempt: int = 0
    model: str = ""
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    pass_rate: float | None = None
    output: Json = field(default_factory=dict)
    error: Json | None = None
    is_open: bool = False


@dataclass(frozen=True)
class ChildStep:
    """One attempt of a run that this one waited for."""

    key: str
    action: str
    attempt: int
    status: str
    offset_ms: int
    duration_ms: int
    model: str = ""
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True)
class ChildBar:
    """A branch of a parallel stage, or a workflow that a step started. ``run_id`` is None until it is known."""

    branch: int
    run_id: UUID | None
    status: str
    offset_ms: int
    duration_ms: int
    cost_usd: Decimal
    error: Json | None = None
    steps: tuple[ChildStep, ...] = ()


@dataclass(frozen=True)
class StepBar:
    """A step with all its attempts and waits. ``path`` names it within the run.

    ``replay_seq``: the event up to which a replay from this step shares the history; None where it cannot begin here.
    ``is_shared``: it was done in the run that this one is a replay of, and was not done, nor paid, again.
    """

    path: str
    key: str
    action: str
    via: str
    status: str
    parts: tuple[Part, ...]
    input: Json = field(default_factory=dict)
    replay_seq: int | None = None
    is_shared: bool = False
    children: tuple[ChildBar, ...] = ()
    hidden_children: int = 0

    @property
    def offset_ms(self) -> int:
        """Milliseconds from the run's start to the step's."""
        return min(part.offset_ms for part in self.parts)

    @property
    def duration_ms(self) -> int:
        """Milliseconds from the step's start to its end, waiting included."""
        return max(part.offset_ms + part.duration_ms for part in self.parts) - self.offset_ms

    @property
    def attempts(self) -> tuple[Part, ...]:
        """The parts in which a handler worked."""
        return tuple(part for part in self.parts if part.kind == WORK)

    @property
    def is_rest(self) -> bool:
        """Whether it is no step, but a rest of the whole run."""
        return not self.key and self.action != CHILDREN

    @property
    def last(self) -> Part:
        """The newest part: its output or error is the step's."""
        return self.parts[-1]

    @property
    def model(self) -> str:
        """The model of the last attempt that used one."""
        return next((part.model for part in reversed(self.parts) if part.model), "")

    @property
    def tokens(self) -> int:
        """Tokens of all attempts."""
        return sum(part.tokens for part in self.parts)

    @property
    def cost_usd(self) -> Decimal:
        """USD of all attempts and of the runs that the step waited for."""
        own = sum((part.cost_usd for part in self.parts), Decimal(0))
        return own + sum((child.cost_usd for child in self.children), Decimal(0))

    @property
    def pass_rate(self) -> float | None:
        """Share of checks passed (0 to 1) where the step evaluated."""
        return next((part.pass_rate for part in reversed(self.parts) if part.pass_rate is not None), None)


@dataclass(frozen=True)
class StageBar:
    """One visit of a stage; ``visit`` counts from 1."""

    key: str
    name: str
    visit: int
    steps: tuple[StepBar, ...]


@dataclass(frozen=True)
class Tick:
    """A mark on the axis."""

    offset_ms: int


@dataclass(frozen=True)
class Totals:
    """Sums over the run's own steps; what a replay shares with its origin counts in none of them.

    ``work_ms`` and ``waiting_ms`` add up stretches, also parallel ones.
    """

    steps: int
    attempts: int
    failed_attempts: int
    work_ms: int
    waiting_ms: int
    tokens: int
    cost_usd: Decimal


@dataclass(frozen=True)
class Timeline:
    """A run from its start to its end, or to now. ``shared_until`` is the last event shared with the origin (0: none).

    ``hidden_events``: how many events at the end were too many to be shown.
    """

    begun: datetime
    total_ms: int
    is_finished: bool
    stages: tuple[StageBar, ...]
    ticks: tuple[Tick, ...]
    totals: Totals
    shared_until: int = 0
    hidden_events: int = 0

    @property
    def steps(self) -> Iterator[StepBar]:
        """All steps in their order."""
        return (step for stage in self.stages for step in stage.steps)

    @property
    def pass_rate(self) -> float | None:
        """The last evaluation's share of checks passed."""
        rates = [step.pass_rate for step in self.steps if step.pass_rate is not None]
        return rates[-1] if rates else None


_NICE = (1, 2, 5)
_UNITS = (1000, 60_000, 3_600_000, 86_400_000)
_NICE_STEPS = tuple(
    sorted(
        {nice * 10**power for power in range(6) for nice in _NICE if nice * 10**power <= 30_000}
        | {unit * count for unit in _UNITS[1:] for count in (1, 2, 5, 10, 15, 30)}
        | {_UNITS[2] * count for count in (3, 6, 12)}
    )
)


def ticks_of(total_ms: int, *, most: int = 6) -> tuple[Tick, ...]:
    """Return at most ``most`` + 1 round moments from 0 on, the whole way."""
    distance = next((step for step in _NICE_STEPS if total_ms <= step * most), 0)
    if not distance:
        days = 86_400_000
        distance = days * -(-total_ms // (days * most))
    return tuple(Tick(moment) for moment in range(0, total_ms + 1, distance))


def totals_of(steps: Iterator[StepBar]) -> Totals:
    """Return the sums over the steps that are the run's own."""
    own = [step for step in steps if not step.is_shared]
    parts = [part for step in own for part in step.parts]
    attempts = [part for part in parts if part.kind == WORK]
    return Totals(
        steps=sum(1 for step in own if step.key),
        attempts=len(attempts),
        failed_attempts=sum(1 for part in attempts if part.status in {"failed", "lost"}),
        work_ms=sum(part.duration_ms for part in attempts),
        waiting_ms=sum(part.duration_ms for part in parts if part.kind != WORK),
        tokens=sum(step.tokens for step in own),
        cost_usd=sum((step.cost_usd for step in own), Decimal(0)),
    )


def rate_of(output: Any) -> float | None:
    """Return the pass rate in a step's output; None where it has none that can be read."""
    raw = output.get("pass_rate") if isinstance(output, dict) else None
    try:
        return None if raw is None or isinstance(raw, bool) else float(raw)
    except (TypeError, ValueError):
        return None


def milliseconds(begin: datetime, end: datetime) -> int:
    """Return the time between two moments; 0 where the clocks disagree about their order."""
    return max(round((end - begin).total_seconds() * 1000), 0)
