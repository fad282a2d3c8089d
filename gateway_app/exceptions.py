"""Errors of this room; see accounts_app.exceptions for their frame."""

from django.utils.translation import gettext_lazy as _

from accounts_app.exceptions import Conflict


class StreamClosed(Conflict):
    """The stream has had its final event; nothing may follow."""

    code = "stream_closed"
    default_message = _("This stream has ended.")  # type: ignore[assignment]
