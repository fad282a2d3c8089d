"""Filters of the request log. None of them reads the log to find out what it could be filtered by."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.views.main import SEARCH_VAR, ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts_app.ids import uuid7_floor
from gateway_app.models import ModelEntry, Provider

Choices = Iterable[tuple[str, Any]]


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

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
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


class OfModel(admin.SimpleListFilter):
    """The catalogue's models."""

    title = _("model")
    parameter_name = "model"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(key, key) for key in ModelEntry.objects.order_by("key").values_list("key", flat=True)]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(model=self.value()) if self.value() else queryset


class OfProvider(admin.SimpleListFilter):
    """The catalogue's providers."""

    title = _("provider")
    parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return list(Provider.objects.order_by("name").values_list("key", "name"))

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        return queryset.filter(provider=self.value()) if self.value() else queryset


def uuid_or_none(text: str) -> UUID | None:
    """Return the id that ``text`` is; a trace id has as many digits as one."""
    try:
        return UUID(text)
    except ValueError:
        return None
