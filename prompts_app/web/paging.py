"""Keyset pages of the prompt list: the API's pages, with bare cursors for the pager."""

from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from django.db.models import QuerySet
from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.pagination import Cursor
from rest_framework.request import Request

from accounts_app.api.pagination import KeysetPagination
from accounts_app.exceptions import NotFound
from prompts_app.models import Prompt


@dataclass(frozen=True)
class PromptPage:
    """Up to 20 prompts, and the cursors of the pages beside them; empty where there is none."""

    prompts: list[Prompt]
    next_cursor: str
    previous_cursor: str


class _BareCursors(KeysetPagination):
    page_size = 20

    def encode_cursor(self, cursor: Cursor) -> str:
        return parse_qs(urlsplit(super().encode_cursor(cursor)).query)[self.cursor_query_param][0]


def prompt_page(request: HttpRequest, prompts: QuerySet[Prompt]) -> PromptPage:
    """Return the page that ``?cursor=`` names; raises NotFound for a cursor that is none."""
    paginator = _BareCursors()
    try:
        found = paginator.paginate_queryset(prompts, Request(request))
    except exceptions.NotFound as error:
        raise NotFound from error
    return PromptPage(found or [], paginator.get_next_link() or "", paginator.get_previous_link() or "")
