"""Rules 601 to 606: texts written for readers, such as articles."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.translation import gettext as _

from prompts_app.contracts import Finding
from prompts_app.services.languages import HAN, chinese_count
from prompts_app.services.linter.findings import finding, replacement
from prompts_app.services.linter.source import Source, inside, merged
from prompts_app.services.linter.words import BOILERPLATE, LEFTOVER

_MAX_WORDS = 40
_MAX_CHINESE = 90
# Below this a text is a note or a brief, which needs no title.
_TITLE_FROM = 80
_HEADING = re.compile(r"^[ ]{0,3}#{1,6}[ \t]+\S|^[^\n]+\n(?:={3,}|-{3,})[ \t]*$", re.MULTILINE)
_MARKUP = re.compile(r"[ \t]{0,12}(?:#{1,6}[ \t]|[-*+][ \t]|\d{1,3}[.)、][ \t]?|>[ \t]?|\|)")
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]*_]*(?=\s|\Z)|[。！？…]+[”’」』）*_]*|\n+")
_WORD = re.compile(rf"[{HAN}]|[^\W_{HAN}]+(?:['’-][^\W_{HAN}]+)*")
_FINISHED = re.compile(r"[.!?。！？…:：;；\"'”’」』)）\]】>*_`|~-]\s*\Z")
_ABBREVIATION = re.compile(r"(?:\b(?:[A-Za-z]|e\.g|i\.e|etc|vs|cf|Mr|Mrs|Ms|Dr|Prof|St|No|Fig|approx))\.\Z")


@dataclass(frozen=True)
class Sentence:
    """One sentence at ``start`` to before ``end``; ``size`` counts words, a Chinese character being one."""

    start: int
    end: int
    text: str

    @property
    def size(self) -> int:
        """Words, or Chinese characters."""
        return len(words(self.text))

    @property
    def key(self) -> str:
        """What two sentences have in common when they say the same."""
        return " ".join(words(self.text)).casefold()


def words(text: str) -> list[str]:
    """Return the words of ``text``; each Chinese character is one."""
    return _WORD.findall(text)


def sentences(source: Source) -> Iterator[Sentence]:
    """Yield the sentences of the prose, without headings and table rows and without list marks."""
    text, start = source.prose, 0
    for match in _SENTENCE_END.finditer(text):
        if match[0] == "." and _ABBREVIATION.search(text, max(start, match.end() - 12), match.end()):
            continue
        yield from _sentence(text, start, match.end())
        start = match.end()
    yield from _sentence(text, start, len(text))


def _sentence(text: str, start: int, end: int) -> Iterator[Sentence]:
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    mark = _MARKUP.match(text, start, end)
    if mark is not None and mark[0].strip()[:1] in ("#", "|"):
        return
    start = mark.end() if mark is not None else start
    stripped = text[start:end].strip()
    if stripped:
        start += len(text[start:end]) - len(text[start:end].lstrip())
        yield Sentence(start, start + len(stripped), stripped)


def title_missing(source: Source, title: str) -> Iterator[Finding]:
    """601: a text of some length has neither a heading nor a title of its own."""
    if title.strip() or _HEADING.search(source.prose) or len(words(source.prose[:4_000])) < _TITLE_FROM:
        return
    start = len(source.text) - len(source.text.lstrip())
    end = source.text.find("\n", start)
    message = _("The text has no title. Begin it with “# Title”.")
    yield finding("601", "warning", source, start, end if end > 0 else len(source.text), message)


def long_sentences(source: Source, found: list[Sentence]) -> Iterator[Finding]:
    """602: more words than a reader holds in mind."""
    for sentence in found:
        if len(sentence.text) <= _MAX_WORDS:
            continue
        limit = _MAX_CHINESE if _is_mostly_chinese(sentence.text) else _MAX_WORDS
        if sentence.size > limit:
            message = _("This sentence has %(count)d words; split it.") % {"count": sentence.size}
            yield finding("602", "warning", source, sentence.start, sentence.end, message)


def _is_mostly_chinese(text: str) -> bool:
    return 2 * chinese_count(text) > len(text.replace(" ", ""))


def repetitions(source: Source, found: list[Sentence]) -> Iterator[Finding]:
    """603: a paragraph or a sentence that was there before; what a repeated paragraph holds is not told again."""
    repeated = list(_repeated(_paragraphs(source), least=8))
    told = merged((start, end) for start, end, _first in repeated)
    again = [(start, end, first) for start, end, first in _repeated(found, least=5) if not inside(start, told)]
    for start, end, first in [*repeated, *again]:
        message = _("This was said before, in line %(line)d.") % {"line": source.place(first)[0]}
        fix = replacement(source, start, end, "", safe=False)
        yield finding("603", "warning", source, start, end, message, fix)


def _paragraphs(source: Source) -> list[Sentence]:
    return [
        Sentence(match.start(), match.end(), match[0]) for match in re.finditer(r"[^\n]+(?:\n[^\n]+)*", source.prose)
    ]


def _repeated(pieces: list[Sentence], *, least: int) -> Iterator[tuple[int, int, int]]:
    seen: dict[str, int] = {}
    for piece in pieces:
        key = piece.key
        if key.count(" ") + 1 < least:
            continue
        if key in seen:
            yield piece.start, piece.end, seen[key]
        seen.setdefault(key, piece.start)


def leftovers(source: Source) -> Iterator[Finding]:
    """604: a place that somebody was to fill in."""
    for match in LEFTOVER.finditer(source.prose):
        message = _("“%(text)s” was left to be filled in.") % {"text": match[0][:40]}
        yield finding("604", "error", source, match.start(), match.end(), message)


def boilerplate(source: Source) -> Iterator[Finding]:
    """605: the model speaks of itself or of the task."""
    for match in BOILERPLATE.finditer(source.prose):
        message = _("“%(text)s” belongs to a chat, not to this text.") % {"text": match[0].strip()[:60]}
        yield finding("605", "warning", source, match.start(), match.end(), message)


def cut_off(source: Source) -> Iterator[Finding]:
    """606: the last line is no finished sentence, or a block of code is left open."""
    end = len(source.text.rstrip())
    if not end:
        return
    if source.open_fence is not None:
        line_end = source.text.find("\n", source.open_fence)
        stop = line_end if line_end > 0 else len(source.text)
        yield finding("606", "note", source, source.open_fence, stop, _("This block of code is never closed."))
        return
    start = source.text.rfind("\n", 0, end) + 1
    line = source.text[start:end]
    is_heading = line.lstrip().startswith("#")
    is_list = _MARKUP.match(line) is not None and not is_heading
    if is_heading or not (is_list or source.in_code(start) or _FINISHED.search(line)):
        yield finding("606", "note", source, start, end, _("The text seems to be cut off here."))
