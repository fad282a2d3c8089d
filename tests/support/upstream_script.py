"""What the scripted upstream says, and how it misbehaves: plain data, no sockets."""

import json
import random
import re
from dataclasses import dataclass, field, replace
from typing import Any

_TOKEN = re.compile(r"\s*(?:[\u3000-\u9fff\uff00-\uffef]|[^\s\u3000-\u9fff\uff00-\uffef]+)|\s+")
_CJK = re.compile(r"[\u4e00-\u9fff]")
_WISH = re.compile(
    r"^\s*(?:i want|please write|write)(?: an?)?(?: article)?(?: about| on)?\s*|^\s*(?:我想要?|请)?写?一?篇?(?:关于)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Behaviour:
    """How one call is answered. Counts are tokens, times ms.

    ``text`` None means the default article. ``status`` other than 200 answers an error (``retry_after`` in seconds).
    ``reset`` drops the connection before any byte. ``cut_after`` drops it after that many tokens,
    ``cut_before_usage`` after the last one and the finish reason. ``error_after`` tells an error inside the stream.
    A ``finish_reason`` "none" is left out. ``hang`` is
    "first" (no byte is ever sent) or "stream" (silence after ``hang_after`` tokens). ``usage`` replaces fields of the
    reported usage, e.g. ``{"prompt_tokens_details": {"cached_tokens": 5}}``. ``tool_calls`` are sent instead of text.
    ``match`` limits a queued behaviour to requests whose body contains it. ``raw`` is sent as the whole answer
    (the events of a stream, or the body), ``usage`` then says what it told. ``thoughts`` come before the text.
    ``split`` writes a stream in pieces of so many bytes; ``crlf`` ends its lines with both characters; ``pings``
    puts a comment before each event.
    """

    text: str | None = None
    status: int = 200
    retry_after: float | None = None
    error_code: str = ""
    first_delay: float = 0
    delay: float = 0
    reset: bool = False
    cut_after: int | None = None
    cut_before_usage: bool = False
    error_after: int | None = None
    hang: str = ""
    hang_after: int = 3
    omit_usage: bool = False
    usage: dict[str, Any] | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: str = ""
    match: str = ""
    raw: bytes | None = None
    thoughts: str = ""
    split: int = 0
    crlf: bool = False
    pings: bool = False


def behaviour_for(model: str, base: Behaviour) -> Behaviour:
    """Return ``base`` with the switches of the model's name: ``scripted--slow=20--cut=5`` and the like."""
    for switch in model.split("--")[1:]:
        name, _equals, value = switch.partition("=")
        base = replace(base, **_switch(name, value))
    return base


def _switch(name: str, value: str) -> dict[str, Any]:
    known: dict[str, dict[str, Any]] = {
        "slow": {"delay": float(value or 30)},
        "429": {"status": 429, "retry_after": float(value or 0)},
        "500": {"status": 500},
        "refuse": {"status": 400, "error_code": "content_policy_violation"},
        "reset": {"reset": True},
        "cut": {"cut_after": int(value or 3)},
        "nousage": {"omit_usage": True},
        "hang": {"hang": "first"},
        "stall": {"hang": "stream", "hang_after": int(value or 3)},
        "zero": {"text": ""},
        "tools": {"tool_calls": (tool_call("look_up", {"query": "tea"}),)},
        "error": {"error_after": int(value or 3)},
        "thoughts": {"thoughts": "Let me think about tea first."},
    }
    if name not in known:
        raise ValueError(f"Unknown switch in the model's name: {name}")
    return known[name]


KINDS = (
    "fine",
    "500",
    "429",
    "reset",
    "cut",
    "cut_before_usage",
    "error",
    "nousage",
    "zero",
    "refuse",
    "stall",
    "hang",
)


@dataclass(frozen=True)
class Faults:
    """Draws a behaviour for each try by lot, the same for the same ``seed``, request and try, in whatever order they
    come. ``weights`` are of the names in `KINDS`."""

    seed: int
    weights: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 1) | {"fine": 12})

    def __call__(self, mark: str, number: int) -> Behaviour:
        """Return the behaviour for the try ``number`` (from 1) of the request that ``mark`` tells from others."""
        lot = random.Random(f"{self.seed}:{mark}:{number}")
        kind = lot.choices(list(self.weights), list(self.weights.values()))[0]
        words = lot.choices(_WORDS, k=lot.randint(1, 30))
        base = Behaviour(text=" ".join(words), delay=lot.choice([0, 0, 0, 1, 3]), split=lot.choice([0, 0, 0, 1, 7, 50]))
        return replace(base, **_fault(kind, lot))


_WORDS = ("tea", "leaves", "water", "steep", "warm", "cup", "绿茶", "水", "thé", "чай", "slowly", "and", "again", "😀")


def _fault(kind: str, lot: random.Random) -> dict[str, Any]:
    after = lot.randint(0, 12)
    known: dict[str, dict[str, Any]] = {
        "fine": {},
        "500": {"status": lot.choice([500, 502, 503])},
        "429": {"status": 429, "retry_after": 0},
        "reset": {"reset": True},
        "cut": {"cut_after": after},
        "cut_before_usage": {"cut_before_usage": True},
        "error": {"error_after": after},
        "nousage": {"omit_usage": True},
        "zero": {"text": ""},
        "refuse": {"status": 400, "error_code": "content_policy_violation"},
        "stall": {"hang": "stream", "hang_after": after},
        "hang": {"hang": "first"},
    }
    return known[kind]


def tool_call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return one tool call in OpenAI's shape."""
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def tokens(text: str) -> list[str]:
    """Split into this upstream's tokens: a word with the space before it, or one Chinese character."""
    return _TOKEN.findall(text)


def prompt_tokens(messages: list[dict[str, Any]]) -> int:
    """Count a request's tokens: its texts', and 4 for the frame of each message."""
    return sum(4 + len(tokens(content_of(message))) for message in messages)


def input_tokens(value: Any) -> int:
    """Count an input's tokens: text, a list of texts, token numbers, or lists of these."""
    if isinstance(value, str):
        return len(tokens(value))
    if isinstance(value, dict):
        return 4 + len(tokens(content_of(value)))
    return sum(1 if isinstance(item, int) else input_tokens(item) for item in value or [])


def content_of(message: dict[str, Any]) -> str:
    """Return a message's text, also when its content comes in parts."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def default_text(messages: list[dict[str, Any]], *, as_json: bool = False) -> str:
    """Return about 60 words of Markdown on the last user message, in Chinese if that is Chinese. Always the same."""
    last = next((content_of(m) for m in reversed(messages) if m.get("role") == "user"), "")
    chinese = len(_CJK.findall(last)) * 3 > len(re.sub(r"\s", "", last))
    lines = [line for line in last.splitlines() if line.strip()] or ["Nothing" if not chinese else "无题"]
    topic = _WISH.sub("", lines[0]).strip(" #。.!！").removesuffix("的文章")[:60] or lines[0].strip()[:60]
    article = _chinese(topic) if chinese else _english(topic)
    return json.dumps({"text": article}, ensure_ascii=False) if as_json else article


def _english(topic: str) -> str:
    return (
        f"# {topic[:1].upper()}{topic[1:]}\n\n"
        f"People who care about {topic} usually begin with a small question and end with a larger one. "
        "This article takes three steps. First it says **what matters** and why. Then it shows one example "
        "that anyone can repeat at home.\n\n"
        "## What to do next\n\n- Read the sources.\n- Try the example.\n- Write down what surprised you.\n\n"
        "Good work grows from plain words and honest checks."
    )


def _chinese(topic: str) -> str:
    return (
        f"# {topic}\n\n关心{topic}的人，往往从一个小问题开始，最后走向一个更大的问题。"
        "本文分三步：先说明**什么重要**、为什么重要，再给出一个人人都能重复的例子。\n\n"
        "## 接下来做什么\n\n- 阅读资料。\n- 动手试一试。\n- 记下让你惊讶的事。\n\n好的作品来自朴素的语言和诚实的检验。"
    )
