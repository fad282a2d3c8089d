"""The order in which a document is read. The database keeps JSON objects without theirs."""

from collections.abc import Iterable
from typing import Any

from workflows_app.contracts import Json

_TOP = ("$schema", "workspace", "name", "version", "description", "notes", "limits", "stages", "defaults")
_STAGE = ("name", "parallel", "steps", "next")
_STEP = (
    "action", "via", "with", "params", "when", "retry", "timeout", "heartbeat", "on_error", "fallback_model",
    "eval_suite_id", "concurrency_key", "concurrency",
)  # fmt: skip
_TRANSITION = ("when", "to")
_PARALLEL = ("over", "as", "into", "max")


def document_ordered(document: Json) -> Json:
    """Return the same document as a person would write it: stages as they follow each other, fields as documented."""
    ordered: Json = _by(document, _TOP)
    stages = ordered.get("stages")
    if isinstance(stages, dict):
        ordered["stages"] = {key: _stage(stages[key]) for key in _reading_order(stages, document.get("defaults"))}
    return ordered


def _stage(stage: Any) -> Any:
    if not isinstance(stage, dict):
        return stage
    ordered = _by(stage, _STAGE)
    for name, names in (("steps", _STEP), ("next", _TRANSITION)):
        if isinstance(ordered.get(name), list):
            ordered[name] = [_by(item, names) for item in ordered[name]]
    if "parallel" in ordered:
        ordered["parallel"] = _by(ordered["parallel"], _PARALLEL)
    return ordered


def _by(value: Any, names: Iterable[str]) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: value[name] for name in (*(name for name in names if name in value), *value)}


def _reading_order(stages: Json, defaults: Any) -> list[str]:
    """The first stage, what follows it, what follows that; then the others with what follows them."""
    start = defaults.get("start") if isinstance(defaults, dict) else None
    found: dict[str, None] = {}
    for first in [start, *stages]:
        waiting = [first]
        while waiting:
            key = waiting.pop(0)
            if isinstance(key, str) and key in stages and key not in found:
                found[key] = None
                waiting += _targets(stages[key])
    return list(found)


def _targets(stage: Any) -> list[Any]:
    following = stage.get("next") if isinstance(stage, dict) else None
    if isinstance(following, list):
        return [item.get("to") for item in following if isinstance(item, dict)]
    return [following]
