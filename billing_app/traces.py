"""What this room knows of a trace: holds, ledger entries and usage records."""

from collections.abc import Iterator

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts_app.services.traces import TraceEvent, milliseconds, row_url, trace_rows
from billing_app.models import Hold, HoldStatus, Transaction, UsageRecord


def trace_source(trace_id: str) -> Iterator[TraceEvent]:
    """Yield what happened to the money."""
    holds = set()
    for entry in trace_rows(Transaction.objects.order_by("wallet", "seq"), trace_id):
        holds.add(entry.hold_id)
        yield _entry(entry)
    # By their entries, which have an index of traces; the hold of a killed call has at least the first one.
    for hold in Hold.objects.filter(pk__in=holds - {None}):
        yield _hold(hold)
    for record in trace_rows(UsageRecord.objects.order_by("created_at"), trace_id):
        yield _usage(record)


def _entry(entry: Transaction) -> TraceEvent:
    return TraceEvent(
        at=entry.created_at,
        kind="ledger",
        label=_("Ledger"),
        title=str(entry.get_kind_display()),
        detail=entry.note or gettext("Entry %(seq)d") % {"seq": entry.seq},
        url=row_url(entry),
        amount=entry.amount,
    )


def _hold(hold: Hold) -> TraceEvent:
    return TraceEvent(
        at=hold.created_at,
        kind="hold",
        label=_("Hold"),
        title=str(hold.get_status_display()),
        detail=hold.billing_ref_id,
        url=row_url(hold),
        amount=hold.amount,
        duration_ms=milliseconds(hold.created_at, hold.resolved_at),
        is_trouble=hold.status == HoldStatus.EXPIRED,
    )


def _usage(record: UsageRecord) -> TraceEvent:
    words = gettext("%(input)d tokens in, %(output)d tokens out")
    return TraceEvent(
        at=record.created_at,
        kind="usage",
        label=_("Usage"),
        title=record.model,
        detail=words % {"input": record.input_tokens, "output": record.output_tokens},
        url=row_url(record),
        amount=record.charged_usd,
    )
