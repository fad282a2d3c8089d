"""Usage: sums from the daily roll-up, records to be filtered and paged."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet, Sum
from django.utils import timezone

from billing_app.contracts import ZERO, DaySpend, ModelSpend, UsageEntry, UsageTotals
from billing_app.models import TaskUsage, UsageDaily, UsageRecord

SUMS = {name: Sum(name) for name in ("input_tokens", "output_tokens", "cost_usd", "charged_usd")}


def cost_between(organization_id: UUID, start: date, end: date) -> Decimal:
    """Return what the calls from ``start`` to ``end`` cost, both days (UTC) included, in USD."""
    return days_of(organization_id, start, end).aggregate(cost=Sum("cost_usd"))["cost"] or ZERO


def totals_between(organization_id: UUID, start: date, end: date) -> UsageTotals:
    """Return all figures from ``start`` to ``end``, both days (UTC) included."""
    return totals_of(days_of(organization_id, start, end).aggregate(calls=Sum("calls"), **SUMS))


def spend_by_day(organization_id: UUID, start: date, end: date) -> tuple[DaySpend, ...]:
    """Return each day (UTC) from ``start`` to ``end``, both included, oldest first; days without calls have zeros."""
    rows = days_of(organization_id, start, end).values("day").annotate(calls=Sum("calls"), **SUMS).order_by("day")
    known = {row["day"]: totals_of(row) for row in rows}
    days = [start + timedelta(days=number) for number in range((end - start).days + 1)]
    return tuple(DaySpend(day=day, totals=known.get(day, UsageTotals())) for day in days)


def spend_by_model(organization_id: UUID, start: date, end: date) -> tuple[ModelSpend, ...]:
    """Return each model used from ``start`` to ``end``, both days (UTC) included, dearest first."""
    rows = days_of(organization_id, start, end).values("model").annotate(calls=Sum("calls"), **SUMS)
    ordered = rows.order_by("-charged_usd", "model")
    return tuple(ModelSpend(model=row["model"], totals=totals_of(row)) for row in ordered)


def models_used(organization_id: UUID, *, days: int = 90) -> tuple[str, ...]:
    """Return the models that the organization has called in the last ``days`` days (UTC), by name."""
    since = timezone.now().date() - timedelta(days=days)
    rows = UsageDaily.objects.filter(organization_id=organization_id, day__gte=since)
    return tuple(rows.values_list("model", flat=True).distinct().order_by("model"))


def usage_for_task(organization_id: UUID, task_id: UUID) -> UsageTotals:
    """Return what one task has used so far."""
    used = TaskUsage.objects.filter(organization_id=organization_id, task_id=task_id)
    return totals_of(used.values("calls", *SUMS).first() or {})


def usage_entries_for_task(organization_id: UUID, task_id: UUID, *, limit: int = 200) -> tuple[UsageEntry, ...]:
    """Return the task's model calls, newest first."""
    records = usage_records(organization_id).filter(task_id=task_id)
    return tuple(record.entry() for record in records.order_by("-created_at", "-id")[:limit])


def tasks_of_calls(organization_id: UUID, refs: set[str]) -> dict[str, UUID]:
    """Return the task of each billing reference that names a model call made for one."""
    calls = usage_records(organization_id).filter(id__in=filter(None, map(_uuid, refs)), task_id__isnull=False)
    return {str(call_id): task_id for call_id, task_id in calls.values_list("id", "task_id") if task_id}


def usage_records(organization_id: UUID) -> QuerySet[UsageRecord]:
    """The organization's usage records, to be filtered and paged."""
    return UsageRecord.objects.filter(organization_id=organization_id)


def days_of(organization_id: UUID, start: date, end: date) -> QuerySet[UsageDaily]:
    """The organization's rows of the daily roll-up from ``start`` to ``end``, both days (UTC) included."""
    return UsageDaily.objects.filter(organization_id=organization_id, day__range=(start, end))


def totals_of(row: dict[str, object]) -> UsageTotals:
    """Return a row of sums as totals; what there was nothing to sum of is zero."""
    names = ("calls", *SUMS)
    return UsageTotals(**{name: row[name] for name in names if row.get(name) is not None})  # type: ignore[arg-type]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
