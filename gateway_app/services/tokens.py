"""Counting tokens without a tokenizer: an upper bound for holds, an estimate for bills, a mapping of reported usage.

The bound: byte-level tokenizers never make more tokens than there are UTF-8 bytes, and each message adds a small
frame. The estimate, used only when a provider reports nothing: 4 ASCII characters a token, 1 Chinese, Japanese or
Korean character a token, 2 characters of any other script a token, each rounded up.
"""

import json
import re
from collections.abc import Iterable
from typing import Any

from billing_app.contracts import TokenBuckets
from gateway_app.contracts import ChatMessage

FRAME_TOKENS = 8  # role and separators of one message; providers document 3 to 7
REQUEST_TOKENS = 16
# No provider counts so many in one call; what reports more is wrong, and would not fit a database's integer.
_MOST = 2_000_000_000

_ASCII = re.compile(r"[\x00-\x7f]")
_CJK = re.compile(
    r"[\u1100-\u11ff\u2e80-\u30ff\u3130-\u318f\u31c0-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)


class Tally:
    """Characters counted as they come, so that an estimate needs no text kept. Of any pieces of a text it makes the
    estimate of the whole."""

    __slots__ = ("_ascii", "_cjk", "_other")

    def __init__(self) -> None:
        self._ascii = self._cjk = self._other = 0

    def add(self, text: str) -> None:
        """Count ``text``."""
        if text.isascii():
            self._ascii += len(text)
            return
        ascii_count, cjk_count = len(_ASCII.findall(text)), len(_CJK.findall(text))
        self._ascii += ascii_count
        self._cjk += cjk_count
        self._other += len(text) - ascii_count - cjk_count

    @property
    def tokens(self) -> int:
        """About how many tokens the text so far is."""
        return -(-self._ascii // 4) + self._cjk + -(-self._other // 2)


def input_bound(messages: Iterable[ChatMessage], extra: dict[str, Any]) -> int:
    """Return the most input tokens that ``messages`` and ``extra`` (tools, schema …) can be."""
    parts = list(messages)
    size = sum(len(json.dumps(part, ensure_ascii=False).encode()) for part in [*parts, extra])
    return size + FRAME_TOKENS * len(parts) + REQUEST_TOKENS


def estimate(text: str) -> int:
    """Return about how many tokens ``text`` is."""
    tally = Tally()
    tally.add(text)
    return tally.tokens


def estimate_input(messages: Iterable[ChatMessage]) -> int:
    """Return about how many tokens the messages' texts are, frames included (4 each)."""
    return sum(4 + estimate(_content(message)) for message in messages)


def usage_buckets(usage: dict[str, Any]) -> TokenBuckets:
    """Map reported usage to disjoint buckets: cached and cache-write tokens are part of the prompt, reasoning tokens
    of the completion. A part larger than its whole is cut to it.

    Takes both spellings: ``prompt_tokens`` / ``completion_tokens`` (chat, completions, embeddings) and
    ``input_tokens`` / ``output_tokens`` (responses, images). Tokens of audio and images are in the totals already.
    """
    prompt = _count(usage, "prompt_tokens") or _count(usage, "input_tokens")
    completion = _count(usage, "completion_tokens") or _count(usage, "output_tokens")
    if not prompt and not completion:
        prompt = _count(usage, "total_tokens")
    read = _details(usage, "prompt_tokens_details", "input_tokens_details")
    written = _details(usage, "completion_tokens_details", "output_tokens_details")
    cached = min(prompt, _count(read, "cached_tokens") or _count(usage, "prompt_cache_hit_tokens"))
    cache_write = min(prompt - cached, _count(read, "cache_write_tokens"))
    reasoning = min(completion, _count(written, "reasoning_tokens"))
    return TokenBuckets(
        input=prompt - cached - cache_write,
        cached_input=cached,
        cache_write=cache_write,
        output=completion - reasoning,
        reasoning=reasoning,
    )


def _details(usage: dict[str, Any], *names: str) -> dict[str, Any]:
    found = next((usage[name] for name in names if usage.get(name)), None)
    return found if isinstance(found, dict) else {}


def _count(source: dict[str, Any], name: str) -> int:
    value = source.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(0, value), _MOST)


def _content(message: ChatMessage) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)
