"""Request headers that this API honours beside the body."""

import re

from django.conf import settings
from django.utils.translation import gettext as _
from rest_framework.request import Request

from accounts_app.exceptions import InvalidInput

_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?=$|[,;\s])", re.IGNORECASE)
_KEY = re.compile(r"[\x21-\x7e]{1,150}")


def preferred_wait(request: Request) -> int | None:
    """Return N of ``Prefer: wait=N`` in seconds, at most TASK_WAIT_LIMIT; None when not asked for."""
    match = _WAIT.search(request.headers.get("Prefer", ""))
    return min(int(match.group(1)), settings.TASK_WAIT_LIMIT) if match else None


def idempotency_key(request: Request) -> str:
    """Return the Idempotency-Key, '' without one. Raises InvalidInput unless 1 to 150 visible ASCII characters."""
    key = request.headers.get("Idempotency-Key", "")
    if key and not _KEY.fullmatch(key):
        raise InvalidInput.for_field("Idempotency-Key", _("Give 1 to 150 visible ASCII characters."))
    return key
