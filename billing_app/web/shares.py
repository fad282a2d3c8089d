"""Who and what spent the money: the rows of the table, and the layers of the chart."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from billing_app import selectors
from billing_app.contracts import ZERO, DaySpend, UsageTotals
from billing_app.selectors.names import Names
from billing_app.selectors.spending import Dimension, Share, spend_by, spend_by_day_of, spend_by_task
from billing_app.web.periods import Period

TASK = "task"
LAYERS = 6
# A name, and what it paid on each day.
Layer = tuple[str, list[Decimal]]


@dataclass(frozen=True)
class ShareRow:
    """One row of the table. ``percent`` is its part of all; ``task_id`` is set for tasks only."""

    label: str
    value: str
    totals: UsageTotals
    percent: int
    task_id: UUID | None = None


@dataclass(frozen=True)
class Shares:
    """Spending of a period by one dimension, dearest first, and each day of the period."""

    by: str
    rows: tuple[ShareRow, ...]
    days: tuple[DaySpend, ...]
    chart: dict[str, Any]
    total: UsageTotals


def shares_of(organization_id: UUID, by: str, period: Period, names: Callable[[], Names]) -> Shares:
    """Return what the page shows of a period; ``by`` is a `Dimension` or "task". ``names`` is asked when needed."""
    days = selectors.spend_by_day(organization_id, period.start, period.end)
    total = _sum(days)
    if by == TASK:
        tasks = spend_by_task(organization_id, period.start, period.end)
        rows = tuple(_row(share, str(share.value)[:8], total.charged_usd, is_task=True) for share in tasks)
        return Shares(by, rows, days, _chart(days, []), total)
    dimension = Dimension(by)
    shares = spend_by(organization_id, dimension, period.start, period.end)
    labels = _labels(dimension, shares, names)
    layers = _layers(organization_id, dimension, shares, labels, days) if len(shares) > 1 else []
    rows = tuple(_row(share, labels[share.value], total.charged_usd) for share in shares)
    return Shares(by, rows, days, _chart(days, layers), total)


def _layers(
    organization_id: UUID,
    dimension: Dimension,
    shares: tuple[Share, ...],
    labels: Mapping[Any, str],
    days: tuple[DaySpend, ...],
) -> list[Layer]:
    dearest = [share.value for share in shares if share.value is not None][:LAYERS]
    paid = spend_by_day_of(organization_id, dimension, dearest, days[0].day, days[-1].day)
    layers = [(labels[value], [paid.get((value, item.day), ZERO) for item in days]) for value in dearest]
    rest = [
        item.totals.charged_usd - sum((values[number] for _label, values in layers), ZERO)
        for number, item in enumerate(days)
    ]
    return [*layers, (_("Other"), rest)] if any(rest) else layers


def _chart(days: tuple[DaySpend, ...], layers: list[Layer]) -> dict[str, Any]:
    # Numbers, for they are drawn and not counted with.
    layers = layers or [(_("Paid"), [item.totals.charged_usd for item in days])]
    return {
        "days": [item.day.isoformat() for item in days],
        "layers": [{"name": name, "values": [float(paid) for paid in values]} for name, values in layers],
    }


def _labels(dimension: Dimension, shares: tuple[Share, ...], names: Callable[[], Names]) -> dict[Any, str]:
    if dimension == Dimension.MODEL:
        return {share.value: str(share.value) for share in shares}
    known = names().of(dimension)
    return {share.value: known(share.value) for share in shares}


def _row(share: Share, label: str, total: Decimal, *, is_task: bool = False) -> ShareRow:
    percent = round(share.totals.charged_usd / total * 100) if total else 0
    task_id = share.value if is_task and isinstance(share.value, UUID) else None
    return ShareRow(label, str(share.value or ""), share.totals, percent, task_id)


def _sum(days: tuple[DaySpend, ...]) -> UsageTotals:
    columns = ("calls", "input_tokens", "output_tokens", "cost_usd", "charged_usd")
    return UsageTotals(**{name: sum(getattr(item.totals, name) for item in days) for name in columns})
