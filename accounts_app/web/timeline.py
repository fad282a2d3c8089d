"""A trace as a picture: one row an event, placed in the time of the whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from accounts_app.services.traces import TraceEvent

# A bar is never thinner than this, in per cent of the whole: what took no time is seen too.
_THINNEST = 0.6
# What was paid stands on the usage records; holds and entries would count it again.
_PAID = "usage"


@dataclass(frozen=True)
class Row:
    """One event: ``offset_ms`` after the first, its bar from ``x`` and ``width`` wide, both in per cent."""

    event: TraceEvent
    offset_ms: int
    x: str
    width: str


@dataclass(frozen=True)
class Timeline:
    """All rows, oldest first. ``charged_usd`` is None where no call was recorded."""

    rows: tuple[Row, ...]
    begun: datetime | None
    total_ms: int
    charged_usd: Decimal | None
    troubles: int


def timeline(events: Sequence[TraceEvent]) -> Timeline:
    """Place the events, oldest first, in the time from the first one's begin to the last one's end."""
    if not events:
        return Timeline(rows=(), begun=None, total_ms=0, charged_usd=None, troubles=0)
    begun = events[0].at
    total = max(_milliseconds(event.at - begun) + (event.duration_ms or 0) for event in events)
    paid = [event.amount for event in events if event.kind == _PAID and event.amount is not None]
    return Timeline(
        rows=tuple(_row(event, begun, total) for event in events),
        begun=begun,
        total_ms=round(total),
        charged_usd=sum(paid, Decimal(0)) if paid else None,
        troubles=sum(event.is_trouble for event in events),
    )


def _row(event: TraceEvent, begun: datetime, total: float) -> Row:
    offset = _milliseconds(event.at - begun)
    scale = 100 / total if total else 0
    width = max((event.duration_ms or 0) * scale, _THINNEST)
    x = min(offset * scale, 100 - _THINNEST)
    # Written here, since a template would write 1,5 in some languages.
    return Row(event=event, offset_ms=round(offset), x=f"{x:.2f}", width=f"{min(width, 100 - x):.2f}")


def _milliseconds(span: timedelta) -> float:
    return span.total_seconds() * 1000
