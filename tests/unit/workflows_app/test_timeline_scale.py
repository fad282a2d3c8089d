"""The axis of a waterfall: long stretches without work are folded, and everything keeps its order."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.reads.timeline_scale import Scale, scale_of
from workflows_app.reads.waterfall import Part, StageBar, StepBar, Timeline, ticks_of, totals_of

HOUR = 3_600_000


def timeline(total_ms: int, *work: tuple[int, int]) -> Timeline:
    """Return a waterfall with one step for each stretch of work."""
    steps = tuple(
        StepBar(f"A/{n}", f"{n}", "write", "", "completed", (Part("work", "completed", begin, length, n),))
        for n, (begin, length) in enumerate(work, 1)
    )
    stages = (StageBar("A", "", 1, steps),)
    begun, totals = datetime(2026, 3, 1, tzinfo=UTC), totals_of(iter(steps))
    return Timeline(begun, total_ms, is_finished=True, stages=stages, ticks=ticks_of(total_ms), totals=totals)


def test_work_without_long_waits_lies_where_it_happened() -> None:
    scale = scale_of(timeline(10_000, (0, 4000), (5000, 5000)))
    assert scale.folds == ()
    assert [scale.at(moment) for moment in (0, 5000, 10_000)] == [0, 50, 100]


def test_a_wait_of_days_leaves_the_work_most_of_the_axis() -> None:
    scale = scale_of(timeline(72 * HOUR, (0, 60_000), (72 * HOUR - 60_000, 60_000)))
    (fold,) = scale.folds
    assert (fold.begin_ms, fold.end_ms) == (60_000, 72 * HOUR - 60_000)
    assert scale.at(60_000) >= 40
    assert scale.at(fold.end_ms) <= 60
    assert all(not fold.begin_ms < tick < fold.end_ms for tick in scale.ticks())


def test_a_run_that_only_waits_is_not_folded() -> None:
    assert scale_of(timeline(72 * HOUR)).folds == ()


def test_a_wait_that_is_short_stays_as_long_as_it_was() -> None:
    assert scale_of(timeline(9000, (0, 100))).folds == ()


@pytest.mark.parametrize("total", [1, 900, 50_000, 900 * HOUR])
def test_marks_are_few(total: int) -> None:
    assert 1 <= len(list(Scale(total).ticks())) <= 8


stretches = st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**7)), min_size=1, max_size=8)


@given(stretches, st.lists(st.integers(0, 10**9), min_size=2, max_size=8))
def test_whatever_is_folded_moments_keep_their_order_and_stay_on_the_axis(
    work: list[tuple[int, int]], moments: list[int]
) -> None:
    total = max(begin + length for begin, length in work) + 1
    scale = scale_of(timeline(total, *work))
    places = [scale.at(min(moment, total)) for moment in sorted(moments)]
    assert all(first <= second + 1e-9 for first, second in pairwise(places))
    assert all(0 <= place <= 100 for place in places)
    assert scale.at(total) == pytest.approx(100)
    assert len(list(scale.ticks())) <= 13
