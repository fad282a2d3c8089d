"""The period of the spend page: a choice in the address."""

import calendar
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

DEFAULT = "30"
LONGEST_DAYS = 400
CHOICES: dict[str, str | Promise] = {
    "7": _("7 days"),
    "30": _("30 days"),
    "90": _("90 days"),
    "month": _("This month"),
    "last-month": _("Last month"),
}


@dataclass(frozen=True)
class Period:
    """Days in UTC, both included. ``key`` is one of CHOICES, or "custom"."""

    key: str
    start: date
    end: date

    @property
    def days(self) -> int:
        """How many days it has."""
        return (self.end - self.start).days + 1


class CustomPeriodForm(forms.Form):
    """``from`` and ``to``, as the lists' filters call them."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        super().__init__(data)
        day = forms.DateInput(attrs={"type": "date"})
        self.fields["from"] = forms.DateField(label=_("From"), widget=day)
        self.fields["to"] = forms.DateField(label=_("To"), widget=day)

    def clean(self) -> dict[str, date]:
        """Refuse a period that ends before it begins, or that no chart can show."""
        days: dict[str, date] = super().clean() or {}
        if "from" in days and "to" in days:
            if days["from"] > days["to"]:
                self.add_error("to", _("This is before the first day."))
            elif (days["to"] - days["from"]).days >= LONGEST_DAYS:
                self.add_error("to", _("Choose at most %(days)s days.") % {"days": LONGEST_DAYS})
        return days


def period_of(query: QueryDict, today: date) -> tuple[Period, CustomPeriodForm | None]:
    """Return the period that ``?period=`` asks for, and the form of a custom one; a bad choice is the default."""
    key = query.get("period", DEFAULT)
    if key != "custom":
        return named_period(key, today), None
    form = CustomPeriodForm(query)
    if not form.is_valid():
        return named_period(DEFAULT, today), form
    return Period("custom", form.cleaned_data["from"], form.cleaned_data["to"]), form


def named_period(key: str, today: date) -> Period:
    """Return one of CHOICES as it stands on ``today``; the default for any other word."""
    first = today.replace(day=1)
    if key == "month":
        return Period(key, first, today)
    if key == "last-month":
        last = first - timedelta(days=1)
        return Period(key, last.replace(day=1), last)
    if key not in CHOICES:
        key = DEFAULT
    return Period(key, today - timedelta(days=int(key) - 1), today)


def days_in_month(day: date) -> int:
    """Return how many days the month of ``day`` has."""
    return calendar.monthrange(day.year, day.month)[1]
