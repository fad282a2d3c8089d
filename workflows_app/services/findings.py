"""Findings about workflow documents: their places, and sentences for people instead of the validator's own."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from workflows_app.contracts import ConfigError, Json

Path = tuple[str | int, ...]


def pointer_of(*path: str | int) -> str:
    """Return the JSON pointer (RFC 6901) of a path."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)


def error_at(path: Iterable[str | int], message: str) -> ConfigError:
    """Return what forbids publishing."""
    return ConfigError(pointer_of(*path), message)


def warning_at(path: Iterable[str | int], message: str) -> ConfigError:
    """Return what a careful author would look at again."""
    return ConfigError(pointer_of(*path), message, "warning")


def errors_only(findings: Iterable[ConfigError]) -> tuple[ConfigError, ...]:
    """The findings that forbid publishing."""
    return tuple(finding for finding in findings if finding.severity == "error")


def schema_errors(schema: Json, value: Any, path: Path = ()) -> Iterator[ConfigError]:
    """Hold ``value``, which stands at ``path`` of the document, against a JSON Schema; findings in document order."""
    found = Draft202012Validator(schema).iter_errors(value)
    for error in sorted(found, key=lambda item: list(map(str, item.absolute_path))):
        yield _located(error, path)


def _located(error: ValidationError, before: Path) -> ConfigError:
    path = (*before, *error.absolute_path)
    if error.validator == "required" and isinstance(error.instance, dict):
        # The validator reports each missing member apart, without naming it in a field of its own.
        required: list[str] = error.validator_value  # type: ignore[assignment]
        missing = next(name for name in required if error.message.startswith(repr(name)))
        return error_at((*path, missing), _("This is missing."))
    return error_at(path, schema_message(error))


def schema_message(error: ValidationError) -> str:
    """Return a sentence for a person; the validator's own is in English and may quote the whole document."""
    expected: Any = error.validator_value
    match error.validator:
        case "additionalProperties" if isinstance(error.instance, dict) and isinstance(error.schema, Mapping):
            unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
            return _("Unknown: %(names)s.") % {"names": ", ".join(unknown)[:200]}
        case "type":
            types = expected if isinstance(expected, str) else ", ".join(expected)
            return _("This must be of type %(type)s.") % {"type": types}
        case "enum":
            return _("This must be one of: %(values)s.") % {"values": ", ".join(map(str, expected))}
        case "minItems" | "minLength" | "minProperties" | "minimum":
            return _("The least allowed here is %(limit)s.") % {"limit": expected}
        case "maxItems" | "maxLength" | "maxProperties" | "maximum":
            return _("The most allowed here is %(limit)s.") % {"limit": expected}
        case "exclusiveMinimum":
            return _("This must be more than %(limit)s.") % {"limit": expected}
        case "uniqueItems":
            return _("Something stands here twice.")
        case "pattern":
            return _("This does not have the required form: %(pattern)s") % {"pattern": expected}
    return error.message[:200]
