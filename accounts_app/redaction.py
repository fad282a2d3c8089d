"""Takes secrets out of text that is about to be logged.

Two nets: what looks like a secret wherever it stands (keys, tokens, passwords in addresses), and the very values of
this system's own secrets, whatever they look like.
"""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from django.conf import settings

HIDDEN = "[redacted]"
# Shorter ones would also be found where they are no secret.
SHORTEST = 8

_PATTERNS = (
    # Our keys, OpenAI's and Anthropic's, and those of others that begin so.
    (re.compile(r"\b(dsk_|sk-|sk_|pk_live_|rk_live_)[A-Za-z0-9_\-]{8,}"), r"\1" + HIDDEN),
    # JSON Web Tokens: three parts, of which the first begins with {"
    (re.compile(r"\beyJ[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]{5,}\.[A-Za-z0-9_\-]*"), HIDDEN),
    (re.compile(r"\b(Bearer|Basic|Token)\s+[A-Za-z0-9_\-.~+/=]{8,}", re.IGNORECASE), r"\1 " + HIDDEN),
    # Fields by name, in JSON, Python's repr, headers, cookies and query strings.
    (
        re.compile(
            r"""((?:authorization|x-api-key|api[_-]?key|secret(?:_access)?_key|secret|password|passwd|access_token|"""
            r"""refresh_token|client_secret|sessionid|csrftoken|csrfmiddlewaretoken)\\*["']?\s*[:=]\s*\\*["']?)"""
            r"""(?!\[redacted\]|Bearer |Basic |Token |None\b|null\b)[^\s"'\\,;&)}\]]{3,}""",
            re.IGNORECASE,
        ),
        r"\1" + HIDDEN,
    ),
    # scheme://user:password@host
    (re.compile(r"\b([a-z][a-z0-9+.\-]*://[^\s:/@\"'\\]*):[^\s/@\"'\\]+@", re.IGNORECASE), r"\1:" + HIDDEN + "@"),
)

# A line with none of these has no secret that a pattern finds: most lines are spared the patterns.
_HINTS = (
    "sk_",
    "sk-",
    "csrf",
    "k_live_",
    "eyj",
    "bearer",
    "basic",
    "token",
    "auth",
    "key",
    "secret",
    "passw",
    "session",
)


def redact(text: str) -> str:
    """Return ``text`` with `HIDDEN` in the place of every secret. What is JSON stays JSON: no quotes are taken."""
    for secret in _own_secrets():
        if secret in text:
            text = text.replace(secret, HIDDEN)
    lowered = text.lower()
    if "://" not in lowered and not any(hint in lowered for hint in _HINTS):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=1)
def _own_secrets() -> tuple[str, ...]:
    """The values of the settings that are secrets, longest first, so that none is cut by a part of it."""
    found = {value for value in _configured() if len(value) >= SHORTEST}
    # As they are, and as they stand inside JSON.
    return tuple(sorted(found | {json.dumps(value)[1:-1] for value in found}, key=len, reverse=True))


def _configured() -> Iterable[str]:
    names = [name for name in dir(settings) if name.endswith(("_KEY", "_TOKEN", "_PASSWORD", "_SECRET"))]
    yield from (value for name in names if isinstance(value := getattr(settings, name), str))
    for database in settings.DATABASES.values():
        yield str(database.get("PASSWORD") or "")
    yield unquote(urlsplit(settings.REDIS_URL).password or "")
