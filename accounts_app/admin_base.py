"""What every room's admin builds on."""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import DateTimeField, DecimalField, Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accounts_app.selectors import subject_names

_TRACE = "trace_id"


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
        fields: list[Any] = [*super().get_fields(request, obj)]
        # What a form may change is the form's own.
        return fields if self.has_change_permission(request, obj) else [self._column(name) for name in fields]

    def _column(self, name: Any) -> Any:
        if name == _TRACE:
            return "trace_link"
        return column_of(self.model, name) or name

    @admin.display(description=_("trace id"), ordering=_TRACE)
    def trace_link(self, row: Model) -> str:
        """Return the link to everything that the row's request caused."""
        trace_id = getattr(row, _TRACE)
        if not trace_id:
            return "–"
        return format_html('<a href="{}">{}</a>', reverse("admin:trace", args=[trace_id]), trace_id)


def column_of(model: type[Model], name: Any) -> Callable[[Model], Any] | None:
    """Return a field as books show it: moments to the second, amounts without idle zeros, keys of other tables as ids.

    Django shows minutes and ten decimal places, and calls a key by its Python name. None: as Django does.
    """
    field = next((field for field in model._meta.local_fields if name in (field.name, field.attname)), None)  # noqa: SLF001
    if field is None:
        return None
    is_bare_key = field.name != name
    shown = str if is_bare_key else _SHOWN.get(type(field))
    if shown is None:
        return None

    def column(row: Model) -> Any:
        value = getattr(row, name)
        return None if value is None else shown(value)

    column.__name__ = name
    return admin.display(description=field.verbose_name, ordering=name)(column)


def moment_words(moment: datetime) -> str:
    """Return a moment to the second, in the time zone of the page."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}"


def amount_words(amount: Decimal) -> str:
    """Return an amount with every place that it has, at least two."""
    plain = f"{amount.normalize():f}"
    whole, _point, places = plain.partition(".")
    return f"{whole}.{places:0<2}"


_SHOWN: dict[type[Any], Callable[[Any], str]] = {DateTimeField: moment_words, DecimalField: amount_words}


class SubjectMixin(admin.ModelAdmin):  # type: ignore[type-arg]
    """For rules that are about a project, member or key (``scope``, ``subject_id``): shows its name, not its id."""

    subject_help = _("The id of the project, member or API key; empty for the whole organization.")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        page = super().get_changelist_instance(request)
        names = subject_names([row.subject_id for row in page.result_list])
        for row in page.result_list:
            row.subject_words = _subject_words(names, row.subject_id)
        return page

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "subject_id":
            kwargs["help_text"] = self.subject_help
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @admin.display(description=_("whose"))
    def subject(self, row: Any) -> str:
        """Return whose it is, by name."""
        known: str | None = getattr(row, "subject_words", None)
        return _subject_words(subject_names([row.subject_id]), row.subject_id) if known is None else known


def _subject_words(names: Mapping[UUID, str], subject_id: UUID | None) -> str:
    return names.get(subject_id, str(subject_id)) if subject_id else str(_("the whole organization"))
