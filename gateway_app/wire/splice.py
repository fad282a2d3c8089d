"""A JSON object and the places of its members, so that one value can be replaced without touching another byte.

Written anew, a body would lose what its sender wrote: the spelling of numbers, escapes, white space, order. Here the
text stays, and only the pieces named are exchanged. Values are parsed by the standard library's own scanner, at its
speed; this module only walks over the members of one object.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from accounts_app.exceptions import InvalidInput

_space = re.compile(r"[ \t\n\r]*").match
_LONE = re.compile(r"\\u[dD][89a-fA-F]")

Span = tuple[int, int]
Edit = tuple[int, int, str]


class _RefusedError(ValueError):
    """Something that JSON libraries disagree on."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # The provider might read the other one than we do.
        raise _RefusedError("An object has the same key twice.")
    return found


def _constant(name: str) -> Any:
    raise _RefusedError(f"{name} is no JSON number.")


_decoder: Any = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_constant)
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once


@dataclass(frozen=True, slots=True)
class Document:
    """An object's text, its values, and where in ``text`` each value begins and ends. ``opens`` is the place of its
    brace."""

    text: str
    values: dict[str, Any]
    spans: dict[str, Span]
    opens: int

    def replaced(self, name: str, value: str) -> Edit:
        """Return the edit that gives the member ``name`` (it must be there) another value, written as JSON."""
        return (*self.spans[name], value)

    def added(self, name: str, value: str) -> Edit:
        """Return the edit that puts a new member before all others."""
        comma = "," if self.spans else ""
        return (self.opens + 1, self.opens + 1, f'"{name}":{value}{comma}')

    def inner(self, name: str) -> "Document":
        """Return the object that is the value of ``name``, with places in the same text."""
        return _object(self.text, self.spans[name][0])[0]

    def edited(self, edits: Iterable[Edit]) -> bytes:
        """Return the text with these edits, which must not overlap."""
        text = self.text
        for start, end, value in sorted(edits, reverse=True):
            text = text[:start] + value + text[end:]
        return text.encode()


def document(body: bytes) -> Document:
    """Parse ``body``, a JSON object in UTF-8; raises InvalidInput without a field for anything else."""
    try:
        found = _whole(body.decode())
        if _LONE.search(found.text):
            # A surrogate without its other half is no character; neither UTF-8 nor a database takes it.
            json.dumps(found.values, ensure_ascii=False).encode()
    except _RefusedError as error:
        raise InvalidInput(str(error)) from None
    except UnicodeDecodeError:
        raise InvalidInput("The body is not valid UTF-8.") from None
    except UnicodeEncodeError:
        raise InvalidInput("The body has half of a surrogate pair.") from None
    except RecursionError:
        raise InvalidInput("The body is nested too deeply.") from None
    except (ValueError, StopIteration):
        raise InvalidInput("The body is not valid JSON.") from None
    return found


def _whole(text: str) -> Document:
    found, end = _object(text, 0)
    if end != len(text):
        raise _RefusedError("Something follows the JSON object.")
    return found


def _object(text: str, at: int) -> tuple[Document, int]:
    """Return the object that begins at ``at``, and where what follows it begins."""
    opens = _end_of_space(text, at)
    if text[opens : opens + 1] != "{":
        raise _RefusedError("The body must be a JSON object.")
    values: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    at = _end_of_space(text, opens + 1)
    if text[at : at + 1] == "}":
        return Document(text, values, spans, opens), _end_of_space(text, at + 1)
    while True:
        name, value, span = _member(text, at)
        if name in values:
            raise _RefusedError("An object has the same key twice.")
        values[name], spans[name] = value, span
        at = _end_of_space(text, span[1])
        follows = text[at : at + 1]
        at = _end_of_space(text, at + 1)
        if follows == "}":
            return Document(text, values, spans, opens), at
        if follows != ",":
            raise ValueError(follows)


def _member(text: str, at: int) -> tuple[str, Any, Span]:
    if text[at : at + 1] != '"':
        raise ValueError(at)
    name, at = _scan(text, at)
    at = _end_of_space(text, at)
    if text[at : at + 1] != ":":
        raise ValueError(at)
    start = _end_of_space(text, at + 1)
    value, end = _scan(text, start)
    return name, value, (start, end)


def _end_of_space(text: str, at: int) -> int:
    found = _space(text, at)
    assert found
    return found.end()
