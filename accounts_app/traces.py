"""What this room knows of a trace: the audit rows."""

from collections.abc import Iterator

from django.utils.translation import gettext_lazy as _

from accounts_app.models import AuditLog
from accounts_app.services.traces import TraceEvent, row_url, trace_rows


def trace_source(trace_id: str) -> Iterator[TraceEvent]:
    """Yield the deeds that were audited."""
    for row in trace_rows(AuditLog.objects.order_by("created_at"), trace_id):
        target = " ".join(filter(None, (row.target_type, row.target_id)))
        yield TraceEvent(
            at=row.created_at,
            kind="audit",
            label=_("Audit"),
            title=row.action,
            detail=" · ".join(filter(None, (target, row.operator))),
            url=row_url(row),
        )
