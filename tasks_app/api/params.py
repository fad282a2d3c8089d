"""What may come as ``params``: an object that the database can keep."""

import json
from typing import Any

from django.utils.translation import gettext as _

from tasks_app.exceptions import InvalidParams

_LIMIT = 100_000


def checked_params(params: Any) -> dict[str, Any]:
    """Return ``params``. Raises InvalidParams unless it is an object, of at most 100,000 characters, without NUL."""
    if not isinstance(params, dict):
        raise InvalidParams.for_field("params", _("The parameters must be a JSON object."))
    text = json.dumps(params, ensure_ascii=False)
    if len(text) > _LIMIT:
        raise InvalidParams.for_field("params", _("Give at most %(limit)d characters.") % {"limit": _LIMIT})
    if "\\u0000" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidParams.for_field("params", _("The parameters hold a character that cannot be stored."))
    return params
