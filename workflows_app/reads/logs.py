"""The log lines of a run's steps."""

from uuid import UUID

from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.tenancy.context import current_organization_id
from workflows_app.contracts import LogLine
from workflows_app.models import LogLevel, RunLog, WorkflowRun

MOST = 1000
LONGEST_QUERY = 200


def run_logs(
    run_id: UUID, *, step: str = "", level: str = "", q: str = "", after: int = 0, limit: int = 200
) -> tuple[LogLine, ...]:
    """Return the run's lines after number ``after``, oldest first, at most ``limit`` (1 to 1000) of them.

    ``step``: a step's key, or its path within the run ("D#2/review"). ``level``: the lowest one that is wanted. ``q``:
    a text that the message or the fields contain, whatever its case. Raises NotFound, also for another organization's
    run, and InvalidInput.
    """
    _refuse_nonsense(level, q, after, limit)
    if not WorkflowRun.objects.filter(organization_id=current_organization_id(), pk=run_id).exists():
        raise NotFound
    rows = RunLog.objects.filter(organization_id=current_organization_id(), run_id=run_id, seq__gt=after)
    if step:
        rows = rows.filter(path=step) if "/" in step else rows.filter(step_key=step)
    if level:
        rows = rows.filter(level__in=LogLevel.values[LogLevel.values.index(level) :])
    if q:
        # Within one run: its lines are few, lie together, and are read by the key. No index of texts is needed.
        texts = Q(message__icontains=q) | Q(fields__icontains=q)
        rows = rows.annotate(fields=Cast("data", TextField())).filter(texts)
    return tuple(_line(row) for row in rows.order_by("seq")[:limit])


def _refuse_nonsense(level: str, q: str, after: int, limit: int) -> None:
    if level and level not in LogLevel.values:
        levels = ", ".join(LogLevel.values)
        raise InvalidInput.for_field("level", _("There are these levels: %(levels)s.") % {"levels": levels})
    if len(q) > LONGEST_QUERY or "\0" in q:
        raise InvalidInput.for_field("q", _("Search for at most %(count)d characters.") % {"count": LONGEST_QUERY})
    if not 0 <= after < 2**31:
        raise InvalidInput.for_field("after", _("This is no number of a line."))
    if not 1 <= limit <= MOST:
        raise InvalidInput.for_field("limit", _("From 1 to %(most)d lines at a time.") % {"most": MOST})


def _line(row: RunLog) -> LogLine:
    return LogLine(
        seq=row.seq,
        path=row.path,
        step_key=row.step_key,
        attempt=row.attempt,
        level=row.level,
        logger=row.logger,
        message=row.message,
        data=row.data,
        at=row.at.isoformat(),
    )
