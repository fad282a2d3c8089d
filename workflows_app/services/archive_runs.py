"""Which runs of a month no object of the archive holds yet, with their events."""

from collections.abc import Iterator
from datetime import date
from itertools import groupby
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from workflows_app.models import RunArchive, RunEvent, WorkflowRun
from workflows_app.services.archive_objects import RunLines, event_line, month_ids

# Events are read in portions of runs that have about so many.
PORTION = 2_000


class RunDamaged(Exception):
    """The run's events are not whole: a hole, a broken chain, or others than its row says."""

    def __init__(self, run_id: UUID) -> None:
        super().__init__(run_id)
        self.run_id = run_id


def runs_missing(organization_id: UUID, month: date) -> Iterator[RunLines]:
    """Yield the runs that no object holds yet, in the order of their ids."""
    begin, end = month_ids(month)
    with transaction.atomic():
        rows = RunArchive.objects.filter(organization_id=organization_id, month=month)
        last = rows.order_by("-last_run_id").values_list("last_run_id", flat=True).first()
    own = WorkflowRun.objects.filter(organization_id=organization_id, id__lt=end, event_seq__gt=0).order_by("id")
    left = own.filter(id__gt=last) if last else own.filter(id__gte=begin)
    while runs := _portion(left):
        yield from _lines(organization_id, runs)
        left = own.filter(id__gt=runs[-1].id)


@transaction.atomic
def _portion(left: QuerySet[WorkflowRun]) -> list[WorkflowRun]:
    """The next runs, with at least one and about `PORTION` events."""
    runs: list[WorkflowRun] = []
    events = 0
    for run in left.only("id", "event_seq", "last_event_id")[:PORTION]:
        if runs and events + run.event_seq > PORTION:
            break
        runs.append(run)
        events += run.event_seq
    return runs


def _lines(organization_id: UUID, runs: list[WorkflowRun]) -> Iterator[RunLines]:
    with transaction.atomic():
        within = RunEvent.objects.filter(organization_id=organization_id, run_id__in=[run.id for run in runs])
        # The range lets the database look into one month only.
        within = within.filter(run_id__gte=runs[0].id, run_id__lte=runs[-1].id)
        rows = list(within.order_by("run_id", "seq"))
    found = {run_id: list(events) for run_id, events in groupby(rows, key=lambda event: event.run_id)}
    for run in runs:
        events = found.get(run.id, [])
        if not _is_chain(events, run.event_seq, run.last_event_id):
            raise RunDamaged(run.id)
        yield RunLines(run.id, [event_line(event) for event in events])


def _is_chain(events: list[RunEvent], seq: int, last_event_id: UUID | None) -> bool:
    """Whether the events are all of the run's, each chained to the one before."""
    ids = [None, *(event.id for event in events)]
    numbers = [event.seq for event in events] == list(range(1, seq + 1))
    return numbers and ids[-1] == last_event_id and [event.prev_event_id for event in events] == ids[:-1]
