"""Assertions on a text: contains, equals, regex, JSON Schema, each with its negation and its bounds.

Patterns and schemas come from users and texts from models, so neither may run for long: patterns have a time limit,
schemas a deadline that every keyword looks at, and nothing is ever fetched.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import regex  # type: ignore[import-untyped]  # has no types; unlike re it can be given a time limit
from django.utils.translation import gettext as _
from jsonschema import Draft202012Validator, exceptions, validators
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY

from accounts_app.exceptions import FieldError, InvalidInput
from prompts_app.contracts import AssertionResult
from prompts_app.services.texts import is_storable_json

SECONDS = 0.5
MAX_ASSERTIONS = 50
MAX_VALUE_CHARS = 20_000
_SHOWN = 120
# Patterns in property names cannot be given a time limit: the validator reads them with re.
_UNSUPPORTED = "patternProperties"


class _CannotTellError(Exception):
    """The assertion itself is at fault, or took too long: nothing is known about the text."""


def assertion_check(assertion: Mapping[str, Any], text: str) -> AssertionResult:
    """Return how ``text`` fares: passed, failed, or error when the assertion cannot be judged."""
    kind, value = str(assertion.get("type", "")), assertion.get("value")
    negated, name = kind.startswith("not-"), kind.removeprefix("not-")
    try:
        holds = _CHECKS.get(name, _unknown)(value, text) is not negated
    except _CannotTellError as error:
        return AssertionResult(kind, "error", str(error), value)
    message = _("Holds.") if holds else _("Does not hold: %(type)s %(value)s") % {"type": kind, "value": _short(value)}
    return AssertionResult(kind, "passed" if holds else "failed", message, value)


def _unknown(value: Any, text: str) -> bool:
    raise _CannotTellError(_("There is no such assertion."))


def assertions_clean(assertions: Any, field: str = "assertions") -> list[dict[str, Any]]:
    """Return assertions as they are stored; raises InvalidInput naming the one at fault."""
    if not isinstance(assertions, list) or not 1 <= len(assertions) <= MAX_ASSERTIONS:
        limit = _("A case has 1 to %(count)d assertions.") % {"count": MAX_ASSERTIONS}
        raise InvalidInput.for_field(field, limit)
    problems = tuple(
        FieldError(f"{field}[{index}]", problem)
        for index, item in enumerate(assertions)
        if (problem := _problem(item)) is not None
    )
    if problems:
        raise InvalidInput(problems[0].message, details=problems)
    return [{"type": item["type"], "value": item.get("value")} for item in assertions]


def _problem(item: Any) -> str | None:
    if not isinstance(item, dict) or not isinstance(item.get("type"), str):
        return _("An assertion is an object with a type and a value.")
    if len(json.dumps(item.get("value"))) > MAX_VALUE_CHARS:
        return _("The value is too long.")
    if not is_storable_json(item.get("value")):
        return _("The text contains characters that cannot be stored.")
    result = assertion_check(item, "")
    return result.message if result.outcome == "error" else None


def _short(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"


def _wanted(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _CannotTellError(_("The value must be a text."))
    return value


def _contains(value: Any, text: str) -> bool:
    return _wanted(value) in text


def _icontains(value: Any, text: str) -> bool:
    return _wanted(value).casefold() in text.casefold()


def _equals(value: Any, text: str) -> bool:
    return text.strip() == _wanted(value).strip()


def _regex(value: Any, text: str) -> bool:
    return _search(_wanted(value), text)


def _search(pattern: str, text: str) -> bool:
    try:
        return regex.search(pattern, text, timeout=SECONDS) is not None
    except regex.error as error:
        raise _CannotTellError(_("The pattern is not valid: %(error)s") % {"error": error}) from error
    except (TimeoutError, RecursionError, MemoryError) as error:
        raise _CannotTellError(_("The pattern takes too long on this text.")) from error


def _json_schema(value: Any, text: str) -> bool:
    if value is None:
        value = {}
    if not isinstance(value, dict | bool) or _mentions(value, _UNSUPPORTED):
        raise _CannotTellError(_("The value must be a JSON Schema, without %(name)s.") % {"name": _UNSUPPORTED})
    try:
        Draft202012Validator.check_schema(value)
        document = json.loads(_unfenced(text))
    except exceptions.SchemaError as error:
        raise _CannotTellError(_("The schema is not valid: %(error)s") % {"error": error.message[:_SHOWN]}) from error
    except (ValueError, RecursionError):
        return False
    return _is_valid(value, document)


def _is_valid(schema: dict[str, Any] | bool, document: Any) -> bool:
    try:
        validator = _bounded_validator(time.monotonic() + SECONDS)(schema, registry=EMPTY_REGISTRY)
        return bool(validator.is_valid(document))
    except Unresolvable as error:
        raise _CannotTellError(_("The schema refers to something that is not in it.")) from error
    except (RecursionError, TimeoutError) as error:
        raise _CannotTellError(_("The schema takes too long on this text.")) from error


_Keyword = Callable[[Any, Any, Any, Any], Iterable[exceptions.ValidationError] | None]


def _bounded_validator(deadline: float) -> Any:
    """Return a validator class that gives up at ``deadline``, whatever its schema makes it repeat."""
    keywords = {**Draft202012Validator.VALIDATORS, "pattern": _pattern_keyword}
    bounded = {name: _bounded(run, deadline) for name, run in keywords.items()}
    return validators.extend(Draft202012Validator, bounded)  # type: ignore[no-untyped-call]


def _bounded(run: _Keyword, deadline: float) -> _Keyword:
    def bounded(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[exceptions.ValidationError]:
        if time.monotonic() > deadline:
            raise TimeoutError
        yield from run(validator, value, instance, schema) or ()

    return bounded


def _pattern_keyword(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[exceptions.ValidationError]:
    if isinstance(instance, str) and not _search(_wanted(value), instance):
        yield exceptions.ValidationError(_("The text does not match the pattern."))


def _mentions(value: Any, name: str) -> bool:
    if isinstance(value, dict):
        return name in value or any(_mentions(item, name) for item in value.values())
    return isinstance(value, list) and any(_mentions(item, name) for item in value)


def _unfenced(text: str) -> str:
    lines = text.strip().splitlines()
    is_fenced = len(lines) > 2 and lines[0].startswith("```") and lines[-1].strip() == "```"
    return "\n".join(lines[1:-1]) if is_fenced else text


_CHECKS: dict[str, Callable[[Any, str], bool]] = {
    "contains": _contains,
    "icontains": _icontains,
    "equals": _equals,
    "regex": _regex,
    "json-schema": _json_schema,
    # promptfoo's name for the same; without a value any JSON will do.
    "is-json": _json_schema,
}
