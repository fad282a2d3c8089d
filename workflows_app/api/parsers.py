from typing import Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class DocumentParser(JSONParser):
    """JSON whose nesting may be hostile: too deep for Python's own parser is bad input, not our crash."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        """Return the parsed body. Raises ParseError."""
        try:
            return super().parse(*args, **kwargs)
        except RecursionError as error:
            raise ParseError(_("The document is nested too deeply.")) from error
