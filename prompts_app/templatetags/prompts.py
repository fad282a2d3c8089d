"""Words of shared rows, which are stored in English and shown in the reader's language."""

from typing import Any

from django import template
from django.utils.translation import gettext

register = template.Library()


@register.filter
def shown(row: Any, name: str) -> str:
    """Return the field ``name`` of ``row``, translated when the row is initial data."""
    value = str(getattr(row, name))
    return gettext(value) if row.is_shared and value else value
