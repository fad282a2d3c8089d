"""Placeholders in prompts: ``{{ name }}``, and nothing else.

Only a complete ``{{ name }}`` is a placeholder; every other brace is text, so JSON, LaTeX and code pass through as they
were written. ``\\{{ name }}`` is the placeholder's own text. Values are put in as they are and never looked at again:
a value that contains ``{{ other }}`` stays that. The runner, the preview and the linter all read through `scan`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from accounts_app.exceptions import FieldError, InvalidInput
from prompts_app.contracts import VariableSpec
from prompts_app.services.texts import is_storable

MAX_RENDERED_CHARS = 400_000
NAME = r"[^\W\d]\w{0,63}"
# Bounded white space keeps a run of blanks after "{{" from being walked again and again.
_PLACEHOLDER = re.compile(rf"(\\?)\{{\{{[ \t]{{0,16}}({NAME})[ \t]{{0,16}}\}}\}}")


@dataclass(frozen=True)
class Placeholder:
    """One ``{{ name }}`` in a text, at code points ``start`` to ``end``. ``escaped`` ones are not replaced."""

    name: str
    start: int
    end: int
    escaped: bool = False


def scan(text: str) -> Iterator[Placeholder]:
    """Yield the placeholders of ``text`` in order."""
    for match in _PLACEHOLDER.finditer(text):
        yield Placeholder(match[2], match.start(), match.end(), escaped=bool(match[1]))


def names_in(text: str) -> list[str]:
    """Return the names of the variables that ``text`` uses, in order of first use."""
    return list(dict.fromkeys(place.name for place in scan(text) if not place.escaped))


def render_text(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with each placeholder replaced by its value; one without a value stays as written."""

    def replaced(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        return values.get(match[2], match[0])

    return _PLACEHOLDER.sub(replaced, text)


def contents_of(message: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts of one message: its content, or the text parts of it."""
    content = message.get("content")
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]


def variables_used(messages: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the names that ``messages`` use, in order of first use."""
    found = (name for message in messages for text in contents_of(message) for name in names_in(text))
    return list(dict.fromkeys(found))


def specs_for(messages: Iterable[Mapping[str, Any]], declared: Iterable[VariableSpec]) -> tuple[VariableSpec, ...]:
    """Return what may be filled in: the declared variables, then those used without being declared, as required."""
    known = {spec.name: spec for spec in declared}
    for name in variables_used(messages):
        known.setdefault(name, VariableSpec(name=name))
    return tuple(known.values())


def values_for(specs: Iterable[VariableSpec], given: Mapping[str, str]) -> dict[str, str]:
    """Return the value of every variable; raises InvalidInput naming each that is missing, unknown or no text."""
    known = {spec.name: spec for spec in specs}
    problems = [FieldError(f"variables.{name}", _("There is no such variable.")) for name in given if name not in known]
    problems += [
        FieldError(f"variables.{name}", _("This must be a text."))
        for name, value in given.items()
        if name in known and not isinstance(value, str)
    ]
    problems += [
        FieldError(f"variables.{name}", _("The text contains characters that cannot be stored."))
        for name, value in given.items()
        if isinstance(value, str) and not is_storable(value)
    ]
    values = {name: given.get(name) or spec.default for name, spec in known.items()}
    problems += [
        FieldError(f"variables.{name}", _("This variable is required."))
        for name, spec in known.items()
        if spec.required and isinstance(values[name], str) and not values[name].strip()
    ]
    if problems:
        raise InvalidInput(_("The variables do not fit the prompt."), details=tuple(problems))
    return values


def render_messages(messages: Iterable[Mapping[str, Any]], values: Mapping[str, str]) -> tuple[dict[str, Any], ...]:
    """Return ``messages`` with the values put in; raises InvalidInput when the result is beyond all measure."""
    rendered = tuple(_render_message(message, values) for message in messages)
    size = sum(len(text) for message in rendered for text in contents_of(message))
    if size > MAX_RENDERED_CHARS:
        message = _("The prompt with its variables is longer than %(limit)d characters.") % {
            "limit": MAX_RENDERED_CHARS
        }
        raise InvalidInput.for_field("variables", message)
    return rendered


def _render_message(message: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": render_text(content, values)}
    if isinstance(content, list):
        return {**message, "content": [_render_part(part, values) for part in content]}
    return dict(message)


def _render_part(part: Any, values: Mapping[str, str]) -> Any:
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return {**part, "text": render_text(part["text"], values)}
    return part
