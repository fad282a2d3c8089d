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

_ASCII = re.compile(r"[\x00-\x7f]")
_CJK = re.compile(
    r"[\u1100-\u11ff\u2e80-\u30ff\u3130-\u318f\u31c0-\ud7af\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]"
)


def input_bound(messages: Iterable[ChatMessage], extra: dict[str, Any]) -> int:
    """Return the most input tokens that ``messages`` and ``extra`` (tools, schema …) can be."""
    parts = list(messages)
    size = sum(len(json.dumps(part, ensure_ascii=False).encode()) for part in [*parts, extra])
    return size + FRAME_TOKENS * len(parts) + REQUEST_TOKENS


def estimate(text: str) -> int:
    """Return about how many tokens ``text`` is."""
    ascii_count, cjk_count = len(_ASCII.findall(text)), len(_CJK.findall(text))
    other = len(text) - ascii_count - cjk_count
    return -(-ascii_count // 4) + cjk_count + -(-other // 2)


def estimate_input(messages: Iterable[ChatMessage]) -> int:
    """Return about how many tokens the messages' texts are, frames included (4 each)."""
    return sum(4 + estimate(_content(message)) for message in messages)


def usage_buckets(usage: dict[str, Any]) -> TokenBuckets:
    """Map reported usage to disjoint buckets: cached and cache-write tokens are part of ``prompt_tokens``, reasoning
    tokens of ``completion_tokens``. A part larger than its whole is cut to it."""
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    read, written = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
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


def _count(source: dict[str, Any], name: str) -> int:
    value = source.get(name)
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _content(message: ChatMessage) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)
