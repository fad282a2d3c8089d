"""What this room knows of a trace: model calls, their attempts, and live streams."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts_app.services.traces import TraceEvent, milliseconds, row_url, trace_rows
from accounts_app.tenancy.context import tenant_or_nobody
from gateway_app.models import AttemptStatus, GatewayAttempt, GatewayCall, LiveStream

# A whole answer, one way or the other.
_GOOD = {"", "completed", "no_usage"}


def trace_source(trace_id: str) -> Iterator[TraceEvent]:
    """Yield the calls; for operators also what each call took."""
    calls = list(trace_rows(GatewayCall.objects.order_by("created_at"), trace_id))
    attempts = list(GatewayAttempt.objects.filter(call__in=calls).order_by("call", "number"))
    # The row is written by the hold, a moment after the call and its first try began.
    begun = {attempt.call_id: attempt.started_at for attempt in reversed(attempts)}
    for call in calls:
        yield _call(call, min(call.created_at, begun.get(call.pk, call.created_at)))
    if tenant_or_nobody().operator:
        yield from map(_attempt, attempts)


def stream_trace_events(stream_ids: Iterable[UUID]) -> Iterator[TraceEvent]:
    """Yield the live streams with these ids that the caller may see, for the room above that opened them."""
    return map(_stream, LiveStream.objects.filter(pk__in=set(stream_ids)).defer("events", "outcome"))


def _call(call: GatewayCall, begun: datetime) -> TraceEvent:
    words = [str(call.get_ending_display() or call.get_status_display()), call.error_code, call.operation_key]
    return TraceEvent(
        at=begun,
        kind="call",
        label=_("Call"),
        title=f"{call.model} · {call.purpose}" if call.purpose else call.model,
        detail=" · ".join(filter(None, words)),
        url=row_url(call),
        amount=call.charged_usd,
        duration_ms=call.latency_ms if call.latency_ms is not None else milliseconds(call.created_at, call.settled_at),
        is_trouble=call.ending not in _GOOD,
    )


def _attempt(attempt: GatewayAttempt) -> TraceEvent:
    words = [
        str(attempt.get_status_display()),
        str(attempt.http_status or ""),
        attempt.error,
        attempt.upstream_request_id,
    ]
    return TraceEvent(
        at=attempt.started_at,
        kind="attempt",
        label=_("Attempt"),
        title=gettext("%(number)d at %(provider)s") % {"number": attempt.number, "provider": attempt.provider},
        detail=" · ".join(filter(None, words)),
        url=row_url(attempt),
        duration_ms=attempt.latency_ms,
        is_trouble=attempt.status in (AttemptStatus.FAILED, AttemptStatus.ABANDONED),
    )


def _stream(stream: LiveStream) -> TraceEvent:
    return TraceEvent(
        at=stream.created_at,
        kind="stream",
        label=_("Live stream"),
        title=str(stream.get_status_display()),
        detail=gettext("%(kind)s, %(count)d events") % {"kind": stream.kind, "count": stream.last_seq},
        url=row_url(stream),
        duration_ms=milliseconds(stream.created_at, stream.closed_at),
    )
