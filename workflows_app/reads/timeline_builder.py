"""From a run's events to its waterfall. Pure: whatever the history holds, nothing here fails on it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from workflows_app.contracts import EventDetail, Json, StepSpec
from workflows_app.engine.state import Fact, State, state_after
from workflows_app.reads.timeline_lanes import (
    Drawing,
    Frame,
    Lane,
    Open,
    StageLanes,
    decimal_of,
    offset_of,
    part_of,
)
from workflows_app.reads.waterfall import (
    CHILDREN,
    PAUSED,
    QUEUED,
    RETRY,
    STOPPED,
    WORK,
    ChildBar,
    Part,
    Timeline,
    milliseconds,
)

_ENDS = {
    "step.completed": "completed",
    "step.failed": "failed",
    "step.retried": "failed",
    "step.lost": "lost",
    "step.cancelled": "cancelled",
}


def timeline_of(events: Iterable[EventDetail], frame: Frame) -> Timeline:
    """Return the waterfall of a run's events, which come in their order."""
    builder = _Builder(frame)
    for event in events:
        builder.take(event)
    return builder.timeline()


class _Builder:
    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._state: State | None = None
        self._stages: list[StageLanes] = []
        self._step: Lane | None = None
        self._rest: Lane | None = None
        self._begun = self._last = frame.now
        self._seq = 0

    # --- events ------------------------------------------------------------------------------------------------------

    def take(self, event: EventDetail) -> None:
        shared = event.seq <= self._frame.shared_until
        at = (self._frame.times.get(event.seq) if shared else None) or datetime.fromisoformat(event.at)
        if not self._stages:
            self._stages.append(StageLanes(str(event.data.get("stage", "")), "", 1))
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
        self._stages.append(StageLanes(str(data["stage"]), str(data.get("name", "")), int(data.get("visit", 1))))
        self._step = None

    def step_started(self, event: EventDetail, at: datetime) -> None:
        self._rest_ends(event, at)
        step = self._step_of(event.step_key, event)
        self._close(step, event.seq, at, "completed")
        step.open = Open(WORK, event.seq, at, event.attempt or 1, str(event.data.get("model", "")))

    def step_ended(self, event: EventDetail, at: datetime) -> None:
        self._rest_ends(event, at)
        step = self._step_of(event.step_key, event)
        data = event.data
        if step.open is None:
            step.open = Open(WORK, event.seq, at, event.attempt or 0)
        self._close(step, event.seq, at, _ENDS[event.type], data)
        if event.type == "step.retried" and float(data.get("delay") or 0) > 0:
            step.open = Open(RETRY, event.seq, at)

    def step_skipped(self, event: EventDetail, at: datetime) -> None:
        step = self._step_of(event.step_key, event)
        step.parts.append(self._part(Open(WORK, event.seq, at), at, "skipped", event.seq, {"output": event.data}))

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
        step.open = Open(kind, event.seq, at)
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
            offset_ms=offset_of(begun, self._begun),
            duration_ms=milliseconds(begun, at),
            cost_usd=decimal_of(data.get("cost_usd")),
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

    def _all_steps(self) -> list[Lane]:
        return [step for stage in self._stages for step in stage.steps.values()]

    def _step_of(self, key: str, event: EventDetail) -> Lane:
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

    def _lane(self, path: str, key: str, action: str, event: EventDetail) -> Lane:
        steps = self._stages[-1].steps
        if path not in steps:
            steps[path] = Lane(path, key, action, replay_seq=self._replay_seq())
        self._step = steps[path]
        if self._step.is_shared and event.seq > self._frame.shared_until:
            # Tried in the origin, done again here.
            self._step.is_shared, self._step.parts = False, []
        return self._step

    def _replay_seq(self) -> int | None:
        possible = self._frame.may_replay and self._state is not None and self._state.step is not None
        return self._seq if possible and self._seq >= 1 else None

    def _rest_begins(self, kind: str, event: EventDetail, at: datetime) -> None:
        self._rest = Lane(f"{kind}@{event.seq}", "", kind, open=Open(kind, event.seq, at))
        self._stages[-1].steps[self._rest.path] = self._rest

    def _rest_ends(self, event: EventDetail, at: datetime) -> None:
        if self._rest is not None:
            self._close(self._rest, event.seq, at, "completed")
            self._rest = None

    def _close(self, step: Lane, seq: int, at: datetime, status: str, data: Json | None = None) -> None:
        if step.open is not None:
            step.parts.append(self._part(step.open, at, status, seq, data or {}))
            step.open = None

    def _part(self, opened: Open, at: datetime, status: str, seq: int, data: Json) -> Part:
        return part_of(opened, at, status, seq, data, begun=self._begun)

    def timeline(self) -> Timeline:
        return Drawing(self._frame, self._begun, self._last).timeline(self._stages)


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


def _uuid(raw: Any) -> UUID | None:
    try:
        return UUID(str(raw))
    except ValueError:
        return None
