"""A waterfall as rows of a table: what each says, and where its bars lie, in per cent of the axis."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from django.utils.translation import gettext

from workflows_app.contracts import Json
from workflows_app.reads.timeline_labels import duration_text, kind_label, step_name
from workflows_app.reads.timeline_scale import Fold, Scale, scale_of
from workflows_app.reads.waterfall import WORK, ChildBar, ChildStep, Part, StageBar, StepBar, Timeline

# So that the shortest step can be seen.
_NARROWEST = 0.6
# Marks give way to what is written at a fold.
_NEAR_FOLD = 14


@dataclass(frozen=True)
class Bar:
    """A bar: left edge and width in per cent of the axis. ``look`` names its colour."""

    x: float
    width: float
    look: str


@dataclass(frozen=True)
class Row:
    """A line of the table. ``level`` is step, part (an attempt, a wait), child or child-step.

    ``open_seq``: the event whose input and output it shows; ``run_id``: the run that it stands for.
    """

    level: str
    label: str
    status: str
    bars: tuple[Bar, ...]
    offset_ms: int
    duration_ms: int
    attempts: int = 0
    model: str = ""
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)
    pass_rate: float | None = None
    error: Json | None = None
    note: str = ""
    open_seq: int | None = None
    replay_seq: int | None = None
    run_id: UUID | None = None
    is_shared: bool = False
    is_rest: bool = False
    is_attempt: bool = False


@dataclass(frozen=True)
class Stage:
    """The rows of one visit of a stage."""

    key: str
    name: str
    visit: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Mark:
    """A mark of the axis, in per cent, with what it says. ``is_fold``: there the axis is folded, by that much."""

    x: float
    text: str
    anchor: str
    is_fold: bool = False


def stages_of(timeline: Timeline, names: dict[str, str]) -> list[Stage]:
    """Return the waterfall's rows; ``names`` are those of the stages whose own history does not say."""
    scale = scale_of(timeline)
    return [_stage(stage, scale, names) for stage in timeline.stages]


def marks_of(timeline: Timeline) -> list[Mark]:
    """Return the axis: round moments, and where it is folded."""
    scale = scale_of(timeline)
    folded = [_fold(scale, fold) for fold in scale.folds]
    marks = [_mark(scale, moment) for moment in scale.ticks()]
    return [mark for mark in marks if all(abs(mark.x - fold.x) >= _NEAR_FOLD for fold in folded)] + folded


def _mark(scale: Scale, moment: int) -> Mark:
    x = round(scale.at(moment), 3)
    return Mark(x, duration_text(moment) if moment else "0", _anchor(x))


def _fold(scale: Scale, fold: Fold) -> Mark:
    x = round((scale.at(fold.begin_ms) + scale.at(fold.end_ms)) / 2, 3)
    return Mark(x, f"⋯ {duration_text(fold.end_ms - fold.begin_ms)} ⋯", _anchor(x), is_fold=True)


def _anchor(x: float) -> str:
    return "start" if x < 4 else "end" if x > 94 else "middle"


def _stage(stage: StageBar, scale: Scale, names: dict[str, str]) -> Stage:
    rows = tuple(row for step in stage.steps for row in _rows(step, scale))
    return Stage(stage.key, stage.name or names.get(stage.key, ""), stage.visit, rows)


def _rows(step: StepBar, scale: Scale) -> Iterator[Row]:
    yield Row(
        level="step",
        label=step_name(step.key, step.action),
        status=step.status,
        bars=() if step.is_shared else tuple(_bar(part, scale) for part in step.parts),
        offset_ms=step.offset_ms,
        duration_ms=step.duration_ms,
        attempts=len(step.attempts),
        model=step.model,
        tokens=step.tokens,
        cost_usd=step.cost_usd,
        pass_rate=step.pass_rate,
        error=step.last.error,
        open_seq=step.last.seq,
        replay_seq=step.replay_seq,
        is_shared=step.is_shared,
        is_rest=step.is_rest,
    )
    if len(step.parts) > 1:
        yield from (_part(part, scale, shared=step.is_shared) for part in step.parts)
    for child in step.children:
        yield _child(child, scale)
        yield from (_child_step(done, scale) for done in child.steps)


def _part(part: Part, scale: Scale, *, shared: bool) -> Row:
    attempt = gettext("Attempt %(number)d") % {"number": part.attempt}
    return Row(
        level="part",
        label=attempt if part.kind == WORK else kind_label(part.kind),
        status=part.status,
        bars=() if shared else (_bar(part, scale),),
        offset_ms=part.offset_ms,
        duration_ms=part.duration_ms,
        model=part.model,
        tokens=part.tokens,
        cost_usd=part.cost_usd,
        pass_rate=part.pass_rate,
        error=part.error,
        open_seq=part.seq,
        is_shared=shared,
        is_attempt=part.kind == WORK,
    )


def _child(child: ChildBar, scale: Scale) -> Row:
    return Row(
        level="child",
        label=gettext("Run %(number)d") % {"number": child.branch + 1},
        status=child.status,
        bars=(_span(child.offset_ms, child.duration_ms, scale, f"child-{child.status}"),),
        offset_ms=child.offset_ms,
        duration_ms=child.duration_ms,
        cost_usd=child.cost_usd,
        error=child.error,
        run_id=child.run_id,
    )


def _child_step(step: ChildStep, scale: Scale) -> Row:
    return Row(
        level="child-step",
        label=step_name(step.key, step.action),
        status=step.status,
        bars=(_span(step.offset_ms, step.duration_ms, scale, f"work-{step.status}"),),
        offset_ms=step.offset_ms,
        duration_ms=step.duration_ms,
        attempts=step.attempt,
        model=step.model,
        tokens=step.tokens,
        cost_usd=step.cost_usd,
    )


def _bar(part: Part, scale: Scale) -> Bar:
    look = f"work-{part.status}" if part.kind == WORK else part.kind
    return _span(part.offset_ms, part.duration_ms, scale, look)


def _span(offset_ms: int, duration_ms: int, scale: Scale, look: str) -> Bar:
    begin, end = scale.at(offset_ms), scale.at(offset_ms + duration_ms)
    width = max(end - begin, _NARROWEST)
    return Bar(round(min(begin, 100 - width), 3), round(width, 3), look)
