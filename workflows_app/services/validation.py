"""Is a workflow document right? All findings at once, each with a JSON pointer."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from workflows_app.contracts import ConfigError, Json
from workflows_app.registry import Handler, handler_get, handler_names

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
MAX_FINDINGS = 100
_SCHEMA_FILE = Path(__file__).resolve().parents[1] / "schemas" / "workflow.schema.json"


@cache
def workflow_schema() -> Json:
    """Return the JSON Schema of workflow documents."""
    schema: Json = json.loads(_SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema


def config_validate(document: Any, *, workspace: str = "") -> tuple[ConfigError, ...]:
    """Check ``document``: size, JSON Schema, then meaning. Call with a bound tenant, in a transaction.

    ``workspace`` is the key that the document must be for, if the caller knows. Findings of severity
    "warning" do not stand in the way of publishing.
    """
    too_big = _refuse_early(document)
    if too_big is not None:
        return (too_big,)
    shape = tuple(_schema_errors(document))
    if shape:
        return shape[:MAX_FINDINGS]
    return tuple(_semantic_errors(document, workspace))[:MAX_FINDINGS]


def errors_only(findings: Iterable[ConfigError]) -> tuple[ConfigError, ...]:
    """The findings that forbid publishing."""
    return tuple(finding for finding in findings if finding.severity == "error")


def pointer_of(*path: str | int) -> str:
    """Return the JSON pointer (RFC 6901) of a path."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def _refuse_early(document: Any) -> ConfigError | None:
    # Before any recursive walk: neither the schema nor json itself may meet a document that is too deep.
    if _deeper_than(document, MAX_DEPTH):
        return ConfigError("", _("The document is nested more than %(limit)d levels deep.") % {"limit": MAX_DEPTH})
    if len(json.dumps(document, default=str, ensure_ascii=False).encode(errors="replace")) > MAX_BYTES:
        return ConfigError("", _("The document is larger than %(limit)d KiB.") % {"limit": MAX_BYTES // 1024})
    return None


def _deeper_than(document: Any, limit: int) -> bool:
    level = [document]
    for _depth in range(limit):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _schema_errors(document: Any) -> Iterator[ConfigError]:
    validator = Draft202012Validator(workflow_schema())
    for error in sorted(validator.iter_errors(document), key=lambda item: list(map(str, item.absolute_path))):
        yield _located(error)


def _located(error: ValidationError) -> ConfigError:
    path = error.absolute_path
    if error.validator == "required" and isinstance(error.instance, dict):
        # The validator reports each missing member apart, without naming it in a field of its own.
        required: list[str] = error.validator_value  # type: ignore[assignment]
        missing = next(name for name in required if error.message.startswith(repr(name)))
        return ConfigError(pointer_of(*path, missing), _("This is missing."))
    return ConfigError(pointer_of(*path), schema_message(error))


def schema_message(error: ValidationError) -> str:
    """Return a sentence for a person; the validator's own is in English and may quote the whole document."""
    expected: Any = error.validator_value
    match error.validator:
        case "additionalProperties" if isinstance(error.instance, dict) and isinstance(error.schema, Mapping):
            unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
            return _("Unknown: %(names)s.") % {"names": ", ".join(unknown)[:200]}
        case "type":
            return _("This must be of type %(type)s.") % {"type": expected}
        case "enum":
            return _("This must be one of: %(values)s.") % {"values": ", ".join(map(str, expected))}
        case "minItems" | "minLength" | "minProperties" | "minimum":
            return _("The least allowed here is %(limit)s.") % {"limit": expected}
        case "maxItems" | "maxLength" | "maxProperties" | "maximum":
            return _("The most allowed here is %(limit)s.") % {"limit": expected}
        case "pattern":
            return _("This does not have the required form: %(pattern)s") % {"pattern": expected}
    return error.message[:200]


def _semantic_errors(document: Json, workspace: str) -> Iterator[ConfigError]:
    if workspace and document["workspace"] != workspace:
        yield ConfigError("/workspace", _("This must be “%(workspace)s” here.") % {"workspace": workspace})
    yield from _flow_errors(document)
    for key, stage in document["stages"].items():
        for index, step in enumerate(stage["steps"]):
            yield from _step_errors(step, ("stages", key, "steps", index))
    yield from _unreachable(document)


def _flow_errors(document: Json) -> Iterator[ConfigError]:
    stages = document["stages"]
    if document["defaults"]["start"] not in stages:
        yield ConfigError("/defaults/start", _("There is no such stage."))
    for key, stage in stages.items():
        if "next" in stage and stage["next"] not in stages:
            yield ConfigError(pointer_of("stages", key, "next"), _("There is no such stage."))
        elif _returns_to(key, stages):
            yield ConfigError(pointer_of("stages", key, "next"), _("These stages follow each other without an end."))


def _returns_to(key: str, stages: Json) -> bool:
    seen: set[str] = set()
    follower = stages[key].get("next")
    while follower in stages and follower not in seen:
        if follower == key:
            return True
        seen.add(follower)
        follower = stages[follower].get("next")
    return False


def _unreachable(document: Json) -> Iterator[ConfigError]:
    led_to = {stage.get("next") for stage in document["stages"].values()} | {document["defaults"]["start"]}
    for key in document["stages"]:
        if key not in led_to:
            message = _("No stage leads here: it runs only when it is asked for by name.")
            yield ConfigError(pointer_of("stages", key), message, "warning")


def _step_errors(step: Json, path: tuple[str | int, ...]) -> Iterator[ConfigError]:
    named_by = "via" if "via" in step else "action"
    handler = handler_get(step[named_by])
    if handler is None:
        known = {"names": ", ".join(handler_names())}
        yield ConfigError(pointer_of(*path, named_by), _("Nothing runs this. Known are: %(names)s.") % known)
        return
    yield from _template_errors(step, handler, path)
    for error in Draft202012Validator(handler.params_schema).iter_errors(step.get("params", {})):
        found = _located(error)
        yield ConfigError(pointer_of(*path, "params") + found.pointer, found.message)


def _template_errors(step: Json, handler: Handler, path: tuple[str | int, ...]) -> Iterator[ConfigError]:
    if "with" not in step:
        if handler.template_required:
            yield ConfigError(pointer_of(*path), _("This step needs “with”."))
    elif handler.template_known is None:
        yield ConfigError(pointer_of(*path, "with"), _("This step takes no “with”."))
    elif not handler.template_known(step["with"]):
        yield ConfigError(pointer_of(*path, "with"), _("There is no template of this key."))
