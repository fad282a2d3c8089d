"""Lists of tables of any size: no count, filter or search of theirs reads a whole table."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import EstimatedPaginator, ReadOnlyAdmin
from accounts_app.ids import uuid7_floor


class When(admin.SimpleListFilter):
    """Since when: a week if nothing else is asked for. An id begins with its time, so the key finds the place."""

    title = _("time")
    parameter_name = "since_when"
    id_field: ClassVar[str] = "id"
    default = "7d"
    spans: ClassVar[dict[str, tuple[timedelta, Promise]]] = {
        "1h": (timedelta(hours=1), _("The last hour")),
        "24h": (timedelta(hours=24), _("The last 24 hours")),
        "7d": (timedelta(days=7), _("The last 7 days")),
        "30d": (timedelta(days=30), _("The last 30 days")),
    }

    def __init__(self, request: HttpRequest, *args: Any) -> None:
        # Whoever looks for an id wants it however old it is.
        self._searched = uuid_or_none(request.GET.get(SEARCH_VAR, "").strip()) is not None
        super().__init__(request, *args)

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return [*((key, words) for key, (_span, words) in self.spans.items()), ("all", _("Since ever"))]

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        for key, words in self.lookup_choices:
            yield {
                "selected": self._chosen() == str(key),
                "query_string": changelist.get_query_string({self.parameter_name: key}),
                "display": words,
            }

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        chosen = self._chosen()
        if chosen not in self.spans:
            return queryset
        return queryset.filter(**{f"{self.id_field}__gte": uuid7_floor(timezone.now() - self.spans[chosen][0])})

    def _chosen(self) -> str:
        return str(self.value() or ("all" if self._searched else self.default))


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


def uuid_or_none(text: str) -> UUID | None:
    """Return the id that ``text`` is; a trace id has as many digits as one."""
    try:
        return UUID(text)
    except ValueError:
        return None
