"""One event of a run with what belongs to it: what the step was given, what came of it, and where to go on from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from accounts_app.exceptions import NotFound
from workflows_app.contracts import EventDetail, Json, StepSpec
from workflows_app.engine.state import Fact, State, state_after

_BEGIN = frozenset({"step.started", "run.waiting"})
_END = frozenset(
    {"step.completed", "step.failed", "step.retried", "step.lost", "step.cancelled", "stage.gathered", "wait.over"}
)
_ALSO_ENDS = frozenset({"run.completed", "run.failed", "run.cancelled"})


@dataclass(frozen=True)
class Moment:
    """``event`` and, where it begins something, ``ended_by``. ``context`` is what the run had gathered before it.

    ``replay_seq``: the event up to which a replay from here shares the history; None where none can begin here.
    """

    event: EventDetail
    ended_by: EventDetail | None = None
    step: StepSpec | None = None
    context: Json = field(default_factory=dict)
    replay_seq: int | None = None

    @property
    def output(self) -> Json:
        """What the step gave."""
        output = (self.ended_by or self.event).data.get("output")
        return output if isinstance(output, dict) else {}

    @property
    def error(self) -> Json | None:
        """Why the step failed: ``{code, message}``."""
        error = (self.ended_by or self.event).data.get("error")
        return error if isinstance(error, dict) else None

    @property
    def input(self) -> Json:
        """What the workflow gives the step, beside the context."""
        if self.step is None:
            return {}
        given = {"action": self.step.action, "via": self.step.via, "with": self.step.template}
        whole = {**given, "when": self.step.when, "params": self.step.params}
        return {name: value for name, value in whole.items() if value}


def moment_of(events: Sequence[EventDetail], seq: int, *, may_replay: bool) -> Moment:
    """Return the event ``seq`` of a run's history. Raises NotFound."""
    event = next((event for event in events if event.seq == seq), None)
    if event is None:
        raise NotFound
    state = state_before(events, seq)
    ended_by = _end_of(event, events) if event.type in _BEGIN else None
    key = event.step_key or str(event.data.get("step", ""))
    step = next((step for step in state.steps if step.key == key), None) if state and key else None
    return Moment(
        event=event,
        ended_by=ended_by,
        step=step,
        context=dict(state.context) if state else {},
        replay_seq=seq - 1 if may_replay and seq > 1 and state and state.step else None,
    )


def replay_point(events: Sequence[EventDetail], *, step_key: str = "", attempt: int | None = None) -> int | None:
    """Return the event up to which a replay shares the history that lies before a step, or before the last one.

    With ``attempt``, before that one of the step's. None when there is no such step, or nothing to go on from.
    """
    begun = [event for event in events if event.type in _BEGIN and event.data.get("kind") != "retry"]
    named = [event for event in begun if step_key in ("", event.step_key, event.data.get("step"))]
    exact = [event for event in named if attempt is None or event.attempt in (attempt, None)] or named
    for event in reversed(exact):
        state = state_before(events, event.seq)
        if event.seq > 1 and state is not None and state.step is not None:
            return event.seq - 1
    return None


def state_before(events: Sequence[EventDetail], seq: int) -> State | None:
    """Return what the run was in before an event; None for a history that is older than the engine's folds."""
    state: State | None = State()
    for event in events:
        if event.seq >= seq or state is None:
            break
        try:
            state = state_after(state, Fact(event.type, event.step_key, event.attempt, event.data))
        except (ArithmeticError, KeyError, TypeError, ValueError):
            state = None
    return state


def _end_of(event: EventDetail, events: Sequence[EventDetail]) -> EventDetail | None:
    later = (item for item in events if item.seq > event.seq)
    key = event.step_key or event.data.get("step", "")
    return next((item for item in later if item.type in _ALSO_ENDS or (item.type in _END and _same(item, key))), None)


def _same(event: EventDetail, key: object) -> bool:
    return not event.step_key or event.step_key == key
