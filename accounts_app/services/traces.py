"""Everything that one request caused, in the order of time: what each room wrote down under its trace id.

A room registers in ``AppConfig.ready()`` where it looks. A trace need not be whole: a source that finds nothing says
nothing, so a call that was refused, killed or only begun shows as far as it came.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from django.db.models import Model, QuerySet
from django.urls import reverse
from django.utils.functional import Promise

from accounts_app.exceptions import NotFound
from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id, tenant_or_nobody

# The most rows of one kind that a page shows; a trace has seldom more than ten.
MOST_ROWS = 300

M = TypeVar("M", bound=Model)
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class TraceEvent:
    """One thing that happened. ``kind`` is the room's word for it and has a translation in ``label``.

    ``amount`` is USD and None where no money is concerned; ``duration_ms`` how long it took, None where it has no
    length; ``url`` the row's page for whoever asks, or empty.
    """

    at: datetime
    kind: str
    label: str | Promise
    title: str
    detail: str = ""
    url: str = ""
    amount: Decimal | None = None
    duration_ms: int | None = None
    is_trouble: bool = False


TraceSource = Callable[[str], Iterable[TraceEvent]]
_sources: dict[str, TraceSource] = {}


def trace_source_register(name: str, source: TraceSource) -> None:
    """Ask ``source(trace_id)`` whenever a trace is shown; it runs in the asker's tenant and transaction."""
    _sources[name] = source


def is_trace_id(text: str) -> bool:
    """Whether ``text`` is 32 lower-case hex digits."""
    return _TRACE_ID.fullmatch(text) is not None


def trace_events(trace_id: str) -> tuple[TraceEvent, ...]:
    """Return what every room knows of the trace, oldest first; raises NotFound for what is no trace id."""
    if not is_trace_id(trace_id):
        raise NotFound
    found = [event for name in sorted(_sources) for event in _sources[name](trace_id)]
    return tuple(sorted(found, key=lambda event: event.at))


def trace_events_for_operator(trace_id: str) -> tuple[TraceEvent, ...]:
    """Return the trace as `trace_events` does, across all organizations, and put the look on record."""
    events = trace_events(trace_id)
    audit_record(action="trace.read", target_type="trace", target_id=trace_id, data={"events": len(events)})
    return events


def trace_rows(rows: "QuerySet[M]", trace_id: str) -> "QuerySet[M]":
    """Return the rows of the trace that the caller may see: an operator all, anybody else the organization's own."""
    mine = {} if tenant_or_nobody().operator else {"organization_id": current_organization_id()}
    return rows.filter(trace_id=trace_id, **mine)[:MOST_ROWS]


def row_url(row: Model) -> str:
    """Return the row's page in the admin for operators, nothing for everybody else."""
    if not tenant_or_nobody().operator:
        return ""
    meta = row._meta  # noqa: SLF001 - Django's documented Meta API
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])


def milliseconds(begun: datetime, ended: datetime | None) -> int | None:
    """Return the time between the two; None for what has not ended."""
    return None if ended is None else round((ended - begun).total_seconds() * 1000)
