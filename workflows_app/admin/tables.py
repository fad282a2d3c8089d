"""Lists of tables of any size: no count, filter or search of theirs reads a whole table."""

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts_app.admin_base import ReadOnlyAdmin
from accounts_app.admin_lists import EstimatedPaginator, When, uuid_or_none


class OfRunWhen(When):
    """By the run's id."""

    id_field = "run_id"


class BigTableAdmin(ReadOnlyAdmin):
    """Newest first; what is searched for must match wholly, so that an index finds it."""

    paginator = EstimatedPaginator
    show_full_result_count = False
    list_per_page = 50
    ordering = ["-id"]
    search_fields = ["id"]  # shows the field; `get_search_results` decides

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        wanted = uuid_or_none(search_term.strip())
        if not search_term.strip():
            return queryset, False
        return (queryset.none() if wanted is None else queryset.filter(self.found_by(wanted))), False

    def found_by(self, wanted: UUID) -> Q:
        """Return the condition for the id, or trace id, that an operator pasted."""
        raise NotImplementedError
