"""Waterfalls of hand-made histories: what is shown of retries, waits, pauses, branches, loops and replays."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from workflows_app.contracts import EventDetail, StepSpec
from workflows_app.reads.timeline_builder import timeline_of
from workflows_app.reads.timeline_lanes import Frame
from workflows_app.reads.waterfall import ChildBar, ChildStep, StepBar, Timeline, ticks_of

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ERROR = {"code": "upstream_timeout", "message": "The model did not answer."}


class History:
    """Events of a run, by the milliseconds since its start."""

    def __init__(self, *keys: str, **data: Any) -> None:
        self.events: list[EventDetail] = []
        self.at(0, "run.created", **(_stage("A", *keys) | {"scope": "workflow", "context": {}} | data))
        self.at(10, "run.started")

    def at(self, ms: int, type_: str, key: str = "", attempt: int | None = None, **data: Any) -> "History":
        """Add one event."""
        seq = len(self.events) + 1
        moment = (START + timedelta(milliseconds=ms)).isoformat()
        self.events.append(EventDetail(uuid.uuid4(), seq, None, type_, key, data, "", moment, attempt))
        return self

    def timeline(self, now: int = 60_000, *, finished: bool = False, **frame: Any) -> Timeline:
        """Return the waterfall as it is ``now`` ms after the start."""
        moment = START + timedelta(milliseconds=now)
        return timeline_of(self.events, Frame(now=moment, is_finished=finished, **frame))


def _stage(key: str, *keys: str) -> dict[str, Any]:
    steps = [StepSpec(key=name, action=name, params={"tone": "calm"}).as_json() for name in keys]
    return {"stage": key, "next_stage": "", "steps": steps}


def _only(timeline: Timeline) -> StepBar:
    (step,) = timeline.steps
    return step


def _of(timeline: Timeline, key: str) -> StepBar:
    return next(step for step in timeline.steps if step.key == key)


def test_a_step_has_its_place_its_length_and_what_it_used() -> None:
    history = History("write")
    history.at(20, "step.started", "write", 1)
    history.at(
        1020,
        "step.completed",
        "write",
        1,
        output={"model": "m-1", "pass_rate": "0.5"},
        model="m-1",
        tokens=12,
        cost_usd="0.02",
    ).at(1020, "run.completed", stage="A", cost_usd="0.02")
    timeline = history.timeline(finished=True)
    step = _only(timeline)
    assert (step.offset_ms, step.duration_ms, step.status) == (20, 1000, "completed")
    assert (step.model, step.tokens, step.cost_usd, step.pass_rate) == ("m-1", 12, Decimal("0.02"), 0.5)
    assert step.input == {"params": {"tone": "calm"}}
    assert (step.last.seq, step.last.end_seq, step.replay_seq) == (3, 4, 2)
    assert (timeline.total_ms, timeline.pass_rate, timeline.totals.work_ms) == (1020, 0.5, 1000)


def test_a_step_under_way_lasts_until_now() -> None:
    step = _only(History("write").at(500, "step.started", "write", 1).timeline(now=2500))
    assert (step.status, step.last.is_open, step.last.end_seq, step.duration_ms) == ("running", True, None, 2000)


def test_each_attempt_and_the_pause_between_them_is_a_part_of_the_step() -> None:
    history = History("write")
    history.at(20, "step.started", "write", 1)
    history.at(120, "step.retried", "write", 1, error=ERROR, delay=0.4)
    history.at(520, "step.started", "write", 2)
    history.at(600, "step.completed", "write", 2, output={}, set={})
    history.at(600, "run.completed", stage="A", cost_usd="0")
    timeline = history.timeline(finished=True)
    step = _only(timeline)
    assert [(part.kind, part.status, part.duration_ms) for part in step.parts] == [
        ("work", "failed", 100),
        ("retry", "completed", 400),
        ("work", "completed", 80),
    ]
    assert step.parts[0].error == ERROR
    assert [part.attempt for part in step.attempts] == [1, 2]
    assert (timeline.totals.attempts, timeline.totals.failed_attempts, timeline.totals.waiting_ms) == (2, 1, 400)


def test_a_long_pause_before_the_next_try_is_one_part_that_lasts() -> None:
    history = History("write").at(20, "step.started", "write", 1)
    history.at(120, "step.retried", "write", 1, error=ERROR, delay=30)
    history.at(120, "run.waiting", kind="retry", step="write", due_in=30)
    step = _only(history.timeline(now=1120))
    assert [(part.kind, part.status, part.duration_ms) for part in step.parts][1:] == [("retry", "waiting", 1000)]
    history.at(30_120, "wait.over").at(30_120, "step.started", "write", 2)
    step = _only(history.timeline(now=30_200))
    assert [part.kind for part in step.parts] == ["work", "retry", "work"]


def test_a_lost_attempt_shows_as_lost_before_the_one_that_followed() -> None:
    history = History("write").at(20, "step.started", "write", 1)
    history.at(5020, "step.lost", "write", 1).at(5020, "step.started", "write", 2)
    history.at(5100, "step.completed", "write", 2, output={}, set={})
    step = _only(history.timeline())
    assert [(part.attempt, part.status) for part in step.parts] == [(1, "lost"), (2, "completed")]


def test_a_skipped_step_has_no_length() -> None:
    history = History("write", "check").at(20, "step.skipped", "write", when="context.long")
    step = _of(history.timeline(), "write")
    assert (step.status, step.duration_ms) == ("skipped", 0)


def test_a_failed_step_bears_its_error_and_the_run_what_was_still_open() -> None:
    history = History("write").at(20, "step.started", "write", 1)
    history.at(40, "step.failed", "write", 1, error=ERROR, handled="fail").at(40, "run.failed", stage="A", error=ERROR)
    step = _only(history.timeline(finished=True))
    assert (step.status, step.last.error) == ("failed", ERROR)


def test_a_run_that_was_taken_up_again_shows_how_long_it_had_stopped() -> None:
    history = History("write").at(20, "step.started", "write", 1)
    history.at(40, "step.failed", "write", 1, error=ERROR, handled="fail").at(40, "run.failed", stage="A", error=ERROR)
    history.at(9040, "run.retried").at(9050, "step.started", "write", 2)
    history.at(9060, "step.completed", "write", 2, output={}, set={}).at(9060, "run.completed", stage="A", cost_usd="0")
    timeline = history.timeline(finished=True)
    stopped = next(step for step in timeline.steps if step.is_rest)
    assert (stopped.action, stopped.offset_ms, stopped.duration_ms) == ("stopped", 40, 9000)
    assert [part.attempt for part in _of(timeline, "write").attempts] == [1, 2]


def test_an_approval_waits_until_somebody_answered() -> None:
    history = History("approve", "write")
    history.at(20, "run.waiting", kind="approval", step="approve", signal="approve", message="Send it?")
    step = _of(history.timeline(now=3020), "approve")
    assert (step.status, step.last.kind, step.duration_ms) == ("waiting", "approval", 3000)
    history.at(4020, "signal.received", name="approve", data={"approved": True}, user_id="")
    history.at(4020, "step.completed", "approve", output={"approved": True, "note": "Go."}, set={}, signal="approve")
    history.at(4020, "step.started", "write", 1)
    step = _of(history.timeline(now=5000), "approve")
    assert (step.status, step.duration_ms, step.last.output["note"]) == ("completed", 4000, "Go.")
    assert step.attempts == ()


def test_a_pause_is_a_row_of_its_own_and_keeps_the_wait_beneath_it() -> None:
    history = History("approve").at(20, "run.waiting", kind="approval", step="approve", signal="approve")
    history.at(1020, "run.paused")
    timeline = history.timeline(now=3020)
    paused = next(step for step in timeline.steps if step.is_rest)
    assert (paused.action, paused.status, paused.duration_ms) == ("paused", "waiting", 2000)
    history.at(4020, "run.resumed")
    timeline = history.timeline(now=5020)
    paused = next(step for step in timeline.steps if step.is_rest)
    assert (paused.status, paused.duration_ms) == ("completed", 3000)
    assert (_of(timeline, "approve").status, _of(timeline, "approve").duration_ms) == ("waiting", 5000)


def test_time_in_the_queue_is_shown_only_when_it_is_worth_a_row() -> None:
    quick = History("write").at(30, "step.started", "write", 1).timeline()
    assert [step.action for step in quick.steps] == ["write"]
    waiting = History("write")
    del waiting.events[1]
    assert [(step.action, step.duration_ms) for step in waiting.timeline(now=4000).steps] == [("queued", 4000)]


def _parallel() -> tuple[History, list[UUID]]:
    ids = [uuid.uuid4(), uuid.uuid4()]
    history = History("write").at(20, "run.waiting", kind="children", step="write", items=[1, 2], total=2, into="r")
    history.at(20, "child.started", branch=0).at(20, "child.started", branch=1)
    return history, ids


def test_branches_lie_below_their_stage_with_the_steps_that_they_did() -> None:
    history, ids = _parallel()
    work = ChildStep("write", "write", 1, "completed", 30, 400, cost_usd=Decimal("0.01"))
    known = {
        ids[0]: ChildBar(0, ids[0], "completed", 20, 480, Decimal("0.01"), steps=(work,)),
        ids[1]: ChildBar(1, ids[1], "running", 20, 980, Decimal(0)),
    }
    history.at(500, "child.ended", branch=0, run_id=str(ids[0]), status="completed", result={}, cost_usd="0.01")
    step = _only(history.timeline(now=1000, children=known))
    assert (step.action, step.status, step.cost_usd) == ("children", "waiting", Decimal("0.01"))
    assert [(bar.branch, bar.run_id, bar.status, bar.duration_ms) for bar in step.children] == [
        (0, ids[0], "completed", 480),
        (1, ids[1], "running", 980),
    ]
    assert step.children[0].steps == (work,)
    history.at(1500, "child.ended", branch=1, run_id=str(ids[1]), status="completed", result={}, cost_usd="0")
    history.at(1500, "stage.gathered", set={"r": [{}, {}]}).at(1500, "run.completed", stage="A", cost_usd="0.01")
    step = _only(history.timeline(finished=True, children=known))
    assert (step.status, step.duration_ms) == ("completed", 1480)


def test_a_branch_that_failed_says_why() -> None:
    history, ids = _parallel()
    history.at(500, "child.ended", branch=0, run_id=str(ids[0]), status="failed", result={}, cost_usd="0", error=ERROR)
    assert _only(history.timeline(now=600)).children[0].error == ERROR


def test_each_visit_of_a_stage_has_its_own_rows() -> None:
    history = History("write")
    for visit in (1, 2):
        history.at(visit * 100, "step.started", "write", 1)
        history.at(visit * 100 + 50, "step.completed", "write", 1, output={}, set={})
        if visit == 1:
            history.at(150, "stage.entered", visit=2, name="Again", **_stage("A", "write"))
    timeline = history.timeline()
    assert [(stage.key, stage.visit) for stage in timeline.stages] == [("A", 1), ("A", 2)]
    assert [step.path for step in timeline.steps] == ["A/write", "A#2/write"]


def test_a_replay_marks_what_it_shares_and_counts_only_its_own() -> None:
    history = History("write", "check")
    history.at(0, "step.started", "write", 1)
    history.at(0, "step.completed", "write", 1, output={}, set={}, cost_usd="0.5", tokens=9)
    history.at(0, "run.forked", origin_id=str(uuid.uuid4()), origin_seq=4)
    history.at(20, "step.started", "check", 1).at(70, "step.completed", "check", 1, output={}, set={}, cost_usd="0.1")
    before = START - timedelta(hours=1)
    times = {3: before, 4: before + timedelta(seconds=7)}
    timeline = history.timeline(shared_until=4, times=times)
    shared, own = _of(timeline, "write"), _of(timeline, "check")
    assert (shared.is_shared, shared.offset_ms, shared.duration_ms) == (True, 0, 7000)
    assert (own.is_shared, own.duration_ms) == (False, 50)
    assert (timeline.totals.cost_usd, timeline.totals.attempts) == (Decimal("0.1"), 1)


def test_an_attempt_that_was_under_way_in_the_origin_is_done_again_by_the_replay() -> None:
    history = History("write").at(0, "step.started", "write", 1)
    history.at(0, "run.forked", origin_id=str(uuid.uuid4()), origin_seq=3).at(20, "step.started", "write", 2)
    step = _only(history.timeline(now=100, shared_until=3))
    assert (step.is_shared, [(part.attempt, part.status) for part in step.parts]) == (False, [(2, "running")])


def test_a_replay_can_begin_before_each_step_but_not_in_a_run_that_is_part_of_another() -> None:
    history = History("write", "check").at(20, "step.started", "write", 1)
    history.at(40, "step.completed", "write", 1, output={}, set={}).at(40, "step.started", "check", 1)
    assert [step.replay_seq for step in history.timeline().steps] == [2, 4]
    assert [step.replay_seq for step in history.timeline(may_replay=False).steps] == [None, None]


def test_a_history_older_than_replays_is_shown_without_them() -> None:
    history = History("write")
    history.events[0].data.clear()
    history.at(20, "step.started", "write", 1, action="apply").at(60, "step.completed", "write", 1, output={})
    step = _only(history.timeline())
    assert (step.action, step.replay_seq, step.duration_ms) == ("apply", None, 40)


def test_what_no_history_should_hold_is_shown_as_well_as_it_can_be() -> None:
    history = History("write").at(20, "step.completed", "ghost", 1, output=None, cost_usd="much", tokens="many")
    history.at(30, "child.ended", branch=0, run_id="none", status="completed").at(40, "from.the.future")
    assert [step.key for step in history.timeline().steps] == ["ghost"]


def test_an_empty_history_is_an_empty_waterfall() -> None:
    timeline = timeline_of([], Frame(now=START, is_finished=False))
    assert (timeline.stages, timeline.total_ms) == ((), 1)


@pytest.mark.parametrize("total", [1, 7, 999, 1000, 12_345, 61_000, 3_600_000, 90_000_000, 86_400_000 * 400])
def test_the_axis_has_a_few_round_marks(total: int) -> None:
    ticks = [tick.offset_ms for tick in ticks_of(total)]
    assert ticks[0] == 0
    assert len(ticks) <= 7
    assert ticks[-1] <= total
