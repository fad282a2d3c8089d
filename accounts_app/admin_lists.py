"""Admin lists of tables of any size: no count, filter or search of theirs reads a whole table."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise, cached_property
from django.utils.translation import gettext_lazy as _

from accounts_app.ids import uuid7_floor

# Rows that are quick enough to count.
COUNTED = 10_000


class EstimatedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts a list without filters by the planner's figures: an exact count would read every partition."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if not isinstance(rows, QuerySet) or rows.query.where:
            return super().count
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT sum(greatest(c.reltuples, 0)) FROM pg_partition_tree(%s::regclass) t"
                " JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf",
                [rows.model._meta.db_table],  # noqa: SLF001 - Django's documented Meta API
            )
            (estimate,) = cursor.fetchone()
        # Never analysed, or small enough to count.
        return int(estimate) if estimate and estimate > COUNTED else super().count


class When(admin.SimpleListFilter):
    """Since when. A week if nothing else is asked for: the id begins with its time, so older months are not read."""

    title = _("time")
    parameter_name = "since"
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


def uuid_or_none(text: str) -> UUID | None:
    """Return the id that ``text`` is; a trace id has as many digits as one."""
    try:
        return UUID(text)
    except ValueError:
        return None
