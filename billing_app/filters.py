"""Filters of the usage and ledger lists: the same names in the API's query strings and in the pages' addresses."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import django_filters
from django import forms
from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.context import current_organization_id
from billing_app.endings import ENDINGS
from billing_app.models import Hold, Transaction, TransactionKind, UsageRecord

OLDEST = "oldest"
_ORDERS = [("newest", _("Newest first")), (OLDEST, _("Oldest first"))]


class RecordFilter(django_filters.FilterSet):  # type: ignore[misc]
    """``from`` and ``to``: days in UTC, both included. ``trace``: a whole trace id. ``sort``: which end comes first."""

    trace = django_filters.CharFilter(field_name="trace_id", label=_("Trace id"), max_length=32)

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Add the two filters whose names Python keeps for itself, and the order at the end."""
        day = forms.DateInput(attrs={"type": "date"})
        return {
            "from": django_filters.DateFilter(method="_since", label=_("From"), widget=day),
            "to": django_filters.DateFilter(method="_until", label=_("To"), widget=day),
            **super().get_filters(),
            "sort": django_filters.ChoiceFilter(
                method="_unchanged", choices=_ORDERS, label=_("Order"), empty_label=None
            ),
        }

    @property
    def is_oldest_first(self) -> bool:
        """Whether ``?sort=oldest`` was asked for."""
        return bool(self.form.is_valid() and self.form.cleaned_data.get("sort") == OLDEST)

    def chosen(self) -> dict[str, str]:
        """Return what narrows the list, as it was asked for: names of filters and their texts."""
        return {name: self.data[name] for name in self.get_filters() if self.data.get(name) and name != "sort"}

    def _since(self, rows: QuerySet[Any], name: str, day: date) -> QuerySet[Any]:
        return rows.filter(created_at__gte=_midnight(day))

    def _until(self, rows: QuerySet[Any], name: str, day: date) -> QuerySet[Any]:
        return rows.filter(created_at__lt=_midnight(day) + timedelta(days=1))

    def _unchanged(self, rows: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        # The pages of the list order it; see billing_app.web.pages and the API's pagination.
        return rows


class TransactionFilter(RecordFilter):
    """``q``: part of the note, or the whole id of a call. Key, project and task are those of the entry's hold."""

    kind = django_filters.ChoiceFilter(choices=TransactionKind.choices, label=_("Kind"), empty_label=_("All"))
    project = django_filters.UUIDFilter(field_name="hold__project_id", label=_("Project"))
    key = django_filters.UUIDFilter(field_name="hold__api_key_id", label=_("API key"))
    task = django_filters.UUIDFilter(method="_task", label=_("Task"))
    q = django_filters.CharFilter(method="_text", label=_("Text"), max_length=100)

    class Meta:
        model = Transaction
        fields = ["kind", "project", "key", "task", "trace", "q"]

    def _task(self, rows: QuerySet[Transaction], name: str, task_id: UUID) -> QuerySet[Transaction]:
        calls = UsageRecord.objects.filter(organization_id=current_organization_id(), task_id=task_id)
        return _of_calls(rows, calls.values_list(Cast("pk", CharField())))

    def _text(self, rows: QuerySet[Transaction], name: str, text: str) -> QuerySet[Transaction]:
        try:
            return _of_calls(rows, [str(UUID(text))])
        except ValueError:
            return rows.filter(Q(note__icontains=text) | Q(billing_ref_id=text))


class UsageFilter(RecordFilter):
    """``q``: part of the model's, provider's or step's name."""

    model = django_filters.CharFilter(label=_("Model"), max_length=120)
    project = django_filters.UUIDFilter(field_name="project_id", label=_("Project"))
    key = django_filters.UUIDFilter(field_name="api_key_id", label=_("API key"))
    member = django_filters.UUIDFilter(field_name="user_id", label=_("Member"))
    task = django_filters.UUIDFilter(field_name="task_id", label=_("Task"))
    ending = django_filters.CharFilter(
        label=_("Ending"), widget=forms.Select(choices=[("", _("All")), *ENDINGS.items()]), max_length=40
    )
    q = django_filters.CharFilter(method="_text", label=_("Text"), max_length=100)

    class Meta:
        model = UsageRecord
        fields = ["model", "project", "key", "member", "task", "ending", "trace", "q"]

    def _text(self, rows: QuerySet[UsageRecord], name: str, text: str) -> QuerySet[UsageRecord]:
        found = Q(model__icontains=text) | Q(provider__icontains=text) | Q(step_key__icontains=text)
        return rows.filter(found | Q(endpoint__icontains=text))


def _of_calls(rows: QuerySet[Transaction], refs: Any) -> QuerySet[Transaction]:
    """Narrow ``rows`` to the holds of the calls ``refs``, which an index finds."""
    return rows.filter(hold__in=Hold.objects.filter(organization_id=current_organization_id(), billing_ref_id__in=refs))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
