"""A run's history, wherever it lies: in the table, or in the archive once its month has left the database."""

from uuid import UUID

from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.tenancy.context import current_organization_id
from workflows_app.contracts import EventDetail
from workflows_app.engine.state import Fact
from workflows_app.exceptions import HistoryDamaged
from workflows_app.models import RunArchive, WorkflowRun
from workflows_app.selectors import run_events
from workflows_app.services.archive_objects import month_of, object_events

_ALL = 2**31 - 1


def run_history(run_id: UUID, *, after: int = 0, limit: int | None = None) -> list[EventDetail]:
    """Return the run's events after number ``after``, oldest first, at most ``limit`` of them.

    Raises NotFound, also for another organization's run, InvalidInput, HistoryUnavailable when the storage does not
    answer, HistoryDamaged when an event is missing: a history is never given with a hole in it.
    """
    if after < 0 or (limit is not None and limit < 1):
        raise InvalidInput.for_field("after" if after < 0 else "limit", _("This number is too small."))
    run = WorkflowRun.objects.filter(organization_id=current_organization_id(), pk=run_id).only("event_seq").first()
    if run is None:
        raise NotFound
    wanted = min(run.event_seq - after, limit or _ALL)
    if wanted <= 0:
        return []
    events = list(run_events(run_id, after=after, limit=limit or _ALL))
    if not events or events[0].seq != after + 1:
        # What a retry added later is in the table; what was before it, in the archive.
        events = [*_archived(run_id, after, before=events[0].seq if events else _ALL), *events][:limit]
    if len(events) < wanted or [event.seq for event in events] != list(range(after + 1, after + 1 + len(events))):
        raise HistoryDamaged
    return events


def history_facts(run_id: UUID, *, until: int | None = None) -> list[Fact]:
    """Return the history as the engine folds it, up to event number ``until``. Raises what `run_history` does."""
    return [Fact(event.type, event.step_key, event.attempt, event.data) for event in run_history(run_id, limit=until)]


def _archived(run_id: UUID, after: int, before: int) -> list[EventDetail]:
    if run_id.version != 7:
        return []
    own = RunArchive.objects.filter(organization_id=current_organization_id(), month=month_of(run_id))
    row = own.filter(first_run_id__lte=run_id).order_by("-first_run_id").first()
    if row is None or row.last_run_id < run_id:
        return []
    return [event for event in object_events(row, run_id) if after < event.seq < before]
