"""From a run's events to its waterfall. Pure: whatever the history holds, nothing here fails on it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from workflows_app.contracts import EventDetail, Json, StepSpec
from workflows_app.engine.state import Fact, State, state_after
from workflows_app.reads.waterfall import (
    CHILDREN,
    PAUSED,
    QUEUED,
    RETRY,
    STOPPED,
    WORK,
    ChildBar,
    Part,
    StageBar,
    StepBar,
    Timeline,
    milliseconds,
    rate_of,
    ticks_of,
    totals_of,
)

# Rests of a whole run that are shorter say nothing.
_SHORTEST_REST_MS = 250
_MOST_CHILDREN = 64
_ENDS = {
    "step.completed": "completed",
    "step.failed": "failed",
    "step.retried": "failed",
    "step.lost": "lost",
    "step.cancelled": "cancelled",
}


@dataclass(frozen=True)
class Frame:
    """What the events do not say. ``now`` ends what is open; ``shared_until`` is the last event shared with an origin.

    ``times``: when the shared events happened in the origin. ``children``: the runs that this one started, by id.
    ``may_replay``: replays of this run are possible at all.
    """

    now: datetime
    is_finished: bool
    shared_until: int = 0
    times: Mapping[int, datetime] = field(default_factory=dict)
    children: Mapping[UUID, ChildBar] = field(default_factory=dict)
    may_replay: bool = True
    hidden_events: int = 0


def timeline_of(events: Iterable[EventDetail], frame: Frame) -> Timeline:
    """Return the waterfall of a run's events, which come in their order."""
    builder = _Builder(frame)
    for event in events:
        builder.take(event)
    return builder.timeline()


@dataclass
class _Open:
    kind: str
    seq: int
    at: datetime
    attempt: int = 0
    model: str = ""


@dataclass
class _Step:
    path: str
    key: str
    action: str
    via: str = ""
    input: Json = field(default_factory=dict)
    replay_seq: int | None = None
    is_shared: bool = False
    parts: list[Part] = field(default_factory=list)
    open: _Open | None = None
    begun: dict[int, datetime] = field(default_factory=dict)
    children: list[ChildBar] = field(default_factory=list)

    @property
    def is_rest(self) -> bool:
        """Whether it is a rest of the whole run."""
        return not self.key and self.action != CHILDREN


@dataclass
class _Stage:
    key: str
    name: str
    visit: int
    steps: dict[str, _Step] = field(default_factory=dict)


class _Builder:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._state: State | None = None
        self._stages: list[_Stage] = []
        self._step: _Step | None = None
        self._rest: _Step | None = None
        self._begun = self._last = frame.now
        self._seq = 0

    # --- events ------------------------------------------------------------------------------------------------------

    def take(self, event: EventDetail) -> None:
        shared = event.seq <= self._frame.shared_until
        at = (self._frame.times.get(event.seq) if shared else None) or datetime.fromisoformat(event.at)
        if not self._stages:
            self._stages.append(_Stage(str(event.data.get("stage", "")), "", 1))
            self._begun = datetime.fromisoformat(event.at)
            self._state = State() if "scope" in event.data else None
        handler = _HANDLERS.get(event.type)
        if handler is not None:
            handler(self, event, at)
        self._fold(event)
        self._seq = event.seq
        self._last = datetime.fromisoformat(event.at)

    def _fold(self, event: EventDetail) -> None:
        if self._state is None:
            return
        try:
            self._state = state_after(self._state, Fact(event.type, event.step_key, event.attempt, event.data))
        except (ArithmeticError, KeyError, TypeError, ValueError):
            # It is shown all the same; only gone on from it cannot be.
            self._state = None

    def created(self, event: EventDetail, at: datetime) -> None:
        self._rest_begins(QUEUED, event, at)

    def started(self, event: EventDetail, at: datetime) -> None:
        self._rest_ends(event, at)

    def entered(self, event: EventDetail, at: datetime) -> None:
        data = event.data
        self._stages.append(_Stage(str(data["stage"]), str(data.get("name", "")), int(data.get("visit", 1))))
        self._step = None

    def step_started(self, event: EventDetail, at: datetime) -> None:
        self._rest_ends(event, at)
        step = self._step_of(event.step_key, event)
        self._close(step, event.seq, at, "completed")
        step.open = _Open(WORK, event.seq, at, event.attempt or 1, str(event.data.get("model", "")))

    def step_ended(self, event: EventDetail, at: datetime) -> None:
        self._rest_ends(event, at)
        step = self._step_of(event.step_key, event)
        data = event.data
        if step.open is None:
            step.open = _Open(WORK, event.seq, at, event.attempt or 0)
        self._close(step, event.seq, at, _ENDS[event.type], data)
        if event.type == "step.retried" and float(data.get("delay") or 0) > 0:
            step.open = _Open(RETRY, event.seq, at)

    def step_skipped(self, event: EventDetail, at: datetime) -> None:
        step = self._step_of(event.step_key, event)
        step.parts.append(self._part(_Open(WORK, event.seq, at), at, "skipped", event.seq, {"output": event.data}))

    def waiting(self, event: EventDetail, at: datetime) -> None:
        self._rest_ends(event, at)
        kind = str(event.data.get("kind", ""))
        if "items" in event.data:
            step = self._lane(f"{self._stage_path()}/*", "", CHILDREN, event)
        else:
            step = self._step_of(str(event.data.get("step", "")), event)
        if step.open is not None and step.open.kind == kind == RETRY:
            return
        self._close(step, event.seq, at, "completed")
        step.open = _Open(kind, event.seq, at)
        step.begun.clear()

    def wait_over(self, event: EventDetail, at: datetime) -> None:
        if self._step is not None:
            self._close(self._step, event.seq, at, "completed")

    def gathered(self, event: EventDetail, at: datetime) -> None:
        self.wait_over(event, at)

    def child_started(self, event: EventDetail, at: datetime) -> None:
        if self._step is not None:
            self._step.begun[int(event.data.get("branch", 0))] = at

    def child_ended(self, event: EventDetail, at: datetime) -> None:
        step, data = self._step, event.data
        if step is None:
            return
        branch = int(data.get("branch", 0))
        begun = step.begun.pop(branch, at)
        run_id = _uuid(data.get("run_id"))
        known = self._frame.children.get(run_id) if run_id else None
        bar = ChildBar(
            branch=branch,
            run_id=run_id,
            status=str(data.get("status", "")),
            offset_ms=self._offset(begun),
            duration_ms=milliseconds(begun, at),
            cost_usd=_decimal(data.get("cost_usd")),
            error=data.get("error"),
            steps=known.steps if known else (),
        )
        step.children.append(bar)

    def paused(self, event: EventDetail, at: datetime) -> None:
        self._rest_begins(PAUSED, event, at)

    def resumed(self, event: EventDetail, at: datetime) -> None:
        self._rest_ends(event, at)
        if self._step is None or self._step.open is None:
            self._rest_begins(QUEUED, event, at)

    def queued_again(self, event: EventDetail, at: datetime) -> None:
        self._rest_ends(event, at)
        self._rest_begins(QUEUED, event, at)

    def forked(self, event: EventDetail, at: datetime) -> None:
        """What was under way in the origin never ended here; all that was done there is shared."""
        for step in self._all_steps():
            step.open = None
            step.is_shared = bool(step.parts)
            step.parts = list(_one_after_another(step.parts))
            step.children = [replace(child, offset_ms=0) for child in step.children]
            step.begun.clear()
        for stage in self._stages:
            stage.steps = {path: step for path, step in stage.steps.items() if step.parts and not step.is_rest}
        self._step = self._rest = None
        self._rest_begins(QUEUED, event, at)

    def ended(self, event: EventDetail, at: datetime) -> None:
        self._rest_ends(event, at)
        status = event.type.removeprefix("run.")
        for step in self._all_steps():
            self._close(step, event.seq, at, "cancelled" if status == "completed" else status, event.data)
        if status == "failed":
            self._rest_begins(STOPPED, event, at)

    # --- lanes -------------------------------------------------------------------------------------------------------

    def _stage_path(self) -> str:
        stage = self._stages[-1]
        return stage.key if stage.visit == 1 else f"{stage.key}#{stage.visit}"

    def _all_steps(self) -> list[_Step]:
        return [step for stage in self._stages for step in stage.steps.values()]

    def _step_of(self, key: str, event: EventDetail) -> _Step:
        spec = self._spec(key)
        action = spec.action if spec else str(event.data.get("action", ""))
        step = self._lane(f"{self._stage_path()}/{key}", key, action, event)
        if spec is not None and not step.via:
            step.via = spec.via
            step.input = {
                name: value for name, value in (("with", spec.template), ("params", spec.params)) if value
            } | ({"when": spec.when} if spec.when else {})
        return step

    def _spec(self, key: str) -> StepSpec | None:
        steps = self._state.steps if self._state else ()
        return next((step for step in steps if step.key == key), None)

    def _lane(self, path: str, key: str, action: str, event: EventDetail) -> _Step:
        steps = self._stages[-1].steps
        if path not in steps:
            steps[path] = _Step(path, key, action, replay_seq=self._replay_seq())
        self._step = steps[path]
        if self._step.is_shared and event.seq > self._frame.shared_until:
            # Tried in the origin, done again here.
            self._step.is_shared, self._step.parts = False, []
        return self._step

    def _replay_seq(self) -> int | None:
        possible = self._frame.may_replay and self._state is not None and self._state.step is not None
        return self._seq if possible and self._seq >= 1 else None

    def _rest_begins(self, kind: str, event: EventDetail, at: datetime) -> None:
        self._rest = _Step(f"{kind}@{event.seq}", "", kind, open=_Open(kind, event.seq, at))
        self._stages[-1].steps[self._rest.path] = self._rest

    def _rest_ends(self, event: EventDetail, at: datetime) -> None:
        if self._rest is not None:
            self._close(self._rest, event.seq, at, "completed")
            self._rest = None

    def _close(self, step: _Step, seq: int, at: datetime, status: str, data: Json | None = None) -> None:
        if step.open is not None:
            step.parts.append(self._part(step.open, at, status, seq, data or {}))
            step.open = None

    def _part(self, begun: _Open, at: datetime, status: str, end_seq: int | None, data: Json) -> Part:
        output = data.get("output") if isinstance(data.get("output"), dict) else {}
        assert isinstance(output, dict)
        return Part(
            kind=begun.kind,
            status=status,
            offset_ms=self._offset(begun.at),
            duration_ms=milliseconds(begun.at, at),
            seq=begun.seq,
            end_seq=end_seq,
            attempt=begun.attempt,
            model=str(data.get("model") or output.get("model") or begun.model),
            tokens=_int(data.get("tokens")),
            cost_usd=_decimal(data.get("cost_usd")) if begun.kind == WORK else Decimal(0),
            pass_rate=rate_of(output),
            output=output,
            error=data.get("error") if status in {"failed", "lost"} else None,
            is_open=end_seq is None,
        )

    def _offset(self, at: datetime) -> int:
        return max(milliseconds(self._begun, at), 0)

    # --- the whole ---------------------------------------------------------------------------------------------------

    def timeline(self) -> Timeline:
        end = self._last if self._frame.is_finished else max(self._frame.now, self._last)
        stages = tuple(self._stage_bar(stage, end) for stage in self._stages)
        shown = tuple(stage for stage in stages if stage.steps)
        total = max(milliseconds(self._begun, end), 1)
        return Timeline(
            begun=self._begun,
            total_ms=total,
            is_finished=self._frame.is_finished,
            stages=shown,
            ticks=ticks_of(total),
            totals=totals_of(step for stage in shown for step in stage.steps),
            shared_until=self._frame.shared_until,
            hidden_events=self._frame.hidden_events,
        )

    def _stage_bar(self, stage: _Stage, end: datetime) -> StageBar:
        bars = (self._step_bar(step, end) for step in stage.steps.values())
        return StageBar(stage.key, stage.name, stage.visit, tuple(bar for bar in bars if bar is not None))

    def _step_bar(self, step: _Step, end: datetime) -> StepBar | None:
        parts = list(step.parts)
        if step.open is not None and not self._frame.is_finished:
            status = "running" if step.open.kind == WORK else "waiting"
            parts.append(self._part(step.open, end, status, None, {}))
        if not parts or (step.is_rest and self._is_short(parts[0])):
            return None
        children = sorted([*step.children, *self._going(step, end)], key=lambda child: (child.offset_ms, child.branch))
        return StepBar(
            path=step.path,
            key=step.key,
            action=step.action,
            via=step.via,
            status=parts[-1].status,
            parts=tuple(parts),
            input=step.input,
            replay_seq=step.replay_seq,
            is_shared=step.is_shared,
            children=tuple(children[:_MOST_CHILDREN]),
            hidden_children=max(len(children) - _MOST_CHILDREN, 0),
        )

    @staticmethod
    def _is_short(part: Part) -> bool:
        return part.duration_ms < _SHORTEST_REST_MS and not (part.is_open and part.kind == PAUSED)

    def _going(self, step: _Step, end: datetime) -> list[ChildBar]:
        """The runs that have begun and not ended yet."""
        if self._frame.is_finished:
            return []
        unfinished = {
            child.branch: child
            for child in self._frame.children.values()
            if child.status not in {"completed", "failed", "cancelled"}
        }
        return [
            ChildBar(
                branch=branch,
                run_id=unfinished[branch].run_id if branch in unfinished else None,
                status=unfinished[branch].status if branch in unfinished else "pending",
                offset_ms=self._offset(begun),
                duration_ms=milliseconds(begun, end),
                cost_usd=unfinished[branch].cost_usd if branch in unfinished else Decimal(0),
                steps=unfinished[branch].steps if branch in unfinished else (),
            )
            for branch, begun in step.begun.items()
        ]


_HANDLERS: dict[str, Callable[[_Builder, EventDetail, datetime], None]] = {
    "run.created": _Builder.created,
    "run.started": _Builder.started,
    "stage.entered": _Builder.entered,
    "step.started": _Builder.step_started,
    **dict.fromkeys(_ENDS, _Builder.step_ended),
    "step.skipped": _Builder.step_skipped,
    "run.waiting": _Builder.waiting,
    "wait.over": _Builder.wait_over,
    "stage.gathered": _Builder.gathered,
    "child.started": _Builder.child_started,
    "child.ended": _Builder.child_ended,
    "run.paused": _Builder.paused,
    "run.resumed": _Builder.resumed,
    "run.released": _Builder.queued_again,
    "run.retried": _Builder.queued_again,
    "run.forked": _Builder.forked,
    **dict.fromkeys(("run.completed", "run.failed", "run.cancelled"), _Builder.ended),
}


def _one_after_another(parts: Iterable[Part]) -> Iterator[Part]:
    offset = 0
    for part in parts:
        yield replace(part, offset_ms=offset)
        offset += part.duration_ms


def _decimal(raw: Any) -> Decimal:
    try:
        return Decimal(str(raw or 0))
    except InvalidOperation:
        return Decimal(0)


def _int(raw: Any) -> int:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else 0


def _uuid(raw: Any) -> UUID | None:
    try:
        return UUID(str(raw))
    except ValueError:
        return None
