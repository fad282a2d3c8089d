"""What happens next in a run: decisions as events. Pure, apart from the slots that it asks for.

A machine begins with a run's state, is told one thing (claimed, completed, failed, a signal, …), and collects the
events that follow from it; its state is always the fold of what it has collected. Whoever uses it writes all of that in
one transaction, or nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts_app.exceptions import DeepSpaceError
from accounts_app.ids import uuid7
from workflows_app.contracts import CONTINUE, GOTO, ConfigRef, Json, Limits, StageSpec, StepResult, StepSpec
from workflows_app.engine.attempts import ended_attempt, pause_before
from workflows_app.engine.state import Fact, State, state_after
from workflows_app.services.conditions import condition_holds, expression_value

DEFAULT_ATTEMPTS = 3
# Pauses longer than this are left to the clock; for shorter ones the worker keeps the run.
SHORT_PAUSE_SECONDS = 2.0
MAX_BRANCHES = 256
MAX_SIGNALS = 100
# Stages without a step that is done may follow each other only so often: a loop that does nothing has no end.
MAX_HOPS = 1000

SlotTaker = Callable[[str, int], bool]


@dataclass(frozen=True)
class Asked:
    """What people and clocks want of the run, beside its history."""

    cancel: bool = False
    pause: bool = False
    overdue: bool = False
    due: bool = False


@dataclass(frozen=True)
class Child:
    """A run to be started for this one: a branch of the stage, or another workflow (``template``)."""

    branch: int
    context: Json
    template: str = ""


@dataclass
class Machine:
    """See the module. ``is_branch``: this run is a branch of a parallel stage, which is not fanned out again."""

    run_id: UUID
    state: State
    config: Callable[[], ConfigRef]
    asked: Asked = Asked()
    is_branch: bool = False
    slot_take: SlotTaker = lambda _key, _limit: True
    facts: list[Fact] = field(default_factory=list)
    attempts: list[Json] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    due_in: float | None = None
    due_at: str | None = None
    pause_seconds: float = 0.0
    # How long ago that happened which it is told now, and the attempt under way began (None: before all this).
    ago: float = 0.0
    began_ago: float | None = None
    # The state that it began with: what has to be written is the difference.
    before: State = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.state

    @property
    def is_untouched(self) -> bool:
        """Whether nothing has been done in this run."""
        return self.state.status == "pending" and not self.state.attempt and not self._has_begun()

    # --- what it is told -------------------------------------------------------------------------------------------

    def claimed(self) -> bool:
        """A worker has the run. Returns whether another one was on this step before."""
        lost = bool(self.state.attempt)
        if lost:
            self._close("lost")
            self.emit("step.lost", attempt=self.state.attempt)
        if (self.asked.cancel or self.asked.overdue) and self._must_end():
            return lost
        if self.state.status == "pending" and not self._has_begun():
            self.emit("run.started")
        self._wake()
        self.proceed()
        return lost

    def completed(self, result: StepResult, *, release: bool = False) -> None:
        """The step at the cursor was done."""
        step = self._step()
        output = result.output
        facts: Json = {"output": output, "set": result.set}
        if output.get("model"):
            facts |= {"model": output["model"], "tokens": int(output.get("tokens", 0))}
        if output.get("cost_usd"):
            facts["cost_usd"] = str(output["cost_usd"])
        self._close("completed", output=output)
        self.emit("step.completed", attempt=self.state.attempt, **facts)
        self._free(step)
        self._release() if release and not self._at_end() else self.proceed()

    def failed(self, error: Json, *, may_pass: bool) -> None:
        """The step at the cursor was not done. ``error`` is ``{code, message}``."""
        step = self._step()
        self._close("failed", error=error)
        again = self._again(step, error, may_pass)
        if again is not None:
            self.emit("step.retried", attempt=self.state.attempt, error=error, **again)
            self._pause_or_park(float(again["delay"]))
            return
        self._fail_step(step, error)

    def stopped(self) -> None:
        """The step at the cursor was left because the run is to end or to rest."""
        step = self._step()
        self._close("cancelled")
        self.emit("step.cancelled", attempt=self.state.attempt)
        self._free(step)
        self.proceed()

    def given_up(self, error: Json) -> None:
        """The step takes down every worker that tries it, or cannot even be begun."""
        if self.state.attempt:
            self._close("failed", error=error)
            self.emit("step.failed", attempt=self.state.attempt, error=error, handled="fail")
        self._fail_run(error)

    def again(self) -> None:
        """The short pause before another try is over."""
        self.proceed()

    def signalled(self, name: str, data: Json, user_id: str) -> None:
        """Somebody sent a signal. A run that waits for it is woken by whoever writes this."""
        if len(self.state.signals) >= MAX_SIGNALS:
            raise ValueError("too many signals")
        self.emit("signal.received", name=name, data=data, user_id=user_id)

    def child_ended(self, fact: Json) -> None:
        """A branch or a child workflow ended: ``{branch, run_id, status, result, cost_usd, error?}``."""
        self.emit("child.ended", **fact)
        wait = self.state.wait or {}
        if wait.get("begun", 0) < wait.get("total", 0):
            self.spawn(wait["begun"])

    def awaits_nothing(self) -> bool:
        """Whether what the run waited for is there, so that it wants a worker."""
        wait = self.state.wait
        if self.state.status != "waiting" or wait is None:
            return False
        if wait["kind"] == "children":
            return bool(wait.get("ended", 0) >= wait["total"])
        return any(signal["name"] == wait.get("signal") for signal in self.state.signals)

    # --- what follows ----------------------------------------------------------------------------------------------

    def emit(self, type_: str, *, step_key: str | None = None, attempt: int | None = None, **data: Any) -> None:
        """Note one event, and change the state by it."""
        of_step = type_.startswith("step.") and self.state.step is not None
        key = step_key if step_key is not None else (self._step().key if of_step else "")
        fact = Fact(type_, key, attempt or None, data, self.ago)
        self.facts.append(fact)
        self.state = state_after(self.state, fact)

    def proceed(self) -> None:
        """Go on until a handler has to do a step, something has to be waited for, or the run ends."""
        for _hop in range(MAX_HOPS):
            if self.state.status not in {"pending", "running"} or self.state.attempt or self._must_end():
                return
            try:
                self._hop()
            except DeepSpaceError as error:
                self._fail_run({"code": error.code, "message": error.message})
                return
        if not self.state.attempt:
            self._fail_run({"code": "endless", "message": _("The stages follow each other without doing anything.")})

    def _hop(self) -> None:
        step = self.state.step
        if step is None:
            self._leave_stage()
        elif self.state.cursor == 0 and not self.is_branch and self._stage().parallel and not self.state.attempts_made:
            self._fan_out()
        elif step.when and not condition_holds(step.when, self.values()):
            self._close("skipped")
            self.emit("step.skipped", when=step.when)
        elif step.concurrency_key and not self.slot_take(self._slot(step), step.concurrency):
            self.park("slot", key=self._slot(step), due_in=30.0)
        elif step.handler in PARKING:
            PARKING[step.handler](self, step)
        else:
            self._begin(step)

    def _begin(self, step: StepSpec) -> None:
        model = {"model": step.fallback_model} if self.state.on_fallback else {}
        facts = {"action": step.action, "via": step.via, "path": self.state.path(step), **model}
        self.emit("step.started", attempt=self.state.attempts_made + 1, **facts)
        self.began_ago = self.ago

    def _must_end(self) -> bool:
        limits = self._limits()
        if self.asked.cancel:
            self._end("cancelled")
        elif self.asked.overdue:
            self._fail_run({"code": "limit_duration", "message": _("The run has had the time that it was given.")})
        elif limits.max_cost is not None and self.state.cost_usd >= limits.max_cost and self.state.step:
            self._fail_run({"code": "limit_cost", "message": _("The run has cost what it was allowed to cost.")})
        elif limits.max_steps is not None and self.state.steps_done >= limits.max_steps and self.state.step:
            self._fail_run({"code": "limit_steps", "message": _("The run has made as many steps as it was allowed.")})
        elif self.asked.pause:
            self.emit("run.paused")
        else:
            return False
        return True

    def _leave_stage(self) -> None:
        if self.state.scope == "stage":
            self._end("completed")
            return
        values = self.values()
        for transition in self._stage().transitions:
            if not transition.when or condition_holds(transition.when, values):
                self.enter(transition.to)
                return
        self._end("completed")

    def enter(self, stage: str) -> None:
        """Go to the beginning of a stage."""
        spec = self.config().stages[stage]
        self.emit(
            "stage.entered",
            stage=stage,
            name=spec.name,
            visit=self.state.visits.get(stage, 0) + 1,
            next_stage=spec.next or "",
            steps=[step.as_json() for step in spec.steps],
        )

    def _fan_out(self) -> None:
        parallel = self._stage().parallel
        assert parallel is not None
        items = expression_value(parallel.over, self.values())
        if not isinstance(items, list) or len(items) > MAX_BRANCHES:
            problem = {"limit": MAX_BRANCHES, "over": parallel.over}
            raise DeepSpaceError(_("“%(over)s” must give a list of at most %(limit)d items.") % problem)
        if not items:
            self.emit("stage.gathered", set={parallel.into: []})
            return
        wait: Json = {"path": self.state.stage_path, "items": items, "name": parallel.name, "into": parallel.into}
        self.park("children", total=len(items), round=str(uuid7()), **wait)
        for branch in range(min(parallel.limit, len(items))):
            self.spawn(branch)

    def spawn(self, branch: int) -> None:
        """Have one of the runs started that this one waits for."""
        wait = self.state.wait or {}
        self.emit("child.started", branch=branch)
        if "template" in wait:
            self.children.append(Child(branch, wait["input"], wait["template"]))
        else:
            self.children.append(Child(branch, {**self.state.context, wait["name"]: wait["items"][branch]}))

    def _wake(self) -> None:
        """What the run waited for may be there; then its step is over, or tried again."""
        wait = self.state.wait
        if self.state.status != "waiting" or wait is None:
            return
        WAKING[wait["kind"]](self, wait)

    def branches_failed(self, wait: Json) -> None:
        """A branch failed, and with it the stage."""
        self._fail_run(wait["error"])

    def park(self, kind: str, *, due_in: float | None = None, due_at: str | None = None, **data: Any) -> None:
        """Wait, at most until the moment that is given."""
        self.due_in, self.due_at = due_in, due_at
        step: Json = {"step": self.state.step.key} if self.state.step else {}
        moment: Json = {name: value for name, value in (("due_in", due_in), ("due_at", due_at)) if value is not None}
        self.emit("run.waiting", kind=kind, **step, **moment, **data)

    # --- steps that are not done by a handler ------------------------------------------------------------------------

    def done(self, output: Json, values: Json, *, signal: str | None = None) -> None:
        """The step that the run waited with is over."""
        by: Json = {"signal": signal} if signal else {}
        self._close("completed", output=output)
        self.emit("step.completed", output=output, set=values, **by)

    def not_done(self, error: Json, *, signal: str | None = None) -> None:
        """The step that the run waited with failed."""
        self._close("failed", error=error)
        self._fail_step(self._step(), error, signal=signal)

    # --- failures ----------------------------------------------------------------------------------------------------

    def _again(self, step: StepSpec, error: Json, may_pass: bool) -> Json | None:
        """How the step is tried again; None when it is not."""
        listed = not step.retry_on or error["code"] in step.retry_on
        repeated = (may_pass or bool(step.retry_on)) and listed
        if self.asked.cancel:
            return None
        if repeated and self.state.failures + 1 < (step.attempts or DEFAULT_ATTEMPTS):
            return {"delay": round(pause_before(step, self.state.failures + 1), 3)}
        if step.fallback_model and not self.state.on_fallback:
            return {"delay": 0.0, "fallback_model": step.fallback_model}
        return None

    def _pause_or_park(self, delay: float) -> None:
        if delay <= SHORT_PAUSE_SECONDS:
            # Never nothing: the worker goes on with the run itself.
            self.pause_seconds = max(delay, 0.001)
        else:
            self.park("retry", due_in=delay)

    def _fail_step(self, step: StepSpec, error: Json, signal: str | None = None) -> None:
        by = {"signal": signal} if signal else {}
        attempt = self.state.attempt or None
        self.emit("step.failed", attempt=attempt, error=error, handled=step.on_error, **by)
        self._free(step)
        if step.on_error == CONTINUE:
            self.proceed()
        elif step.on_error == GOTO:
            self.enter(step.goto)
            self.proceed()
        else:
            self._fail_run(error)

    def _fail_run(self, error: Json) -> None:
        self._end("failed", error=error)

    def _end(self, status: str, **data: Any) -> None:
        self.emit(f"run.{status}", stage=self.state.stage, cost_usd=str(self.state.cost_usd), **data)

    def _release(self) -> None:
        self.emit("run.released")

    def _at_end(self) -> bool:
        return self.state.cursor >= len(self.state.steps)

    # --- small things ------------------------------------------------------------------------------------------------

    def _has_begun(self) -> bool:
        return bool(self.state.steps_done or self.state.cursor or self.state.attempts_made)

    def _step(self) -> StepSpec:
        step = self.state.step
        assert step is not None
        return step

    def _stage(self) -> StageSpec:
        stages = self.config().stages
        return stages.get(self.state.stage) or StageSpec(self.state.stage, self.state.stage, self.state.steps)

    def _limits(self) -> Limits:
        return self.config().limits

    def values(self) -> Json:
        """What conditions and expressions may name."""
        return {
            "context": self.state.context,
            "stage": self.state.stage,
            "visits": dict(self.state.visits),
            "cost": float(self.state.cost_usd),
            "steps_done": self.state.steps_done,
        }

    def _slot(self, step: StepSpec) -> str:
        return f"step:{step.concurrency_key}"

    def _free(self, step: StepSpec) -> None:
        if step.concurrency_key:
            self.freed.append(self._slot(step))

    def _close(self, status: str, *, output: Json | None = None, error: Json | None = None) -> None:
        """Note an attempt that has ended, as it is listed."""
        ended = ended_attempt(self.run_id, self.state, self._step(), status, output or {}, error)
        self.attempts.append(ended | {"began_ago": self.began_ago, "ended_ago": self.ago})


# Filled by workflows_app.engine.waits: what parks a step of that name, and what wakes a wait of that kind.
PARKING: dict[str, Callable[[Machine, StepSpec], None]] = {}
WAKING: dict[str, Callable[[Machine, Json], None]] = {}
