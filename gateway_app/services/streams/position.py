from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput


def position_of(value: str) -> int:
    """Return the seq that a reader names as the last one it has; 0 when it names none. Raises InvalidInput."""
    if not value:
        return 0
    if not (value.isascii() and value.isdigit() and len(value) <= 18):
        raise InvalidInput.for_field("after", _("This must be the number of an event."))
    return int(value)
