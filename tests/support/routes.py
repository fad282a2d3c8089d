"""Every address of the site, read from the URL configuration."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.admindocs.views import simplify_regex
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

_PARAMETER = re.compile(r"<(?:(?P<kind>[^>:]+):)?(?P<name>[^>]+)>")
_SAMPLES = {"uuid": "00000000-0000-4000-8000-000000000000", "int": "1", "str": "x", "slug": "x", "path": "x"}
_REGEX_SAMPLES = {"uidb36": "1", "key": "x-y", "app_label": "accounts_app", "url": "x"}


@dataclass(frozen=True)
class Route:
    """One address pattern, such as ``api/keys/<uuid:key_id>/``, and what answers it."""

    pattern: str
    name: str
    view: Any

    def __str__(self) -> str:
        return self.pattern

    @property
    def parameters(self) -> dict[str, str]:
        """Names of the address's parameters with their kinds."""
        return {match["name"]: match["kind"] or "str" for match in _PARAMETER.finditer(self.pattern)}

    def path(self, values: Mapping[str, object] | None = None) -> str:
        """Return a concrete address; without ``values``, one that names nothing that exists."""

        def fill(match: re.Match[str]) -> str:
            if values and match["name"] in values:
                return str(values[match["name"]])
            return _REGEX_SAMPLES.get(match["name"], _SAMPLES[match["kind"] or "str"])

        return "/" + _PARAMETER.sub(fill, self.pattern)


def all_routes() -> list[Route]:
    """Return every route of the site, the admin's and the sign-in pages' included."""
    return list(_walk(get_resolver().url_patterns, "", ""))


def _walk(patterns: list[URLPattern | URLResolver], prefix: str, namespace: str) -> Iterator[Route]:
    for entry in patterns:
        text = prefix + _text(entry)
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from _walk(entry.url_patterns, text, inner)
        else:
            yield Route(pattern=text, name=f"{namespace}{entry.name or ''}", view=entry.callback)


def _text(entry: URLPattern | URLResolver) -> str:
    if isinstance(entry.pattern, RoutePattern):
        return str(entry.pattern)
    return simplify_regex(str(entry.pattern)).removeprefix("/")
