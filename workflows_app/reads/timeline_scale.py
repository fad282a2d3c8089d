"""Where moments of a run lie on its axis. Long stretches in which nothing worked are folded: an approval that took
three days must not squeeze the minutes of work into a line.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from workflows_app.reads.waterfall import WORK, Timeline, ticks_of

# A stretch without work takes at most this share of what all the work takes, and is folded only from this length on.
_IDLE_SHARE = 0.25
_SHORTEST_FOLD_MS = 10_000
# Of two marks, in per cent of the axis.
_NEAREST = 9.0


@dataclass(frozen=True)
class Fold:
    """A stretch that is drawn shorter than it was."""

    begin_ms: int
    end_ms: int
    drawn_ms: float

    @property
    def saved_ms(self) -> float:
        """By how much."""
        return self.end_ms - self.begin_ms - self.drawn_ms


@dataclass(frozen=True)
class Scale:
    """The axis of a run: `at` maps milliseconds since its start to 0 … 100."""

    total_ms: int
    folds: tuple[Fold, ...] = ()

    @property
    def drawn_ms(self) -> float:
        """The length of the axis."""
        return max(self.total_ms - sum(fold.saved_ms for fold in self.folds), 1)

    def at(self, moment_ms: float) -> float:
        """Return the place of a moment, in per cent."""
        drawn = float(moment_ms)
        for fold in self.folds:
            if moment_ms >= fold.end_ms:
                drawn -= fold.saved_ms
            elif moment_ms > fold.begin_ms:
                inside = (moment_ms - fold.begin_ms) / (fold.end_ms - fold.begin_ms)
                drawn -= fold.saved_ms * inside
        return min(max(drawn * 100 / self.drawn_ms, 0), 100)

    def ticks(self) -> Iterator[int]:
        """Yield the round moments that are marked: none within a fold, none too near to another."""
        distance = next((tick.offset_ms for tick in ticks_of(round(self.drawn_ms)) if tick.offset_ms), 0)
        moments: Iterable[int] = _outside(self.folds, distance, self.total_ms) if distance else (0,)
        last = -_NEAREST
        for moment in moments:
            place = self.at(moment)
            if place - last >= _NEAREST:
                last = place
                yield moment


def _outside(folds: tuple[Fold, ...], distance: int, total_ms: int) -> Iterator[int]:
    """The multiples of ``distance`` that lie in no fold. A fold may be days long, so it is passed over at once."""
    begin = 0
    for fold in (*folds, Fold(total_ms + 1, total_ms + 1, 0)):
        yield from range(-(-begin // distance) * distance, fold.begin_ms, distance)
        begin = fold.end_ms


def scale_of(timeline: Timeline) -> Scale:
    """Return the axis of a waterfall."""
    busy = list(_joined(_work(timeline)))
    worked = sum(end - begin for begin, end in busy)
    most = max(worked * _IDLE_SHARE, 1)
    folds = [
        Fold(begin, end, most)
        for begin, end in _between(busy, timeline.total_ms)
        if end - begin >= _SHORTEST_FOLD_MS and end - begin > 2 * most
    ]
    return Scale(timeline.total_ms, tuple(folds) if busy else ())


def _work(timeline: Timeline) -> Iterator[tuple[int, int]]:
    for step in timeline.steps:
        if step.is_shared:
            continue
        for part in step.parts:
            if part.kind == WORK:
                yield part.offset_ms, part.offset_ms + part.duration_ms
        for child in step.children:
            yield child.offset_ms, child.offset_ms + child.duration_ms


def _joined(stretches: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The stretches without overlaps, in their order."""
    current: tuple[int, int] | None = None
    for begin, end in sorted(stretches):
        if current is None:
            current = (begin, end)
        elif begin <= current[1]:
            current = (current[0], max(current[1], end))
        else:
            yield current
            current = (begin, end)
    if current is not None:
        yield current


def _between(busy: list[tuple[int, int]], total_ms: int) -> Iterator[tuple[int, int]]:
    at = 0
    for begin, end in [*busy, (total_ms, total_ms)]:
        if begin > at:
            yield at, begin
        at = max(at, end)
