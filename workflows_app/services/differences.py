"""What differs between two workflow documents: by JSON pointer, and in words a person can follow."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from workflows_app.services.findings import Path, pointer_of

Kind = Literal["added", "removed", "changed"]


@dataclass(frozen=True)
class Difference:
    """One difference. ``pointer`` is into the newer document, or into the older one for what was removed there."""

    kind: Kind
    pointer: str
    before: Any = None
    after: Any = None


def document_differences(older: Any, newer: Any) -> tuple[Difference, ...]:
    """Return what has to be done to ``older`` to get ``newer``, in the order of the documents.

    A step that was put between others is one difference, not a change of all that follow.
    """
    return tuple(_between(older, newer, (), ()))


def _between(older: Any, newer: Any, old_path: Path, path: Path) -> Iterator[Difference]:
    if isinstance(older, dict) and isinstance(newer, dict):
        yield from _between_objects(older, newer, old_path, path)
    elif isinstance(older, list) and isinstance(newer, list):
        yield from _between_lists(older, newer, old_path, path)
    elif older != newer or type(older) is not type(newer):
        yield Difference("changed", pointer_of(*path), older, newer)


def _between_objects(older: Any, newer: Any, old_path: Path, path: Path) -> Iterator[Difference]:
    for name in [*older, *(name for name in newer if name not in older)]:
        if name not in newer:
            yield Difference("removed", pointer_of(*old_path, name), before=older[name])
        elif name not in older:
            yield Difference("added", pointer_of(*path, name), after=newer[name])
        else:
            yield from _between(older[name], newer[name], (*old_path, name), (*path, name))


def _between_lists(older: list[Any], newer: list[Any], old_path: Path, path: Path) -> Iterator[Difference]:
    was, now = [_canonical(item) for item in older], [_canonical(item) for item in newer]
    for _tag, first, last, begin, end in SequenceMatcher(a=was, b=now, autojunk=False).get_opcodes():
        if _tag == "equal":
            continue
        paired = min(last - first, end - begin)
        for offset in range(paired):
            old, new = first + offset, begin + offset
            yield from _between(older[old], newer[new], (*old_path, old), (*path, new))
        for old in range(first + paired, last):
            yield Difference("removed", pointer_of(*old_path, old), before=older[old])
        for new in range(begin + paired, end):
            yield Difference("added", pointer_of(*path, new), after=newer[new])


def _canonical(item: Any) -> str:
    return json.dumps(item, sort_keys=True)
