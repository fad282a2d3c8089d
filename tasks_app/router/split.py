"""What of the input is asked for, and what is the text to work on."""

import re
from dataclasses import dataclass

from tasks_app.router.words import ARTICLE, CJK, REVIEW, REWRITE

_FENCE = re.compile(r"^[ \t]*(```|~~~)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_QUOTE_LINES = re.compile(r"(?:^[ \t]*>.*(?:\n|\Z))+", re.MULTILINE)
_QUOTED = re.compile(r"“([^“”]+)”|「([^「」]+)」|『([^『』]+)』|\"([^\"]+)\"", re.DOTALL)
# A colon after words of asking, as in polish-this and 润色.
_LEAD_IN = re.compile(r"\A([^\n]{2,200}?)[:\uff1a][ \t]*\n?(.+)\Z", re.DOTALL)
_ASK = re.compile(
    r"\b(?:i(?:'d| would)? (?:want|need|like)|please write|write (?:me|an?|some))\b|我想要|我要写|帮我写|写一?篇",
    re.IGNORECASE,
)

# A Chinese character says about as much as 2.5 Latin letters.
_CJK_WEIGHT = 2.5
_QUOTED_AT_LEAST = 60
_PASTED_AT_LEAST = 500
_INSTRUCTION_AT_MOST = 260


@dataclass(frozen=True)
class Split:
    """``original`` is '' when no text was given; ``how`` names the mark by which it was found."""

    instruction: str
    original: str
    how: str


def weight(text: str) -> float:
    """Return the length of ``text`` in Latin letters."""
    wide = len(CJK.findall(text))
    return len(text) - wide + wide * _CJK_WEIGHT


def split_input(text: str) -> Split:
    """Return the instruction and the original text of ``text``: fenced, quoted, after a lead-in, or simply pasted."""
    text = text.strip()
    for look in (_fenced, _quote_block, _after_lead_in, _quoted, _pasted):
        found = look(text)
        if found is not None:
            return found
    return Split(text, "", "")


def works_on_text(text: str) -> bool:
    """Whether ``text`` asks to rewrite or to review something."""
    return bool(REWRITE.search(text) or REVIEW.search(text))


def _without(text: str, match: re.Match[str]) -> str:
    return (text[: match.start()].rstrip() + "\n" + text[match.end() :].lstrip()).strip()


def _fenced(text: str) -> Split | None:
    matches = list(_FENCE.finditer(text))
    if not matches:
        return None
    longest = max(matches, key=lambda match: len(match.group(2)))
    original = longest.group(2).strip()
    return Split(_without(text, longest), original, "fence") if original else None


def _quote_block(text: str) -> Split | None:
    longest = max(_QUOTE_LINES.finditer(text), key=lambda match: len(match.group()), default=None)
    if longest is None:
        return None
    original = re.sub(r"^[ \t]*> ?", "", longest.group(), flags=re.MULTILINE).strip()
    return Split(_without(text, longest), original, "block quote") if original else None


def _after_lead_in(text: str) -> Split | None:
    match = _LEAD_IN.match(text)
    if match is None or not works_on_text(match.group(1)):
        return None
    # "Write an article on these points: …" asks for something new, "polish this article: …" does not.
    if _ASK.search(match.group(1)) and not REWRITE.match(match.group(1).strip()):
        return None
    original = match.group(2).strip().strip('"“”「」').strip()
    return Split(match.group(1).strip(), original, "lead-in") if original else None


def _quoted(text: str) -> Split | None:
    longest = max(_QUOTED.finditer(text), key=lambda match: len(match.group()), default=None)
    if longest is None:
        return None
    original = next(group for group in longest.groups() if group).strip()
    rest = _without(text, longest)
    enough = weight(original) >= _QUOTED_AT_LEAST or (works_on_text(rest) and weight(original) >= weight(rest))
    return Split(rest, original, "quotation") if enough and works_on_text(rest) else None


def _pasted(text: str) -> Split | None:
    """A long text of several paragraphs: its first or last paragraph may say what to do with the rest."""
    paragraphs = [part.strip() for part in re.split(r"\n\s*\n|\n(?=\S)", text) if part.strip()]
    if len(paragraphs) < 2:
        return None
    for asked, rest in ((paragraphs[0], paragraphs[1:]), (paragraphs[-1], paragraphs[:-1])):
        if weight(asked) <= _INSTRUCTION_AT_MOST and works_on_text(asked) and weight("".join(rest)) > weight(asked):
            return Split(asked, "\n\n".join(rest), "paragraph")
    if weight(text) < _PASTED_AT_LEAST or _ASK.search(paragraphs[0]) or _ASK.search(paragraphs[-1]):
        return None
    # A title line such as "An article about …" is a brief; without any request it is a text to work on.
    if ARTICLE.search(paragraphs[0]) and weight(paragraphs[0]) < 80:
        return None
    return Split("", text, "pasted")
