"""Template tags for every room's pages: icons, money, the query string."""

from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from django import template
from django.conf import settings
from django.template import Context
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Inline the vendored icon ``name``. Decorative without a label, an image with one."""
    if label:
        return format_html('<span class="icon" role="img" aria-label="{}">{}</span>', label, _svg(name))
    return format_html('<span class="icon" aria-hidden="true">{}</span>', _svg(name))


@register.filter
def usd(amount: Decimal | None, places: int = 4) -> str:
    """Return an amount for people: ``$0.0123``; anything smaller than the last place shows as ``<$0.0001``."""
    value = amount if amount is not None else Decimal(0)
    unit = Decimal(1).scaleb(-int(places))
    if 0 < abs(value) < unit:
        return f"<${unit}"
    sign = "-" if value < 0 else ""
    return f"{sign}${abs(value).quantize(unit, ROUND_HALF_UP):,}"


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: Any) -> str:
    """Return the page's query string with ``changes``; an empty value removes the parameter."""
    params = context["request"].GET.copy()
    for name, value in changes.items():
        if value in ("", None):
            params.pop(name, None)
        else:
            params[name] = value
    return f"?{params.urlencode()}" if params else "?"


@lru_cache(maxsize=256)
def _svg(name: str) -> SafeString:
    # A file of the vendored library, named by our own templates: no user's text ever comes here.
    return mark_safe(_folder().joinpath(f"{name}.svg").read_text())  # noqa: S308


def _folder() -> Path:
    return Path(settings.BASE_DIR) / "static" / "vendor" / "icons"
