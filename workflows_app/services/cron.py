"""Cron expressions in a time zone: which moments they mean, also on the days when clocks change. Pure.

Five fields: minute, hour, day of the month, month, day of the week; ``*``, numbers, ranges, lists, steps, names.
Where hours are named, each named time comes once a day: one that the clock leaps over comes as much later as it leapt,
one that it passes twice comes the first time. Where every hour is meant, real time counts: twice in the doubled hour.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts_app.exceptions import InvalidInput

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
# The 29th of February comes within eight years.
HORIZON = timedelta(days=8 * 366)
_PART = re.compile(r"(?:(?P<every>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[0-9]{1,2}))?", re.ASCII)


@dataclass(frozen=True)
class Field:
    """One of the five: its name, its numbers, and words that stand for them from ``low`` on."""

    name: Promise
    low: int
    high: int
    words: tuple[str, ...] = ()


FIELDS = (
    Field(gettext_lazy("minute"), 0, 59),
    Field(gettext_lazy("hour"), 0, 23),
    Field(gettext_lazy("day of the month"), 1, 31),
    Field(gettext_lazy("month"), 1, 12, MONTHS),
    Field(gettext_lazy("day of the week"), 0, 7, WEEKDAYS),
)


@dataclass(frozen=True)
class Cron:
    """The moments of one expression. Made by `cron_parsed`."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """Return the first moment after ``moment``, in UTC; None when none comes within eight years."""
        moments = self._by_the_hour(moment) if len(self.hours) == 24 else self._by_the_day(moment)
        return next(moments, None)

    def upcoming(self, moment: datetime, count: int) -> list[datetime]:
        """Return the next ``count`` moments after ``moment``, in UTC."""
        found: list[datetime] = []
        while len(found) < count and (following := self.after(found[-1] if found else moment)) is not None:
            found.append(following)
        return found

    def _by_the_day(self, moment: datetime) -> Iterator[datetime]:
        first = moment.astimezone(self.zone).date() - timedelta(days=1)
        for number in range(HORIZON.days):
            day = first + timedelta(days=number)
            if self._has(day):
                yield from (found for found in self._on(day) if found > moment)

    def _on(self, day: date) -> list[datetime]:
        # A time that does not exist is read with the offset before the leap: that is as much later as the leap.
        times = (datetime.combine(day, time(hour, minute), self.zone) for hour in self.hours for minute in self.minutes)
        return sorted({local.astimezone(UTC) for local in times})

    def _by_the_hour(self, moment: datetime) -> Iterator[datetime]:
        found = moment.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        until = found + HORIZON
        while found < until:
            local = found.astimezone(self.zone)
            if not self._has(local.date()):
                midnight = datetime.combine(local.date() + timedelta(days=1), time(), self.zone).astimezone(UTC)
                found = max(midnight, found + timedelta(minutes=1))
                continue
            if local.minute in self.minutes:
                yield found
            found += timedelta(minutes=1)

    def _has(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays


def cron_parsed(expression: str, zone: str) -> Cron:
    """Return the moments of ``expression`` in the time zone ``zone`` (such as "Europe/Berlin").

    Raises InvalidInput for the field "cron" or "timezone", saying what is wrong and what would be right.
    """
    text = expression.strip().lower()
    parts = SHORTHANDS.get(text, text).split()
    if len(parts) != len(FIELDS):
        # 9:00 from Monday to Friday
        message = _("Write five fields: minute, hour, day of the month, month, day of the week; such as %(example)s.")
        raise _wrong(message % {"example": "0 9 * * 1-5"})
    minutes, hours, days, months, weekdays = (_numbers(field, part) for field, part in zip(FIELDS, parts, strict=True))
    if parts[2] != "*" and parts[4] != "*":
        raise _wrong(_("Name days of the month or days of the week, not both: put * for the other."))
    cron = Cron(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), _zone(zone))
    if cron.after(datetime.now(UTC)) is None:
        raise _wrong(_("This time never comes."))
    return cron


def _numbers(field: Field, text: str) -> frozenset[int]:
    return frozenset(number for part in text.split(",") for number in _part(field, part))


def _part(field: Field, text: str) -> range:
    match = _PART.fullmatch(text)
    if match is None:
        raise _unknown(field, text)
    step = int(match["step"] or 1)
    if match["every"]:
        first, last = field.low, min(field.high, 6) if field.words is WEEKDAYS else field.high
    else:
        first = _number(field, match["first"])
        last = _number(field, match["last"]) if match["last"] else first
    if match["step"] and not match["every"] and not match["last"]:
        raise _wrong(_("A step needs a range before it: “*/%(step)s” or “10-40/%(step)s”.") % {"step": match["step"]})
    if last < first or step < 1:
        raise _unknown(field, text)
    return range(first, last + 1, step)


def _number(field: Field, text: str) -> int:
    if text in field.words:
        return field.words.index(text) + field.low
    number = int(text) if text.isdecimal() and len(text) < 4 else -1
    if not field.low <= number <= field.high:
        raise _unknown(field, text)
    return number


def _zone(name: str) -> ZoneInfo:
    if name not in available_timezones():
        message = _("There is no such time zone. “Europe/Berlin” and “Asia/Shanghai” are two.")
        raise InvalidInput.for_field("timezone", message)
    return ZoneInfo(name)


def _unknown(field: Field, text: str) -> InvalidInput:
    said = {"text": text[:40], "field": field.name, "low": field.low, "high": field.high}
    return _wrong(_("“%(text)s” is no %(field)s: give numbers from %(low)d to %(high)d, ranges, lists or *.") % said)


def _wrong(message: str) -> InvalidInput:
    return InvalidInput.for_field("cron", message)
