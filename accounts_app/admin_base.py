"""What every room's admin builds on."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

_TRACE = "trace_id"
# Rows that are quick enough to count.
COUNTED = 10_000


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """For ledgers, logs and histories: staff look, nobody adds, changes or deletes. A trace id leads to its page."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [self._column(name) for name in super().get_list_display(request)]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return [self._column(name) for name in super().get_fields(request, obj)]

    def _column(self, name: Any) -> Any:
        if name == _TRACE:
            return "trace_link"
        return _bare_key(self.model, name) or name

    @admin.display(description=_("trace id"), ordering=_TRACE)
    def trace_link(self, row: Model) -> str:
        """Return the link to everything that the row's request caused."""
        trace_id = getattr(row, _TRACE)
        if not trace_id:
            return "–"
        return format_html('<a href="{}">{}</a>', reverse("admin:trace", args=[trace_id]), trace_id)


def _bare_key(model: type[Model], name: Any) -> Callable[[Model], Any] | None:
    """The column of a foreign key's own value, which needs no look at the other table; called what the key is called.

    Django calls it by its Python name.
    """
    field = next((field for field in model._meta.local_fields if field.attname == name), None)  # noqa: SLF001
    if field is None or field.name == name:
        return None

    @admin.display(description=field.verbose_name, ordering=name)
    def column(row: Model) -> Any:
        return getattr(row, name)

    return column


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
