"""Filters of the usage and ledger lists: the same names in the API's query strings and in the wallet page's."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import django_filters
from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from billing_app.models import Transaction, TransactionKind, UsageRecord


class PeriodFilter(django_filters.FilterSet):  # type: ignore[misc]
    """``from`` and ``to``: days in UTC, both included."""

    @classmethod
    def get_filters(cls) -> dict[str, Any]:
        """Add the two filters whose names Python keeps for itself."""
        day = forms.DateInput(attrs={"type": "date"})
        return {
            "from": django_filters.DateFilter(method="_since", label=_("From"), widget=day),
            "to": django_filters.DateFilter(method="_until", label=_("To"), widget=day),
            **super().get_filters(),
        }

    def _since(self, rows: QuerySet[Any], name: str, day: date) -> QuerySet[Any]:
        return rows.filter(created_at__gte=_midnight(day))

    def _until(self, rows: QuerySet[Any], name: str, day: date) -> QuerySet[Any]:
        return rows.filter(created_at__lt=_midnight(day) + timedelta(days=1))


class TransactionFilter(PeriodFilter):
    kind = django_filters.ChoiceFilter(choices=TransactionKind.choices, label=_("Kind"), empty_label=_("All"))

    class Meta:
        model = Transaction
        fields = ["kind"]


class UsageFilter(PeriodFilter):
    model = django_filters.CharFilter(label=_("Model"))
    task = django_filters.UUIDFilter(field_name="task_id", label=_("Task"))

    class Meta:
        model = UsageRecord
        fields = ["model", "task"]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)
