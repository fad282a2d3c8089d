"""Where the stages of a workflow lead: targets that exist, conditions that type, circles with a way out."""

from collections.abc import Iterator, Mapping
from functools import cache

from django.utils.translation import gettext as _

from workflows_app.contracts import ConfigError, Json
from workflows_app.services.conditions import Gives, expression_problem
from workflows_app.services.expressions import shape_of
from workflows_app.services.findings import Path, error_at, warning_at

Graph = Mapping[str, frozenset[str]]


def flow_findings(document: Json) -> Iterator[ConfigError]:
    """Check the start, every transition and every fan-out of a document of the right shape."""
    stages = document["stages"]
    if document["defaults"]["start"] not in stages:
        yield error_at(("defaults", "start"), _("There is no such stage."))
    for key, stage in stages.items():
        yield from _next_findings(stage.get("next"), ("stages", key, "next"), stages)
        if "parallel" in stage:
            place: Path = ("stages", key, "parallel", "over")
            yield from expression_findings(stage["parallel"]["over"], "a list", place, stages)
            if stage["parallel"].get("as", "item") == stage["parallel"].get("into", "results"):
                yield error_at(("stages", key, "parallel", "into"), _("“as” and “into” must differ."))
    yield from _circles(stages)
    yield from _unreachable(document)


def expression_findings(expression: str, gives: Gives, path: Path, stages: Json) -> Iterator[ConfigError]:
    """Check one condition or expression, and that the stages it counts visits of are there."""
    problem = expression_problem(expression, gives)
    if problem is not None:
        yield error_at(path, problem)
        return
    for stage in shape_of(expression).visits:
        if stage not in stages:
            yield warning_at(path, _("There is no stage “%(stage)s” to visit.") % {"stage": stage})


def transitions_of(stage: Json) -> list[Json]:
    """Return a stage's transitions up to the first that is always taken."""
    following = stage.get("next")
    if following is None:
        return []
    if isinstance(following, str):
        return [{"to": following}]
    taken: list[Json] = []
    for item in following:
        taken.append(item)
        if is_always(item):
            break
    return taken


def is_always(transition: Json) -> bool:
    """Whether the transition needs no condition to hold."""
    return str(transition.get("when", "true")).strip() == "true"


def in_circles(stages: Json) -> frozenset[str]:
    """Return the stages that can be come back to."""
    reached = _reach(_led_to(stages))
    return frozenset(key for key in stages if key in reached(key))


def _next_findings(following: str | list[Json] | None, path: Path, stages: Json) -> Iterator[ConfigError]:
    if isinstance(following, str):
        if following not in stages:
            yield error_at(path, _("There is no such stage."))
        return
    open_ended = True
    for index, item in enumerate(following or []):
        if item["to"] not in stages:
            yield error_at((*path, index, "to"), _("There is no such stage."))
        if "when" in item:
            yield from expression_findings(item["when"], "a yes or no", (*path, index, "when"), stages)
        if not open_ended:
            yield warning_at((*path, index), _("This is never tried: the transition before it is always taken."))
        open_ended = open_ended and not is_always(item)


def _circles(stages: Json) -> Iterator[ConfigError]:
    """A circle needs a way out: a stage of it that may end the workflow, or may lead to one that does."""
    reached = _reach(_led_to(stages))
    ends = {key for key, stage in stages.items() if not any(map(is_always, transitions_of(stage)))}
    for key in stages:
        if key in reached(key) and key not in ends and not ends & reached(key):
            yield error_at(("stages", key, "next"), _("These stages follow each other without an end."))


def _unreachable(document: Json) -> Iterator[ConfigError]:
    stages, start = document["stages"], document["defaults"]["start"]
    graph = {key: targets | _gotos(stages[key]) for key, targets in _led_to(stages).items()}
    reached = _reach(graph)
    lost = [key for key in stages if key != start and (start not in stages or key not in reached(start))]
    for key in lost:
        # What follows a lost stage is told by that stage already.
        if not any(key in reached(other) and other not in reached(key) for other in lost):
            message = _("No stage leads here: it runs only when it is asked for by name.")
            yield warning_at(("stages", key), message)


def _led_to(stages: Json) -> Graph:
    return {
        key: frozenset(item["to"] for item in transitions_of(stage) if item["to"] in stages)
        for key, stage in stages.items()
    }


def _gotos(stage: Json) -> frozenset[str]:
    handled = (step.get("on_error") for step in stage["steps"])
    return frozenset(item["goto"] for item in handled if isinstance(item, dict))


class _Reach:
    """What can be reached from a stage in one or more transitions."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.known = cache(self._from)

    def __call__(self, key: str) -> frozenset[str]:
        return self.known(key)

    def _from(self, key: str) -> frozenset[str]:
        found: set[str] = set()
        rest = list(self.graph.get(key, ()))
        while rest:
            stage = rest.pop()
            if stage not in found:
                found.add(stage)
                rest.extend(self.graph.get(stage, ()))
        return frozenset(found)


def _reach(graph: Graph) -> _Reach:
    return _Reach(graph)
