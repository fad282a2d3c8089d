"""What the wallet page says about spending: sums of a few periods, and the bars of its chart."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from billing_app import selectors
from billing_app.contracts import ZERO, DaySpend, ModelSpend, UsageTotals

BAR, GAP, HEIGHT = 14, 6, 120


@dataclass(frozen=True)
class Bar:
    """One day's bar in the chart's own units."""

    x: int
    y: int
    height: int
    spend: DaySpend


@dataclass(frozen=True)
class ModelShare:
    """One model with its part of all spending, in per cent."""

    model: str
    totals: UsageTotals
    percent: int


@dataclass(frozen=True)
class Spending:
    """USD that the wallet paid. ``bars`` is empty when nothing was spent in the period."""

    today: Decimal
    week: Decimal
    month: Decimal
    days: tuple[DaySpend, ...]
    bars: tuple[Bar, ...]
    models: tuple[ModelShare, ...]
    total: Decimal
    width: int
    height: int = HEIGHT
    bar_width: int = BAR


def spending(organization_id: UUID, *, today: date, days: int) -> Spending:
    """Return the figures of today, this week (from Monday), this month, and of the last ``days`` days (UTC)."""
    monday, first = today - timedelta(days=today.weekday()), today.replace(day=1)
    since = today - timedelta(days=days - 1)
    every_day = selectors.spend_by_day(organization_id, min(monday, first, since), today)
    shown = tuple(item for item in every_day if item.day >= since)
    models = selectors.spend_by_model(organization_id, since, today)
    return Spending(
        today=_paid(every_day, today),
        week=_paid(every_day, monday),
        month=_paid(every_day, first),
        days=shown,
        bars=_bars(shown),
        models=_shares(models),
        total=_paid(shown, since),
        width=days * (BAR + GAP) - GAP,
    )


def _paid(days: tuple[DaySpend, ...], since: date) -> Decimal:
    return sum((item.totals.charged_usd for item in days if item.day >= since), ZERO)


def _bars(days: tuple[DaySpend, ...]) -> tuple[Bar, ...]:
    most = max(item.totals.charged_usd for item in days)
    if not most:
        return ()
    heights = [_height(item.totals.charged_usd, most) for item in days]
    return tuple(
        Bar(x=number * (BAR + GAP), y=HEIGHT - height, height=height, spend=item)
        for number, (item, height) in enumerate(zip(days, heights, strict=True))
    )


def _height(amount: Decimal, most: Decimal) -> int:
    # The smallest spending still shows.
    return max(2, int(amount / most * HEIGHT)) if amount else 0


def _shares(models: tuple[ModelSpend, ...]) -> tuple[ModelShare, ...]:
    total = sum((item.totals.charged_usd for item in models), ZERO)
    return tuple(
        ModelShare(item.model, item.totals, round(item.totals.charged_usd / total * 100) if total else 0)
        for item in models
    )
