"""What a run is in: the fold of its events. Pure; no database, no clock."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from workflows_app.contracts import Json, StepSpec

FINISHED = frozenset({"completed", "failed", "cancelled"})


@dataclass(frozen=True)
class Fact:
    """One event as the fold sees it: ``data`` is small JSON without secrets. ``attempt``: of the step, from 1.

    ``ago``: how many seconds before it is written it happened; no state depends on it.
    """

    type: str
    step_key: str = ""
    attempt: int | None = None
    data: Json = field(default_factory=dict)
    ago: float = 0.0


@dataclass(frozen=True)
class State:
    """A run's state. ``attempt`` is 0 unless one is under way; ``attempts_made`` and ``failures`` are of this step.

    ``wait`` says what a waiting (or paused) run waits for: ``{kind, …}``, see `workflows_app.engine.waits`.
    ``signals`` came before anybody asked for them. ``cost_usd`` includes that of branches and child workflows.
    """

    status: str = "pending"
    scope: str = "stage"
    stage: str = ""
    next_stage: str = ""
    steps: tuple[StepSpec, ...] = ()
    cursor: int = 0
    visits: Mapping[str, int] = field(default_factory=dict)
    attempt: int = 0
    attempts_made: int = 0
    failures: int = 0
    on_fallback: bool = False
    steps_done: int = 0
    context: Json = field(default_factory=dict)
    wait: Json | None = None
    signals: tuple[Json, ...] = ()
    error: Json | None = None
    cost_usd: Decimal = Decimal(0)

    @property
    def is_finished(self) -> bool:
        """Whether the run reached its end."""
        return self.status in FINISHED

    @property
    def step(self) -> StepSpec | None:
        """The step at the cursor; None behind the stage's last."""
        return self.steps[self.cursor] if self.cursor < len(self.steps) else None

    @property
    def stage_path(self) -> str:
        """The stage and which visit of it: D, then D#2."""
        visit = self.visits.get(self.stage, 1)
        return self.stage if visit == 1 else f"{self.stage}#{visit}"

    def path(self, step: StepSpec) -> str:
        """The name of a step within the run; the same for all its attempts, for no other step."""
        return f"{self.stage_path}/{step.key}"


Effect = Callable[[State, Fact], State]
_effects: dict[str, Effect] = {}


def state_after(state: State, fact: Fact) -> State:
    """Return the state after one more event. One that only tells something (an unknown type) changes nothing."""
    effect = _effects.get(fact.type)
    return effect(state, fact) if effect else state


def state_rebuilt(facts: Iterable[Fact]) -> State:
    """Return the state that a whole history leads to."""
    state = State()
    for fact in facts:
        state = state_after(state, fact)
    return state


def _effect(*types: str) -> Callable[[Effect], Effect]:
    def register(function: Effect) -> Effect:
        _effects.update(dict.fromkeys(types, function))
        return function

    return register


_FRESH_STEP: dict[str, Any] = {"attempt": 0, "attempts_made": 0, "failures": 0, "on_fallback": False}


def _specs(steps: list[Json]) -> tuple[StepSpec, ...]:
    return tuple(StepSpec.from_json(step) for step in steps)


@_effect("run.created")
def _created(_state: State, fact: Fact) -> State:
    data = fact.data
    return State(
        scope=data["scope"],
        stage=data["stage"],
        next_stage=data["next_stage"],
        steps=_specs(data["steps"]),
        visits={data["stage"]: 1},
        context=data["context"],
    )


@_effect("run.started")
def _started(state: State, _fact: Fact) -> State:
    return replace(state, status="running")


@_effect("stage.entered")
def _entered(state: State, fact: Fact) -> State:
    stage, steps = fact.data["stage"], _specs(fact.data["steps"])
    visits = {**state.visits, stage: fact.data["visit"]}
    following = fact.data["next_stage"]
    return replace(state, stage=stage, next_stage=following, steps=steps, cursor=0, visits=visits, **_FRESH_STEP)


@_effect("step.started")
def _step_started(state: State, fact: Fact) -> State:
    attempt = fact.attempt or 1
    done = state.steps_done + 1
    return replace(state, status="running", attempt=attempt, attempts_made=attempt, steps_done=done)


@_effect("step.lost", "step.cancelled")
def _step_left(state: State, _fact: Fact) -> State:
    return replace(state, attempt=0)


@_effect("step.completed")
def _step_completed(state: State, fact: Fact) -> State:
    context = {**state.context, **fact.data.get("set", {})}
    cost = state.cost_usd + Decimal(fact.data.get("cost_usd", 0))
    signals = _without(state.signals, fact.data.get("signal"))
    ahead = replace(state, status="running", cursor=state.cursor + 1, context=context, cost_usd=cost, wait=None)
    return replace(ahead, signals=signals, **_FRESH_STEP)


def _without(signals: tuple[Json, ...], name: str | None) -> tuple[Json, ...]:
    for index, signal in enumerate(signals):
        if signal["name"] == name:
            return signals[:index] + signals[index + 1 :]
    return signals


@_effect("step.skipped")
def _step_skipped(state: State, _fact: Fact) -> State:
    return replace(state, cursor=state.cursor + 1, **_FRESH_STEP)


@_effect("step.retried")
def _step_retried(state: State, fact: Fact) -> State:
    if "fallback_model" in fact.data:
        return replace(state, attempt=0, failures=0, on_fallback=True, wait=None)
    return replace(state, attempt=0, failures=state.failures + 1, wait=None)


@_effect("step.failed")
def _step_failed(state: State, fact: Fact) -> State:
    signals = _without(state.signals, fact.data.get("signal"))
    left = replace(state, status="running", attempt=0, wait=None, signals=signals)
    if fact.data["handled"] == "fail":
        return replace(left, failures=state.failures + 1)
    errors = {**state.context.get("errors", {}), fact.step_key: fact.data["error"]}
    return replace(left, context={**state.context, "errors": errors}, cursor=state.cursor + 1, **_FRESH_STEP)


@_effect("run.waiting")
def _waiting(state: State, fact: Fact) -> State:
    return replace(state, status="waiting", wait=fact.data)


@_effect("wait.over")
def _wait_over(state: State, _fact: Fact) -> State:
    return replace(state, status="running", wait=None)


@_effect("child.started")
def _child_started(state: State, fact: Fact) -> State:
    wait = state.wait or {}
    return replace(state, wait={**wait, "begun": wait.get("begun", 0) + 1})


@_effect("child.ended")
def _child_ended(state: State, fact: Fact) -> State:
    wait, data = state.wait or {}, fact.data
    results = {**wait.get("results", {}), str(data["branch"]): data["result"]}
    failed = wait.get("failed", 0) + (data["status"] != "completed")
    wait = {**wait, "ended": wait.get("ended", 0) + 1, "failed": failed, "results": results}
    if data["status"] != "completed":
        wait["error"] = data.get("error") or {"code": "child_" + data["status"], "message": ""}
    return replace(state, wait=wait, cost_usd=state.cost_usd + Decimal(data["cost_usd"]))


@_effect("stage.gathered")
def _gathered(state: State, fact: Fact) -> State:
    context = {**state.context, **fact.data["set"]}
    return replace(state, status="running", context=context, wait=None, cursor=len(state.steps))


@_effect("signal.received")
def _signal_received(state: State, fact: Fact) -> State:
    return replace(state, signals=(*state.signals, fact.data))


@_effect("run.paused")
def _paused(state: State, _fact: Fact) -> State:
    return replace(state, status="paused")


@_effect("run.resumed")
def _resumed(state: State, _fact: Fact) -> State:
    return replace(state, status="waiting" if state.wait else "pending")


@_effect("run.released")
def _released(state: State, _fact: Fact) -> State:
    return replace(state, status="pending")


@_effect("run.retried", "run.forked")
def _begun_again(state: State, fact: Fact) -> State:
    fresh = replace(
        state, status="pending", error=None, wait=None, **(_FRESH_STEP | {"attempts_made": state.attempts_made})
    )
    if "steps" in fact.data:
        fresh = replace(fresh, steps=_specs(fact.data["steps"]), next_stage=fact.data["next_stage"])
    return replace(fresh, context={**fresh.context, **fact.data.get("set", {})})


@_effect("run.completed", "run.failed", "run.cancelled")
def _ended(state: State, fact: Fact) -> State:
    status = fact.type.removeprefix("run.")
    return replace(state, status=status, error=fact.data.get("error"), attempt=0, wait=None)
