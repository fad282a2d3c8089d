"""Who and what spent the money, from the roll-up of days; of tasks from their calls."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import Count, Sum

from billing_app.contracts import ZERO, UsageTotals
from billing_app.selectors.usage import SUMS, days_of, totals_of, usage_records


class Dimension(StrEnum):
    """What spending can be taken apart by; the value is the name in addresses."""

    MODEL = "model"
    KEY = "key"
    PROJECT = "project"
    MEMBER = "member"


_COLUMNS = {
    Dimension.MODEL: "model",
    Dimension.KEY: "api_key_id",
    Dimension.PROJECT: "project_id",
    Dimension.MEMBER: "user_id",
}


@dataclass(frozen=True)
class Share:
    """What one model, key, project, member or task spent. ``value`` is its name or id; None: of none."""

    value: str | UUID | None
    totals: UsageTotals


def spend_by(
    organization_id: UUID, dimension: Dimension, start: date, end: date, *, limit: int = 200
) -> tuple[Share, ...]:
    """Return the dearest ``limit`` of a dimension from ``start`` to ``end`` (UTC, both included), dearest first."""
    column = _COLUMNS[dimension]
    rows = days_of(organization_id, start, end).values(column).annotate(calls=Sum("calls"), **SUMS)
    return tuple(Share(row[column], totals_of(row)) for row in rows.order_by("-charged_usd", column)[:limit])


def spend_by_day_of(
    organization_id: UUID, dimension: Dimension, values: Collection[Any], start: date, end: date
) -> dict[tuple[Any, date], Decimal]:
    """Return what each of ``values`` paid on each day, in USD; days without calls are left out."""
    column = _COLUMNS[dimension]
    named = days_of(organization_id, start, end).filter(**{f"{column}__in": [item for item in values if item]})
    paid = named.values(column, "day").annotate(paid=Sum("charged_usd")).order_by("day")
    return {(row[column], row["day"]): row["paid"] for row in paid}


def spend_of(
    organization_id: UUID, dimension: Dimension, ids: Collection[UUID], start: date, end: date
) -> dict[UUID, Decimal]:
    """Return what each of ``ids`` paid from ``start`` to ``end`` (UTC, both included), in USD, zero too. One query."""
    column = _COLUMNS[dimension]
    rows = days_of(organization_id, start, end).filter(**{f"{column}__in": ids})
    paid = dict(rows.values_list(column).annotate(paid=Sum("charged_usd")))
    return {item: paid.get(item, ZERO) for item in ids}


def spend_by_task(organization_id: UUID, start: date, end: date, *, limit: int = 100) -> tuple[Share, ...]:
    """Return the ``limit`` dearest tasks from ``start`` to ``end`` (UTC, both included), dearest first.

    From the records themselves, along the index of those that were made for tasks: no roll-up has both task and day.
    """
    since, until = (datetime.combine(day, time.min, tzinfo=UTC) for day in (start, end + timedelta(days=1)))
    made = usage_records(organization_id).filter(task_id__isnull=False, created_at__gte=since, created_at__lt=until)
    rows = made.values("task_id").annotate(calls=Count("pk"), **SUMS).order_by("-charged_usd", "task_id")
    return tuple(Share(row["task_id"], totals_of(row)) for row in rows[:limit])
