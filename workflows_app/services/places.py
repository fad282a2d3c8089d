"""Where in a JSON text something stands: the line of each JSON pointer, for findings beside the text."""

import json
import re
from dataclasses import dataclass, field

from workflows_app.services.findings import Path, pointer_of

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')


@dataclass
class _Container:
    path: Path
    is_object: bool
    index: int = 0
    name: str | None = None
    awaits_value: bool = field(default=False)


def pointer_lines(text: str) -> dict[str, int]:
    """Return the line (from 1) on which each member's value, or name in an object, begins. ``text`` is valid JSON."""
    lines = {"": 1}
    opened: list[_Container] = []
    line, last = 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", last, token.start())
        last = token.start()
        _step(token.group(), line, opened, lines)
    return lines


def line_of(pointer: str, lines: dict[str, int]) -> int:
    """Return the line of a pointer, or of the nearest thing around it that is there."""
    while pointer not in lines:
        pointer = pointer.rpartition("/")[0]
    return lines[pointer]


def _step(piece: str, line: int, opened: list[_Container], lines: dict[str, int]) -> None:
    inside = opened[-1] if opened else None
    if piece in "}]":
        opened.pop()
    elif piece == ":" and inside:
        inside.awaits_value = True
    elif piece == "," and inside:
        inside.index, inside.awaits_value, inside.name = inside.index + 1, False, None
    elif inside and inside.is_object and not inside.awaits_value and piece[0] == '"':
        inside.name = _name(piece)
        lines[pointer_of(*inside.path, inside.name)] = line
    else:
        path = _value_path(inside)
        lines.setdefault(pointer_of(*path), line)
        if piece in "{[":
            opened.append(_Container(path, piece == "{"))


def _value_path(inside: _Container | None) -> Path:
    if inside is None:
        return ()
    return (*inside.path, (inside.name or "") if inside.is_object else inside.index)


def _name(piece: str) -> str:
    return str(json.loads(piece, strict=False))
