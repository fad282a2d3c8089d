"""A workflow document (WORKFLOW.json) as stages and steps."""

from collections import Counter
from uuid import UUID

from django.utils.translation import gettext

from workflows_app.contracts import ConfigRef, Json, StageSpec, StepSpec, Transition


def document_parse(config_id: UUID, document: Json, *, shared: bool = False) -> ConfigRef:
    """Return a valid document's stages; steps of the same action get keys of their own: review, review-2.

    The names in a ``shared`` document are ours, and come in the active language.
    """
    name_of = gettext if shared else str
    return ConfigRef(
        id=config_id,
        workspace=document["workspace"],
        version=document["version"],
        name=name_of(document.get("name", "") or document["workspace"]),
        stages={key: _stage(key, stage, name_of(stage["name"])) for key, stage in document["stages"].items()},
        start=document["defaults"]["start"],
    )


def _stage(key: str, stage: Json, name: str) -> StageSpec:
    seen: Counter[str] = Counter()
    steps = []
    for step in stage["steps"]:
        seen[step["action"]] += 1
        steps.append(_step(step, seen[step["action"]]))
    return StageSpec(key=key, name=name, steps=tuple(steps), transitions=_transitions(stage.get("next")))


def _transitions(following: str | list[Json] | None) -> tuple[Transition, ...]:
    if not following:
        return ()
    if isinstance(following, str):
        return (Transition(following),)
    return tuple(Transition(item["to"], item.get("when", "")) for item in following)


def _step(step: Json, occurrence: int) -> StepSpec:
    # A dash cannot be part of an action, so that a numbered key never meets another action's.
    key = step["action"] if occurrence == 1 else f"{step['action']}-{occurrence}"
    return StepSpec(
        key=key,
        action=step["action"],
        via=step.get("via", ""),
        template=step.get("with", ""),
        params=step.get("params", {}),
        attempts=step.get("retry", {}).get("attempts", 0),
    )
