"""Which steps an action means on a stage, before anything is started."""

from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from tasks_app.exceptions import UnknownAction, UnknownStage
from tasks_app.models import Task
from workflows_app.contracts import ConfigRef, StageSpec, StepSpec
from workflows_app.services.configs import stage_after

GENERATE, REWRITE, APPLY, EVAL, LINTER, FINISH = "generate", "rewrite", "apply", "eval", "linter", "finish"
ACTIONS = (GENERATE, REWRITE, APPLY, EVAL, LINTER, FINISH)
FINAL_STAGE = "E"

# The step handler that each action of one kind means.
VIA = {APPLY: "apply", LINTER: "linter", EVAL: "eval/run", REWRITE: "bootstrap/rewrite"}
MODEL_STEPS = {VIA[APPLY], VIA[REWRITE]}


@dataclass(frozen=True)
class Plan:
    """The steps to run on ``stage``; none when the deed needs no run. ``next_stage`` follows if all goes well."""

    config_id: UUID
    stage: str
    action: str
    steps: tuple[StepSpec, ...]
    next_stage: str | None
    needs_text: bool

    @property
    def calls_model(self) -> bool:
        """Whether the run will cost anything."""
        return any(step.via in MODEL_STEPS for step in self.steps)


def plan_of(*, task: Task, config: ConfigRef, stage: str, action: str) -> Plan:
    """Return what ``action`` on ``stage`` means for ``task``. Raises UnknownStage, UnknownAction."""
    if action not in ACTIONS:
        known = {"actions": ", ".join(ACTIONS)}
        raise UnknownAction.for_field("action", _("There is no such action. There are: %(actions)s.") % known)
    if stage not in config.stages:
        known = {"stages": ", ".join(config.stages)}
        raise UnknownStage.for_field("stage", _("The task's workflow has no such stage. It has: %(stages)s.") % known)
    if action == FINISH:
        return _plan_to_finish(task, config, stage)
    spec = config.stages[stage]
    steps = spec.steps if action == GENERATE else steps_of_kind(spec, action, config.workspace)
    # A stage that writes a text begins without one; all others work on the text at hand.
    writes = any(step.via == VIA[APPLY] for step in spec.steps) and action in {GENERATE, APPLY}
    return Plan(config.id, stage, action, steps, stage_after(config, stage), needs_text=not writes)


def steps_of_kind(spec: StageSpec, action: str, workspace: str) -> tuple[StepSpec, ...]:
    """Return the stage's steps of one kind, or one ad-hoc step of that kind where it has none."""
    return tuple(step for step in spec.steps if step.via == VIA[action]) or (_ad_hoc(action, workspace),)


def _ad_hoc(action: str, workspace: str) -> StepSpec:
    template = {APPLY: "text_optimizer", EVAL: f"{workspace}_basics"}.get(action, "")
    return StepSpec(key=action, action=action, via=VIA[action], template=template)


def _plan_to_finish(task: Task, config: ConfigRef, stage: str) -> Plan:
    """The final stage's steps, once; a task without any text has nothing to finalize."""
    final = config.stages.get(FINAL_STAGE)
    if final is None or task.finished_stage == FINAL_STAGE or not task.text:
        return Plan(config.id, stage, FINISH, (), None, needs_text=False)
    return Plan(config.id, FINAL_STAGE, FINISH, final.steps, None, needs_text=False)
