"""A workflow document (WORKFLOW.json) as stages and steps."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from workflows_app.contracts import (
    FAIL,
    GOTO,
    ConfigRef,
    Json,
    Limits,
    ParallelSpec,
    StageSpec,
    StepSpec,
    Transition,
)

APPLY, EVAL = "apply", "eval/run"
# Parameters of `apply` that mean a prompt or a version by its id, whatever "with" says.
PINS = frozenset({"prompt_id", "version_id"})


def document_parse(config_id: UUID, document: Json, *, shared: bool = False) -> ConfigRef:
    """Return a valid document's stages; steps of the same action get keys of their own: review, review-2.

    A step with an ``eval_suite_id`` is followed by one that holds the text against that suite: review-eval. The names
    in a ``shared`` document are ours, and come in the active language.
    """
    name_of = gettext if shared else str
    return ConfigRef(
        id=config_id,
        workspace=document["workspace"],
        version=document["version"],
        name=name_of(document.get("name", "") or document["workspace"]),
        stages={key: _stage(key, stage, name_of(stage["name"])) for key, stage in document["stages"].items()},
        start=document["defaults"]["start"],
        limits=_limits(document.get("limits", {})),
    )


def step_keys(steps: list[Json]) -> list[str]:
    """Return the keys of a stage's steps, in order."""
    seen: Counter[str] = Counter()
    keys = []
    for step in steps:
        seen[step["action"]] += 1
        occurrence = seen[step["action"]]
        # A dash cannot be part of an action, so that a numbered key never meets another action's.
        keys.append(step["action"] if occurrence == 1 else f"{step['action']}-{occurrence}")
    return keys


def _limits(limits: Json) -> Limits:
    cost = limits.get("max_cost")
    return Limits(
        max_cost=None if cost is None else Decimal(str(cost)),
        max_steps=limits.get("max_steps"),
        max_duration=limits.get("max_duration"),
        max_runs=limits.get("max_runs"),
    )


def _stage(key: str, stage: Json, name: str) -> StageSpec:
    keyed = zip(step_keys(stage["steps"]), stage["steps"], strict=True)
    return StageSpec(
        key=key,
        name=name,
        steps=tuple(spec for step_key, step in keyed for spec in _steps(step_key, step)),
        transitions=_transitions(stage.get("next")),
        parallel=_parallel(stage.get("parallel")),
    )


def _transitions(following: str | list[Json] | None) -> tuple[Transition, ...]:
    if not following:
        return ()
    if isinstance(following, str):
        return (Transition(following),)
    return tuple(Transition(item["to"], item.get("when", "")) for item in following)


def _parallel(parallel: Json | None) -> ParallelSpec | None:
    if parallel is None:
        return None
    given = {"as": "name", "into": "into", "max": "limit"}
    options = {field: parallel[name] for name, field in given.items() if name in parallel}
    return ParallelSpec(over=parallel["over"], **options)


def _steps(key: str, step: Json) -> Iterator[StepSpec]:
    yield _step(key, step)
    if "eval_suite_id" in step:
        yield StepSpec(
            key=f"{key}-eval", action="eval", via=EVAL, template=step["eval_suite_id"], when=step.get("when", "")
        )


def _step(key: str, step: Json) -> StepSpec:
    return StepSpec(
        key=key,
        action=step["action"],
        via=step.get("via", ""),
        template=step.get("with", ""),
        params=step.get("params", {}),
        when=step.get("when", ""),
        timeout=step.get("timeout", 0),
        heartbeat=step.get("heartbeat", 0),
        fallback_model=step.get("fallback_model", ""),
        concurrency_key=step.get("concurrency_key", ""),
        concurrency=step.get("concurrency", 1),
        **_retry(step.get("retry", {})),
        **_on_error(step.get("on_error", FAIL)),
    )


def _retry(retry: Json) -> dict[str, Any]:
    options: dict[str, Any] = {"attempts": retry.get("max_attempts", retry.get("attempts", 0))}
    options |= {name: float(retry[name]) for name in ("backoff", "jitter") if name in retry}
    return options | {"retry_on": tuple(retry.get("retry_on", ()))}


def _on_error(on_error: str | Json) -> dict[str, Any]:
    if isinstance(on_error, str):
        return {"on_error": on_error}
    return {"on_error": GOTO, "goto": on_error["goto"]}
