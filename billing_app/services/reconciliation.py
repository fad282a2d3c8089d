"""Three books of one day are compared: the ledger with the usage records, and these with the providers' reports.

Days are UTC. Nothing is corrected here: a difference stays in the list until it is gone or somebody has explained it.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.services.audit import audit_record
from billing_app.models import ProviderReportRow, ReconciliationDifference, ReconciliationRun, UsageRecord
from billing_app.services.provider_reports import report_for_call
from billing_app.services.reconciliation_queries import COMPARISONS

__all__ = ["LOOK_BACK", "difference_explain", "reconcile_day", "reconcile_days", "reconcile_recent", "report_for_call"]

# Days compared again each night: reports come late, and refunds and late captures come after the call.
LOOK_BACK = 3

_FIGURES = ("organization_id", "ours", "theirs")


def reconcile_recent(today: date | None = None) -> int:
    """Compare the last days before ``today`` (UTC); return how many differences are open. Needs an operator context."""
    today = today or datetime.now(UTC).date()
    reconcile_days(today - timedelta(days=LOOK_BACK), today - timedelta(days=1))
    with transaction.atomic():
        return ReconciliationDifference.objects.filter(explained_at__isnull=True).count()


def reconcile_days(first: date, last: date) -> list[ReconciliationRun]:
    """Compare each day from ``first`` to ``last``, both included, each in a transaction of its own."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [reconcile_day(day) for day in days]


@transaction.atomic
def reconcile_day(day: date) -> ReconciliationRun:
    """Compare the books of one day and write down the differences. Needs an operator context.

    What was found before and is gone is removed, unless it was explained; an explained difference whose figures have
    changed is open again.
    """
    with connection.cursor() as cursor:
        # Two at once would each insert what the other has not committed.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('reconciliation'))")
    found = _found(day)
    run = ReconciliationRun.objects.create(
        day=day,
        calls=UsageRecord.objects.filter(created_at__gte=_moment(day), created_at__lt=_moment(day, 1)).count(),
        reported=ProviderReportRow.objects.filter(day=day).aggregate(requests=Sum("requests"))["requests"] or 0,
        differences=len(found),
    )
    before = {_subject(row): row for row in ReconciliationDifference.objects.filter(day=day)}
    for row in found:
        _keep(row, before.pop(_subject(row), None), run)
    gone = [row.pk for row in before.values() if row.explained_at is None]
    ReconciliationDifference.objects.filter(pk__in=gone).delete()
    return run


@transaction.atomic
def difference_explain(*, difference_id: UUID, explanation: str) -> ReconciliationDifference:
    """Mark a difference as explained, for a stated reason; an operator's deed. Raises NotFound, InvalidInput."""
    if not explanation.strip():
        raise InvalidInput.for_field("explanation", _("Say where the difference comes from."))
    row = ReconciliationDifference.objects.select_for_update().filter(pk=difference_id).first()
    if row is None:
        raise NotFound
    row.explanation, row.explained_at = explanation.strip()[:300], timezone.now()
    row.save(update_fields=["explanation", "explained_at"])
    data = {"day": str(row.day), "kind": row.kind, "explanation": row.explanation}
    audit_record(action="reconciliation.explain", target_type="reconciliation_difference", target_id=row.pk, data=data)
    return row


def _found(day: date) -> list[ReconciliationDifference]:
    parameters = {"day": day, "start": _moment(day), "end": _moment(day, 1)}
    rows = []
    with connection.cursor() as cursor:
        for kind, sql in COMPARISONS.items():
            cursor.execute(sql, parameters)
            names = [column.name for column in cursor.description]
            rows += [(kind, dict(zip(names, row, strict=True))) for row in cursor.fetchall()]
    return [_difference(day, kind, **fields) for kind, fields in rows]


def _difference(day: date, kind: str, *, ours: list[str], theirs: list[str], **fields: Any) -> ReconciliationDifference:
    """``ours`` and ``theirs`` come as names and values in turn."""
    figures = {
        side: dict(zip(pairs[::2], pairs[1::2], strict=True)) for side, pairs in (("ours", ours), ("theirs", theirs))
    }
    return ReconciliationDifference(day=day, kind=kind, **figures, **fields)


def _keep(row: ReconciliationDifference, stored: ReconciliationDifference | None, run: ReconciliationRun) -> None:
    if stored is None:
        row.run = run
        row.save(force_insert=True)
    elif any(getattr(stored, name) != getattr(row, name) for name in _FIGURES):
        for name in _FIGURES:
            setattr(stored, name, getattr(row, name))
        stored.run, stored.explanation, stored.explained_at = run, "", None
        stored.save()


def _subject(row: ReconciliationDifference) -> tuple[object, ...]:
    return row.kind, row.provider, row.model, row.call_id, row.request_id


def _moment(day: date, days_later: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=days_later)
