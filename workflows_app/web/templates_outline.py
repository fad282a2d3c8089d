"""A workflow as a page shows it: its stages in reading order, steps with what is special about them, ways onward."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from workflows_app.contracts import CONTINUE, GOTO, ConfigError, ConfigRef, Json, Limits, StageSpec, StepSpec
from workflows_app.engine.waits import APPROVE, CHILD, WAIT
from workflows_app.services.documents import document_parse
from workflows_app.services.ordering import document_ordered
from workflows_app.services.validation import config_shape

_ICONS = {WAIT: "clock", APPROVE: "people", CHILD: "diagram-3", "apply": "stars", "linter": "list-check"}
_ICONS |= {"eval/run": "graph-up", "bootstrap/rewrite": "pencil", "finish": "flag"}


@dataclass(frozen=True)
class StepLine:
    """A step: what runs it with what, the condition under which it is done, and what else is said about it."""

    key: str
    handler: str
    template: str
    when: str
    icon: str
    traits: tuple[str, ...]


@dataclass(frozen=True)
class Way:
    """A way onward. ``to`` is a stage's key; empty at the end of the workflow."""

    to: str
    name: str
    when: str


@dataclass(frozen=True)
class StageCard:
    """A stage. ``parallel`` says over what it is fanned out."""

    key: str
    name: str
    is_start: bool
    parallel: str
    steps: tuple[StepLine, ...]
    ways: tuple[Way, ...]
    problems: tuple[ConfigError, ...]


def outline_of(
    config_id: UUID, document: Json, problems: tuple[ConfigError, ...], *, shared: bool
) -> tuple[StageCard, ...]:
    """Return the stages, the first one first; nothing for a draft whose form is not that of a workflow yet."""
    if config_shape(document):
        return ()
    config = document_parse(config_id, document_ordered(document), shared=shared)
    return tuple(_card(stage, config, problems) for stage in config.stages.values())


def limits_of(limits: Limits) -> tuple[str, ...]:
    """Return what a run may use, in words."""
    found = []
    if limits.max_cost is not None:
        found.append(_("costs at most $%(cost)s") % {"cost": f"{limits.max_cost.normalize():f}"})
    if limits.max_steps is not None:
        found.append(ngettext("at most %(n)d step", "at most %(n)d steps", limits.max_steps) % {"n": limits.max_steps})
    if limits.max_duration is not None:
        found.append(_("takes at most %(time)s") % {"time": seconds_said(limits.max_duration)})
    if limits.max_runs is not None:
        found.append(_("at most %(n)d runs at a time") % {"n": limits.max_runs})
    return tuple(found)


def seconds_said(seconds: float) -> str:
    """Return a span in the largest unit that it is whole in."""
    for size, said in ((86400, _("%(n)d d")), (3600, _("%(n)d h")), (60, _("%(n)d min"))):
        if seconds >= size and seconds % size == 0:
            return said % {"n": seconds // size}
    return _("%(n)s s") % {"n": f"{seconds:g}"}


def _card(stage: StageSpec, config: ConfigRef, problems: tuple[ConfigError, ...]) -> StageCard:
    place = f"/stages/{stage.key}"
    return StageCard(
        key=stage.key,
        name=stage.name,
        is_start=stage.key == config.start,
        parallel=stage.parallel.over if stage.parallel else "",
        steps=tuple(map(_line, stage.steps)),
        ways=_ways(stage, config),
        problems=tuple(item for item in problems if f"{item.pointer}/".startswith(f"{place}/")),
    )


def _ways(stage: StageSpec, config: ConfigRef) -> tuple[Way, ...]:
    ways = [Way(item.to, _name(item.to, config), item.when) for item in stage.transitions]
    if all(way.when for way in ways):
        ways.append(Way("", "", ""))
    return tuple(ways)


def _name(stage: str, config: ConfigRef) -> str:
    return config.stages[stage].name if stage in config.stages else ""


def _line(step: StepSpec) -> StepLine:
    icon = _ICONS.get(step.handler, "chevron-right")
    return StepLine(step.key, step.handler, step.template, step.when, icon, tuple(_traits(step)))


def _traits(step: StepSpec) -> Iterator[str]:
    if step.handler == WAIT:
        yield _wait_said(step.params)
    if step.handler == APPROVE and step.params.get("message"):
        yield str(step.params["message"])
    if step.attempts:
        yield ngettext("%(n)d try", "up to %(n)d tries", step.attempts) % {"n": step.attempts}
    if step.timeout:
        yield _("at most %(time)s") % {"time": seconds_said(step.timeout)}
    if step.fallback_model:
        yield _("then with %(model)s") % {"model": step.fallback_model}
    if step.on_error == CONTINUE:
        yield _("goes on when it fails")
    if step.on_error == GOTO:
        yield _("goes to %(stage)s when it fails") % {"stage": step.goto}
    if step.concurrency_key:
        yield _("%(n)d at a time of “%(key)s”") % {"n": step.concurrency, "key": step.concurrency_key}


def _wait_said(params: Json) -> str:
    if "signal" in params:
        return _("for the signal “%(name)s”") % {"name": params["signal"]}
    if "until" in params:
        return _("until %(moment)s") % {"moment": params["until"]}
    return seconds_said(params.get("seconds", 0))
