"""How fast the money goes this month, beside the last one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Any

from billing_app.contracts import ZERO, DaySpend
from billing_app.web.periods import days_in_month

_DAY = Decimal(86_400)


@dataclass(frozen=True)
class Pace:
    """USD that the wallet paid. Each tuple has one sum for each day of its month so far, added up from the first."""

    today: Decimal
    month: Decimal
    last_month: Decimal
    last_month_by_now: Decimal
    projected: Decimal
    running: tuple[Decimal, ...]
    last_running: tuple[Decimal, ...]

    @property
    def change_percent(self) -> int | None:
        """How much more (or less) this month is going to cost than the last one did; None without a last one."""
        return round((self.projected / self.last_month - 1) * 100) if self.last_month else None

    @property
    def saving_percent(self) -> int:
        """How much less, in per cent, where it costs less."""
        return -(self.change_percent or 0)

    @property
    def is_faster(self) -> bool:
        """Whether the month is going to cost more than the last one."""
        return self.projected > self.last_month

    def rows(self) -> list[tuple[int, Decimal | None, Decimal | None]]:
        """Return a row for each day of the month: its number, this month's sum by then and last month's."""
        length = max(len(self.running), len(self.last_running))
        return [(number + 1, _at(self.running, number), _at(self.last_running, number)) for number in range(length)]

    def chart(self, now: datetime) -> dict[str, Any]:
        """Return what the chart draws; numbers, for they are drawn and not counted with."""
        length = max(days_in_month(now.date()), len(self.last_running))
        return {
            "days": list(range(1, length + 1)),
            "now": [float(paid) for paid in self.running],
            "last": [float(paid) for paid in self.last_running],
            "today": now.day,
            "end": days_in_month(now.date()),
            "projected": float(self.projected),
        }


def pace_begins(today: date) -> date:
    """Return the first day that `pace_of` needs: the first of last month."""
    return (today.replace(day=1) - timedelta(days=1)).replace(day=1)


def pace_of(days: Sequence[DaySpend], now: datetime) -> Pace:
    """Return the pace from each day since `pace_begins`.

    The projection is the average of the month so far, over the whole month; at least one day counts as past, so that
    the first hour of a month does not cry wolf.
    """
    today, first = now.date(), now.date().replace(day=1)
    this = [item.totals.charged_usd for item in days if first <= item.day <= today]
    last = [item.totals.charged_usd for item in days if item.day < first]
    spent = sum(this, ZERO)
    begun = Decimal((now - now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)).total_seconds())
    return Pace(
        today=this[-1] if this else ZERO,
        month=spent,
        last_month=sum(last, ZERO),
        last_month_by_now=sum(last[: today.day], ZERO),
        projected=spent * days_in_month(today) / max(begun / _DAY, Decimal(1)),
        running=tuple(accumulate(this)),
        last_running=tuple(accumulate(last)),
    )


def _at(sums: tuple[Decimal, ...], number: int) -> Decimal | None:
    return sums[number] if number < len(sums) else None
