"""A short name for a task, from what was asked."""

import re

_LIMIT = 80
# Punctuation of both scripts that a title neither begins nor ends with.
_EDGES = ' .,:;!"\u3002\uff01\uff1a\uff0c\uff1b\u3001\u201c\u201d\u300c\u300d'
_LEAD_EN = re.compile(
    r"^\s*(?:(?:hi|hello|hey)\b[,!. ]*)?(?:please |pls |can you |could you |kindly )*"
    r"(?:i(?:'d| would)? (?:want|need|like)(?: to (?:have|write|get|make|create))?|write(?: me)?|create"
    r"|generate|compose|draft|give me|make(?: me)?|help me(?: to)? (?:write|create|make))\s+"
    r"(?:(?:an?|the|some)\s+)?",
    re.IGNORECASE,
)
_NOUN_EN = re.compile(
    r"^(?:(?:an?|the|some)\s+)?(?:(?:short|long|new|good|great|nice|brief|quick)\s+)*"
    r"(?:article|essay|blog ?post|post|story|newsletter|tutorial|press release)s?\s+"
    r"(?:about|on|regarding|concerning|covering)\s+",
    re.IGNORECASE,
)
_LEAD_ZH = re.compile(
    r"^\s*(?:你好[,，!！。]*)?(?:请你?|麻烦你?|帮忙|帮我|给我|为我|我想要|我想|我要|我需要"
    r"|需要|写|来|做|生成|撰写|创作|一篇|一个|一份|一段)+"
)
_ABOUT_ZH = re.compile(r"^(?:关于|有关|围绕)(.+?)的?(?:文章|博客|博文|推文|短文|长文|故事|稿子|散文|随笔)?[。.!！]*$")


def title_of(instruction: str, original: str) -> str:
    """Return at most 80 characters: the topic where one is named, else the first line of what was given."""
    line = _first_line(instruction)
    title = _NOUN_EN.sub("", _LEAD_EN.sub("", line)).strip()
    title = _LEAD_ZH.sub("", title).strip()
    about = _ABOUT_ZH.match(title)
    title = (about.group(1) if about else title).strip(_EDGES)
    title = title or _first_line(original).lstrip("#*>-• ").strip() or line
    return _cut(title[:1].upper() + title[1:])


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _cut(title: str) -> str:
    if len(title) <= _LIMIT:
        return title
    head = title[: _LIMIT - 1]
    space = head.rfind(" ")
    return (head[:space] if space > _LIMIT // 2 else head).rstrip(_EDGES) + "…"
