"""Keyset pages of the lists: the API's pages, with bare cursors for the pager."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.pagination import Cursor
from rest_framework.request import Request

from accounts_app.api.pagination import KeysetPagination
from accounts_app.exceptions import NotFound

PAGE_SIZE = 20


@dataclass(frozen=True)
class KeysetPage:
    """Rows, and the cursors of the pages beside them; empty where there is none."""

    rows: list[Any]
    next_cursor: str
    previous_cursor: str


class _BareCursors(KeysetPagination):
    page_size = PAGE_SIZE

    def encode_cursor(self, cursor: Cursor) -> str:
        return parse_qs(urlsplit(super().encode_cursor(cursor)).query)[self.cursor_query_param][0]


def keyset_page(
    request: HttpRequest, rows: QuerySet[Any], keyset: tuple[str, ...], *, oldest_first: bool = False
) -> KeysetPage:
    """Return the page that ``?cursor=`` names, along the unique fields ``keyset``; raises NotFound for a bad cursor."""
    paginator = _BareCursors()
    paginator.ordering = tuple(name if oldest_first else f"-{name}" for name in keyset)  # type: ignore[assignment]
    try:
        found = paginator.paginate_queryset(rows, Request(request))
    except exceptions.NotFound as error:
        raise NotFound from error
    return KeysetPage(found or [], paginator.get_next_link() or "", paginator.get_previous_link() or "")
