"""What may come with a request about executions: headers, and JSON that the database can keep."""

import json
import re
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.request import Request

from accounts_app.exceptions import InvalidInput

INPUT_BYTES = 256 * 1024
SIGNAL_BYTES = 64 * 1024
MOST_LEVELS = 64
_KEY = re.compile(r"[\x21-\x7e]{1,150}")


def idempotency_key(request: Request) -> str:
    """Return the Idempotency-Key, '' without one. Raises InvalidInput unless 1 to 150 visible ASCII characters."""
    key = request.headers.get("Idempotency-Key", "")
    if key and not _KEY.fullmatch(key):
        raise InvalidInput.for_field("Idempotency-Key", _("Give 1 to 150 visible ASCII characters."))
    return key


def checked_object(field: str, value: Any, *, limit: int = INPUT_BYTES) -> dict[str, Any]:
    """Return ``value``. Raises InvalidInput unless it is a JSON object that can be stored.

    That is: at most ``limit`` bytes as compact UTF-8, at most 64 levels deep, only finite numbers, no NUL and no halves
    of surrogate pairs in its strings.
    """
    if not isinstance(value, dict):
        raise InvalidInput.for_field(field, _("Give a JSON object."))
    if _is_deeper_than(value, MOST_LEVELS):
        raise InvalidInput.for_field(field, _("Nest at most %(limit)d levels.") % {"limit": MOST_LEVELS})
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(text.encode())
    except ValueError as error:
        message = _("It holds a number or a character that cannot be stored.")
        raise InvalidInput.for_field(field, message) from error
    if "\\u0000" in text and _has_nul(value):
        raise InvalidInput.for_field(field, _("It holds a number or a character that cannot be stored."))
    if size > limit:
        raise InvalidInput.for_field(field, _("Give at most %(limit)d bytes of JSON.") % {"limit": limit})
    return value


def _is_deeper_than(value: Any, levels: int) -> bool:
    waiting = [(value, 1)]
    while waiting:
        inner, level = waiting.pop()
        if isinstance(inner, dict | list):
            if level > levels:
                return True
            waiting += [(item, level + 1) for item in (inner.values() if isinstance(inner, dict) else inner)]
    return False


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any("\0" in key or _has_nul(item) for key, item in value.items())
    if isinstance(value, list):
        return any(_has_nul(item) for item in value)
    return isinstance(value, str) and "\0" in value
