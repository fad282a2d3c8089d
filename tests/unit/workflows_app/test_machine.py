"""The machine by itself: branches of the workflow, conditions, loops, waits, failures, limits; no database."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from workflows_app.contracts import ConfigRef, Json, Limits, ParallelSpec, StageSpec, StepResult, StepSpec, Transition
from workflows_app.engine.attempts import idempotency_key, pause_before
from workflows_app.engine.machine import Asked, Machine
from workflows_app.engine.state import Fact, State, state_rebuilt

RUN = UUID(int=7)
ERROR = {"code": "no", "message": "No."}


def step(key: str, **fields: Any) -> StepSpec:
    return StepSpec(key=key, action=fields.pop("action", key), **fields)


def config(*stages: StageSpec, **limits: Any) -> ConfigRef:
    return ConfigRef(UUID(int=1), "general", "1.0.0", "test", {stage.key: stage for stage in stages}, stages[0].key,
                     Limits(**limits))  # fmt: skip


class Play:
    """A run played out: workers come and go, and the machine is made anew from the state each time."""

    def __init__(self, config: ConfigRef, context: Json | None = None, scope: str = "workflow", **fields: Any) -> None:
        self.config = config
        first = config.stages[config.start]
        data = {
            "scope": scope,
            "stage": first.key,
            "next_stage": first.next or "",
            "steps": [item.as_json() for item in first.steps],
            "context": context or {},
        }
        self.history = [Fact("run.created", data=data)]
        self.fields = fields
        self.machine: Machine
        self.children: list[Any] = []

    @property
    def state(self) -> State:
        return state_rebuilt(self.history)

    def tell(self, verb: str, *args: Any, asked: Asked | None = None, **fields: Any) -> "Play":
        self.machine = Machine(RUN, self.state, lambda: self.config, asked or Asked(), **self.fields)
        getattr(self.machine, verb)(*args, **fields)
        self.history += self.machine.facts
        self.children += self.machine.children
        assert self.machine.state == self.state
        return self

    def claim(self, **asked: bool) -> "Play":
        return self.tell("claimed", asked=Asked(**asked))

    def done(self, **values: Any) -> "Play":
        return self.tell("completed", StepResult(set=values))

    def at(self) -> tuple[str, str, str]:
        state = self.state
        return state.status, state.stage_path, state.step.key if state.step else ""

    def types(self) -> list[str]:
        return [fact.type for fact in self.history]


def stage(key: str, steps: Sequence[StepSpec], *transitions: Transition, **fields: Any) -> StageSpec:
    return StageSpec(key, key, tuple(steps), transitions, **fields)


def test_a_workflow_goes_from_stage_to_stage() -> None:
    play = Play(config(stage("A", [step("one")], Transition("B")), stage("B", [step("two")])))
    assert play.claim().at() == ("running", "A", "one")
    assert play.done().at() == ("running", "B", "two")
    assert play.done().state.status == "completed"


def test_a_run_of_one_stage_ends_with_it() -> None:
    play = Play(config(stage("A", [step("one")], Transition("B")), stage("B", [step("two")])), scope="stage")
    assert play.claim().done().state.status == "completed"


@pytest.mark.parametrize(("rate", "target"), [(0.9, "B"), (0.4, "C")])
def test_the_first_condition_that_holds_decides(rate: float, target: str) -> None:
    good = Transition("B", "context.rate >= 0.8")
    play = Play(
        config(stage("A", [step("one")], good, Transition("C")), stage("B", [step("b")]), stage("C", [step("c")]))
    )
    assert play.claim().done(rate=rate).state.stage == target


def test_a_loop_counts_its_visits_and_each_visit_has_its_own_effects() -> None:
    again, out = Transition("A", "visits.A < 3"), Transition("B")
    play = Play(config(stage("A", [step("one")], again, out), stage("B", [step("two")])))
    keys = []
    play.claim()
    while play.state.stage == "A":
        keys.append(idempotency_key(RUN, play.state, play.state.steps[0]))
        play.done()
    assert len(keys) == len(set(keys)) == 3
    assert play.at() == ("running", "B", "two")


def test_a_step_whose_condition_is_false_is_passed_over() -> None:
    play = Play(config(stage("A", [step("one", when="context.wanted"), step("two")])), {"wanted": False})
    assert play.claim().at() == ("running", "A", "two")
    assert "step.skipped" in play.types()
    assert [item["status"] for item in play.machine.attempts] == ["skipped"]


def test_a_condition_that_cannot_be_decided_fails_the_run_with_its_words() -> None:
    play = Play(config(stage("A", [step("one", when="context.nothing > 3")])))
    state = play.claim().state
    assert (state.status, (state.error or {})["code"]) == ("failed", "condition_failed")


def test_a_loop_that_does_nothing_ends() -> None:
    idle = step("one", when="false")
    play = Play(config(stage("A", [idle], Transition("A"))))
    state = play.claim().state
    assert (state.status, (state.error or {})["code"]) == ("failed", "endless")


def test_a_list_is_fanned_out_and_gathered_in_its_order() -> None:
    parallel = ParallelSpec("context.topics", name="topic", into="texts", limit=2)
    play = Play(config(stage("A", [step("one")], Transition("B"), parallel=parallel), stage("B", [step("two")])),
                {"topics": ["x", "y", "z"]})  # fmt: skip
    play.claim()
    assert play.at()[0] == "waiting"
    assert [child.context["topic"] for child in play.children] == ["x", "y"]
    for branch in (1, 0):
        ended = {"branch": branch, "run_id": "r", "status": "completed", "result": {"n": branch}, "cost_usd": "0.5"}
        play.tell("child_ended", ended)
    assert [child.context["topic"] for child in play.children] == ["x", "y", "z"]
    assert not play.machine.awaits_nothing()
    play.tell("child_ended", {"branch": 2, "run_id": "r", "status": "completed", "result": {"n": 2}, "cost_usd": "1"})
    assert play.machine.awaits_nothing()
    play.claim()
    assert play.at() == ("running", "B", "two")
    assert play.state.context["texts"] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert play.state.cost_usd == Decimal("2.0")


def test_a_failed_branch_fails_the_stage() -> None:
    parallel = ParallelSpec("context.topics")
    play = Play(config(stage("A", [step("one")], parallel=parallel)), {"topics": ["x"]}).claim()
    play.tell(
        "child_ended", {"branch": 0, "run_id": "r", "status": "failed", "result": {}, "cost_usd": "0", "error": ERROR}
    )
    assert play.claim().state.error == ERROR


def test_an_empty_list_has_no_branches() -> None:
    play = Play(config(stage("A", [step("one")], parallel=ParallelSpec("context.topics"))), {"topics": []})
    assert play.claim().state.status == "completed"
    assert play.state.context["results"] == []


@pytest.mark.parametrize("topics", ["text", list(range(257)), {"a": 1}])
def test_what_is_no_list_or_too_long_is_refused(topics: Any) -> None:
    play = Play(config(stage("A", [step("one")], parallel=ParallelSpec("context.topics"))), {"topics": topics})
    assert play.claim().state.status == "failed"


def test_a_timer_parks_the_run_until_its_time() -> None:
    play = Play(config(stage("A", [step("wait", params={"seconds": 60}), step("two")])))
    assert play.claim().at()[0] == "waiting"
    assert play.machine.due_in == 60
    assert play.claim().at()[0] == "waiting"
    assert play.claim(due=True).at() == ("running", "A", "two")


@pytest.mark.parametrize("early", [True, False])
def test_an_approval_goes_on_whether_it_came_before_or_after(early: bool) -> None:
    play = Play(config(stage("A", [step("one"), step("approve"), step("two")]))).claim()
    if early:
        play.tell("signalled", "approve", {"approved": True}, "u").done()
    else:
        play.done()
        assert play.at()[0] == "waiting"
        play.tell("signalled", "approve", {"approved": True}, "u")
        assert play.machine.awaits_nothing()
        play.claim()
    assert play.at() == ("running", "A", "two")
    assert play.state.context["approval"]["user_id"] == "u"
    assert play.state.signals == ()


def test_a_refused_approval_fails_the_run_with_its_note() -> None:
    play = Play(config(stage("A", [step("approve")]))).claim()
    play.tell("signalled", "approve", {"approved": False, "note": "Too long."}, "u").claim()
    assert play.state.error == {"code": "rejected", "message": "Too long."}


def test_an_approval_that_does_not_come_in_time_fails_as_its_step_says() -> None:
    late = step("approve", params={"timeout": 5}, on_error="goto", goto="B")
    play = Play(config(stage("A", [late]), stage("B", [step("two")]))).claim()
    assert play.machine.due_in == 5
    assert play.claim(due=True).at() == ("running", "B", "two")


def test_a_signal_brings_its_data() -> None:
    play = Play(config(stage("A", [step("wait", params={"signal": "paid"}), step("two")]))).claim()
    play.tell("signalled", "other", {}, "u").tell("signalled", "paid", {"sum": 3}, "u").claim()
    assert play.state.context["signal"] == {"sum": 3}
    assert [item["name"] for item in play.state.signals] == ["other"]


def test_a_called_workflow_gives_its_result() -> None:
    call = step("run", via="workflow/run", template="other", params={"input": {"x": 1}, "into": "answer"})
    play = Play(config(stage("A", [call, step("two")]))).claim()
    (child,) = play.children
    assert (child.template, child.context) == ("other", {"x": 1})
    play.tell("child_ended", {"branch": 0, "run_id": "r", "status": "completed", "result": {"y": 2}, "cost_usd": "0"})
    assert play.claim().at() == ("running", "A", "two")
    assert play.state.context["answer"] == {"y": 2}


def test_failures_that_may_pass_are_tried_again_and_then_end_the_run() -> None:
    play = Play(config(stage("A", [step("one", attempts=2, backoff=0.5, jitter=0)]))).claim()
    play.tell("failed", ERROR, may_pass=True)
    assert (play.machine.pause_seconds, play.state.attempt) == (0.5, 0)
    play.tell("again").tell("failed", ERROR, may_pass=True)
    assert (play.state.status, play.state.error) == ("failed", ERROR)


def test_a_long_pause_is_left_to_the_clock() -> None:
    play = Play(config(stage("A", [step("one", backoff=30, jitter=0)]))).claim().tell("failed", ERROR, may_pass=True)
    assert (play.at()[0], play.machine.due_in, play.machine.pause_seconds) == ("waiting", 30.0, 0.0)
    assert play.claim(due=True).state.attempt == 2


@pytest.mark.parametrize(("codes", "tried"), [(("no",), True), (("other",), False)])
def test_a_step_may_name_the_errors_that_are_tried_again(codes: tuple[str, ...], tried: bool) -> None:
    play = Play(config(stage("A", [step("one", retry_on=codes)]))).claim().tell("failed", ERROR, may_pass=False)
    assert ("step.retried" in play.types()) is tried


def test_the_fallback_model_gets_a_round_of_its_own_under_another_name() -> None:
    play = Play(config(stage("A", [step("one", attempts=1, fallback_model="small")]))).claim()
    first = idempotency_key(RUN, play.state, play.state.steps[0])
    play.tell("failed", ERROR, may_pass=True).tell("again")
    assert play.state.on_fallback
    assert idempotency_key(RUN, play.state, play.state.steps[0]) != first
    assert play.history[-1].data["model"] == "small"
    assert play.tell("failed", ERROR, may_pass=True).state.status == "failed"


def test_an_error_may_be_passed_over() -> None:
    play = Play(config(stage("A", [step("one", on_error="continue"), step("two")]))).claim()
    play.tell("failed", ERROR, may_pass=False)
    assert play.at() == ("running", "A", "two")
    assert play.state.context["errors"] == {"one": ERROR}


def test_an_error_may_lead_elsewhere() -> None:
    play = Play(config(stage("A", [step("one", on_error="goto", goto="B")]), stage("B", [step("two")]))).claim()
    assert play.tell("failed", ERROR, may_pass=False).at() == ("running", "B", "two")


def test_the_cost_has_a_limit() -> None:
    play = Play(config(stage("A", [step("one"), step("two")]), max_cost=Decimal(1))).claim()
    play.tell("completed", StepResult(output={"cost_usd": "1.2"}))
    assert (play.state.error or {})["code"] == "limit_cost"


def test_the_last_step_may_reach_the_limit() -> None:
    play = Play(config(stage("A", [step("one")]), max_cost=Decimal(1))).claim()
    assert play.tell("completed", StepResult(output={"cost_usd": "1"})).state.status == "completed"


def test_attempts_have_a_limit() -> None:
    loop = config(stage("A", [step("one")], Transition("A")), max_steps=4)
    play = Play(loop).claim()
    while not play.state.is_finished:
        play.done()
    assert ((play.state.error or {})["code"], play.state.steps_done) == ("limit_steps", 4)


def test_time_has_a_limit() -> None:
    play = Play(config(stage("A", [step("wait", params={"seconds": 60})]))).claim().claim(overdue=True)
    assert (play.state.error or {})["code"] == "limit_duration"


def test_a_pause_takes_hold_between_two_steps() -> None:
    play = Play(config(stage("A", [step("one"), step("two")]))).claim()
    play.tell("completed", StepResult(), asked=Asked(pause=True))
    assert play.at() == ("paused", "A", "two")
    play.tell("emit", "run.resumed").claim()
    assert play.at() == ("running", "A", "two")


def test_a_cancelled_run_is_not_begun() -> None:
    play = Play(config(stage("A", [step("one")]))).claim(cancel=True)
    assert play.types() == ["run.created", "run.cancelled"]


def test_what_waits_for_a_slot_asks_again() -> None:
    free = iter([False, False, True])
    play = Play(config(stage("A", [step("one", concurrency_key="k")])), slot_take=lambda _key, _most: next(free))
    assert play.claim().at()[0] == "waiting"
    assert play.claim(due=True).at()[0] == "waiting"
    assert play.claim(due=True).at()[0] == "running"
    assert play.done().machine.freed == ["step:k"]


def test_pauses_double_and_have_an_end() -> None:
    plain = step("one", backoff=10, jitter=0)
    assert [pause_before(plain, failures) for failures in (1, 2, 3)] == [10, 20, 40]
    assert pause_before(plain, 40) == 3600
    assert 0 <= pause_before(step("one", backoff=10, jitter=1), 1) <= 10
