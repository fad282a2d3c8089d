"""How a version is shown: lines with numbers, variables marked, findings beside the lines they are in."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prompts_app.contracts import Finding
from prompts_app.models import PromptVersion
from prompts_app.services.publishing import version_findings
from prompts_app.services.templating import scan


@dataclass(frozen=True)
class Segment:
    """A stretch of a line; ``variable`` is its name where it is a placeholder."""

    text: str
    variable: str = ""


@dataclass(frozen=True)
class Line:
    """One line of a message with what the linter says about it."""

    number: int
    segments: tuple[Segment, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class ShownMessage:
    """One message, line by line."""

    role: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class ShownVersion:
    """A version for a page; ``findings`` are those that belong to no line of a message."""

    messages: tuple[ShownMessage, ...]
    findings: tuple[Finding, ...]
    total: int


@dataclass(frozen=True)
class DiffRow:
    """One row of two versions side by side; ``kind`` is same, changed, added or removed."""

    kind: str
    old: str | None
    new: str | None
    old_number: int | None = None
    new_number: int | None = None


def shown_version(version: PromptVersion) -> ShownVersion:
    """Return ``version`` with its findings in place."""
    findings = version_findings(version)
    messages = tuple(
        ShownMessage(message["role"], tuple(_lines(message["content"], f"messages[{index}].content", findings)))
        for index, message in enumerate(version.messages)
    )
    placed = {f"messages[{index}].content" for index in range(len(version.messages))}
    return ShownVersion(messages, tuple(item for item in findings if item.field not in placed), len(findings))


def _lines(text: str, field: str, findings: Sequence[Finding]) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        here = tuple(item for item in findings if item.field == field and item.line == number)
        yield Line(number, tuple(_segments(line)), here)


def _segments(line: str) -> Iterator[Segment]:
    at = 0
    for place in scan(line):
        if place.start > at:
            yield Segment(line[at : place.start])
        yield Segment(line[place.start : place.end], "" if place.escaped else place.name)
        at = place.end
    if at < len(line):
        yield Segment(line[at:])


def as_text(version: PromptVersion) -> list[str]:
    """Return a version's messages as lines, each message under its role."""
    lines: list[str] = []
    for message in version.messages:
        lines += [f"--- {message['role']}", *message["content"].split("\n")]
    return lines


def diff_rows(old: PromptVersion, new: PromptVersion) -> list[DiffRow]:
    """Return both versions' lines side by side."""
    before, after = as_text(old), as_text(new)
    rows: list[DiffRow] = []
    for tag, start, end, new_start, new_end in difflib.SequenceMatcher(
        None, before, after, autojunk=False
    ).get_opcodes():
        for offset in range(max(end - start, new_end - new_start)):
            left = start + offset if start + offset < end else None
            right = new_start + offset if new_start + offset < new_end else None
            rows.append(_row(tag, before, after, left, right))
    return rows


def _row(tag: str, before: list[str], after: list[str], left: int | None, right: int | None) -> DiffRow:
    kind = "same" if tag == "equal" else "added" if left is None else "removed" if right is None else "changed"
    return DiffRow(
        kind,
        None if left is None else before[left],
        None if right is None else after[right],
        None if left is None else left + 1,
        None if right is None else right + 1,
    )
