"""Rules 201, 203, 302, 303, 401 and 402: what a prompt says, and in which order."""

import re
from collections.abc import Iterator

from django.utils.translation import gettext as _

from prompts_app.contracts import Finding, Severity, VariableSpec
from prompts_app.services.languages import chinese_count, is_chinese
from prompts_app.services.linter.findings import finding, replacement
from prompts_app.services.linter.source import Source, inside, merged
from prompts_app.services.linter.words import DEFINED, OUTPUT_FORM, OVERRIDE, VAGUE
from prompts_app.services.templating import Placeholder, scan

_TAG = re.compile(r"<(/?)([A-Za-z][\w-]{0,40})(?:[ ][^<>\n]{0,100})?>")
_QUOTES = {'"': '"', "“": "”", "「": "」", "『": "』", "«": "»"}
# A provider's cache begins to pay at about a thousand tokens.
_CACHE_CHARS = 4_000


def unbounded_variables(source: Source, declared: dict[str, VariableSpec]) -> Iterator[Finding]:
    """201: a stranger's text without tags, quotes or a fence around it; in a system message that is an error."""
    places = [place for place in scan(source.text) if not place.escaped]
    if not places or _is_all(source.text, places):
        return
    tagged = merged(_tag_pairs(source.text))
    for place in places:
        spec = declared.get(place.name)
        if spec is None or spec.trusted or _is_bounded(source, place, tagged):
            continue
        message = _("“%(name)s” comes from outside and has no boundary.") % {"name": place.name}
        inner = source.text[place.start : place.end]
        fix = replacement(source, place.start, place.end, f"<{place.name}>{inner}</{place.name}>", safe=False)
        severity: Severity = "error" if source.role in ("system", "developer") else "warning"
        yield finding("201", severity, source, place.start, place.end, message, fix)


def _is_all(text: str, places: list[Placeholder]) -> bool:
    # A user's message that is nothing but the variable is bounded by being a message.
    return len(places) == 1 and text.strip() == text[places[0].start : places[0].end]


def _tag_pairs(text: str) -> list[tuple[int, int]]:
    opened: dict[str, list[int]] = {}
    pairs = []
    for match in _TAG.finditer(text):
        if not match[1]:
            opened.setdefault(match[2], []).append(match.end())
        elif opened.get(match[2]):
            pairs.append((opened[match[2]].pop(), match.start()))
    return pairs


def _is_bounded(source: Source, place: Placeholder, tagged: list[tuple[int, int]]) -> bool:
    if source.in_code(place.start) or inside(place.start, tagged):
        return True
    before, after = source.text[: place.start].rstrip(" \n")[-3:], source.text[place.end :][:20].lstrip(" \n")[:3]
    quoted = before[-1:] in _QUOTES and after[:1] == _QUOTES[before[-1:]]
    return quoted or (before == '"""' == after)


def overrides(source: Source) -> Iterator[Finding]:
    """203: a sentence that tells the model to forget what it was told."""
    for match in OVERRIDE.finditer(source.text):
        message = _("This tells the model to drop its instructions.")
        yield finding("203", "warning", source, match.start(), match.end(), message)


def vague_words(source: Source) -> Iterator[Finding]:
    """302: a word that leaves open what is wanted, unless it is explained right after or only quoted."""
    for match in VAGUE.finditer(source.prose):
        quoted = source.prose[match.start() - 1 : match.start()] in ("“", '"', "「", "‘")
        if not quoted and not DEFINED.match(source.prose, match.end()):
            message = _("“%(word)s” is vague: say what is to be seen or counted.") % {"word": match[0]}
            yield finding("302", "warning", source, match.start(), match.end(), message)


def output_form(sources: list[Source]) -> Iterator[Finding]:
    """303: no message says what the answer should look like. The place is the last line of what is asked."""
    if not sources or any(OUTPUT_FORM.search(source.text) for source in sources):
        return
    asked = [source for source in sources if source.role == "user"] or sources
    source = asked[-1]
    end = len(source.text.rstrip())
    start = source.text.rfind("\n", 0, end) + 1
    message = _("The prompt does not say what form the answer should have.")
    yield finding("303", "warning", source, start, end, message)


def cache_order(sources: list[Source]) -> Iterator[Finding]:
    """401: a variable stands before a long stretch that never changes."""
    for index, source in enumerate(sources):
        place = next((place for place in scan(source.text) if not place.escaped), None)
        if place is None:
            continue
        before = sum(len(earlier.text) for earlier in sources[:index]) + place.start
        rest = [source.text[place.end :], *(later.text for later in sources[index + 1 :])]
        after = sum(len(text) - sum(at.end - at.start for at in scan(text)) for text in rest)
        if after >= _CACHE_CHARS and after > before:
            message = _("“%(name)s” changes from call to call and stands before %(count)d characters that do not.")
            words = {"name": place.name, "count": after}
            yield finding("401", "warning", source, place.start, place.end, message % words)
        return


def token_budget(sources: list[Source], budget: int) -> Iterator[Finding]:
    """402: the messages alone, before any value is filled in, are longer than the budget."""
    used = 0.0
    for source in sources:
        needed = estimate_tokens(source.text)
        if used + needed > budget:
            start = _offset_at(source.text, budget - used)
            message = _("The prompt is over its budget of %(budget)d tokens from here on.") % {"budget": budget}
            yield finding("402", "error", source, start, len(source.text), message)
            return
        used += needed


def estimate_tokens(text: str) -> float:
    """Return about how many tokens ``text`` is: a Chinese character is one, four other characters are one."""
    chinese = chinese_count(text)
    return chinese + (len(text) - chinese) / 4


def _offset_at(text: str, tokens: float) -> int:
    used = 0.0
    for offset, character in enumerate(text):
        used += 1 if is_chinese(character) else 0.25
        if used > tokens:
            return offset
    return len(text)
