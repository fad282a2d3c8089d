"""The lanes of a waterfall while it is built from events, and what is drawn of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from workflows_app.contracts import Json
from workflows_app.reads.waterfall import (
    CHILDREN,
    PAUSED,
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


@dataclass
class Open:
    """What goes on in a lane, since when."""

    kind: str
    seq: int
    at: datetime
    attempt: int = 0
    model: str = ""


@dataclass
class Lane:
    """One step of one visit of a stage, or a rest of the whole run: its parts, one after another."""

    path: str
    key: str
    action: str
    via: str = ""
    input: Json = field(default_factory=dict)
    replay_seq: int | None = None
    is_shared: bool = False
    parts: list[Part] = field(default_factory=list)
    open: Open | None = None
    begun: dict[int, datetime] = field(default_factory=dict)
    children: list[ChildBar] = field(default_factory=list)

    @property
    def is_rest(self) -> bool:
        """Whether it is a rest of the whole run."""
        return not self.key and self.action != CHILDREN


@dataclass
class StageLanes:
    """One visit of a stage."""

    key: str
    name: str
    visit: int
    steps: dict[str, Lane] = field(default_factory=dict)


def part_of(opened: Open, at: datetime, status: str, end_seq: int | None, data: Json, *, begun: datetime) -> Part:
    """Return what was open as a part that ended ``at``; ``begun``: when the run did, ``end_seq`` None: it goes on."""
    output = data.get("output") if isinstance(data.get("output"), dict) else {}
    assert isinstance(output, dict)
    return Part(
        kind=opened.kind,
        status=status,
        offset_ms=offset_of(opened.at, begun),
        duration_ms=milliseconds(opened.at, at),
        seq=opened.seq,
        end_seq=end_seq,
        attempt=opened.attempt,
        model=str(data.get("model") or output.get("model") or opened.model),
        tokens=_int(data.get("tokens")),
        cost_usd=decimal_of(data.get("cost_usd")) if opened.kind == WORK else Decimal(0),
        pass_rate=rate_of(output),
        output=output,
        error=data.get("error") if status in {"failed", "lost"} else None,
        is_open=end_seq is None,
    )


def offset_of(at: datetime, begun: datetime) -> int:
    """Return the milliseconds from the run's beginning."""
    return max(milliseconds(begun, at), 0)


@dataclass(frozen=True)
class Drawing:
    """What is known of a run when its events have been read: when it began, and when its last event was."""

    frame: Frame
    begun: datetime
    last: datetime

    def timeline(self, lanes: Iterable[StageLanes]) -> Timeline:
        """Draw the lanes."""
        end = self.last if self.frame.is_finished else max(self.frame.now, self.last)
        stages = tuple(self._stage_bar(stage, end) for stage in lanes)
        shown = tuple(stage for stage in stages if stage.steps)
        total = max(milliseconds(self.begun, end), 1)
        return Timeline(
            begun=self.begun,
            total_ms=total,
            is_finished=self.frame.is_finished,
            stages=shown,
            ticks=ticks_of(total),
            totals=totals_of(step for stage in shown for step in stage.steps),
            shared_until=self.frame.shared_until,
            hidden_events=self.frame.hidden_events,
        )

    def _stage_bar(self, stage: StageLanes, end: datetime) -> StageBar:
        bars = (self._step_bar(step, end) for step in stage.steps.values())
        return StageBar(stage.key, stage.name, stage.visit, tuple(bar for bar in bars if bar is not None))

    def _step_bar(self, step: Lane, end: datetime) -> StepBar | None:
        parts = list(step.parts)
        if step.open is not None and not self.frame.is_finished:
            status = "running" if step.open.kind == WORK else "waiting"
            parts.append(part_of(step.open, end, status, None, {}, begun=self.begun))
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

    def _going(self, step: Lane, end: datetime) -> list[ChildBar]:
        """The runs that have begun and not ended yet."""
        if self.frame.is_finished:
            return []
        unfinished = {
            child.branch: child
            for child in self.frame.children.values()
            if child.status not in {"completed", "failed", "cancelled"}
        }
        return [
            ChildBar(
                branch=branch,
                run_id=unfinished[branch].run_id if branch in unfinished else None,
                status=unfinished[branch].status if branch in unfinished else "pending",
                offset_ms=offset_of(begun, self.begun),
                duration_ms=milliseconds(begun, end),
                cost_usd=unfinished[branch].cost_usd if branch in unfinished else Decimal(0),
                steps=unfinished[branch].steps if branch in unfinished else (),
            )
            for branch, begun in step.begun.items()
        ]


def decimal_of(raw: Any) -> Decimal:
    """Return what an event says of money; nonsense is nothing."""
    try:
        return Decimal(str(raw or 0))
    except InvalidOperation:
        return Decimal(0)


def _int(raw: Any) -> int:
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else 0
