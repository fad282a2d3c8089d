"""One field's text with what rules need of it: lines and columns, and where code stands."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cached_property

from prompts_app.contracts import Range

_FENCE = re.compile(r"^[ ]{0,3}(```+|~~~+)", re.MULTILINE)
_INLINE_CODE = re.compile(r"`[^`\n]{1,200}`")
_NOT_BLANK = re.compile(r"[^\n]")


class Source:
    """The text of ``field``. Offsets count code points from 0; lines and columns count from 1."""

    def __init__(self, field: str, text: str, role: str = "") -> None:
        self.field = field
        self.text = text
        self.role = role

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column of ``offset``."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def range(self, start: int, end: int) -> Range:
        """Return the stretch from ``start`` to before ``end``."""
        return Range(*self.place(start), *self.place(end))

    @cached_property
    def code(self) -> list[tuple[int, int]]:
        """Where code stands: fenced blocks (to the end, if one is left open), then inline code outside them."""
        blocks = list(self._fenced())
        inline = (match.span() for match in _INLINE_CODE.finditer(self.text))
        return sorted([*blocks, *(span for span in inline if not inside(span[0], blocks))])

    @cached_property
    def open_fence(self) -> int | None:
        """Where a fenced block begins that is never closed."""
        last = next(reversed(list(self._fence_lines())), None)
        return last[0] if last is not None and last[1] is None else None

    def _fenced(self) -> Iterator[tuple[int, int]]:
        for start, end in self._fence_lines():
            yield start, len(self.text) if end is None else end

    def _fence_lines(self) -> Iterator[tuple[int, int | None]]:
        opened: re.Match[str] | None = None
        for match in _FENCE.finditer(self.text):
            if opened is None:
                opened = match
            elif match[1].startswith(opened[1]):
                yield opened.start(), match.end()
                opened = None
        if opened is not None:
            yield opened.start(), None

    def in_code(self, offset: int) -> bool:
        """Whether ``offset`` is inside code."""
        return inside(offset, self.code)

    @cached_property
    def prose(self) -> str:
        """The text with code blanked out, at the same offsets."""
        pieces, at = [], 0
        for start, end in self.code:
            pieces += [self.text[at:start], _NOT_BLANK.sub(" ", self.text[start:end])]
            at = end
        return "".join([*pieces, self.text[at:]])


def inside(offset: int, spans: list[tuple[int, int]]) -> bool:
    """Whether ``offset`` is in one of ``spans``, which are in order and do not overlap."""
    index = bisect_right(spans, offset, key=lambda span: span[0])
    return index > 0 and spans[index - 1][0] <= offset < spans[index - 1][1]


def merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ``spans`` in order, overlapping ones made one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
