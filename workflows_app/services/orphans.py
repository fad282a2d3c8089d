"""Live streams that nobody is going to close: of runs that were never started, or have told their end elsewhere."""

import logging
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from accounts_app.tenancy.context import tenant_context
from gateway_app.services.streams import OpenStream, StreamPublisher, streams_open
from workflows_app.contracts import Json
from workflows_app.models import WorkflowRun

logger = logging.getLogger(__name__)

# Longer than it takes to open a stream and start its run.
_GRACE = timedelta(hours=1)


def streams_tidy() -> int:
    """Close open streams whose run does not exist or is over, and store what waiting runs have published.

    In an operator context, no transaction open. Redis keeps the events of a silent stream for a day; a run may wait
    for its person for longer. Returns how many were closed.
    """
    closed, last, before = 0, None, timezone.now() - _GRACE
    while streams := streams_open(before=before, after=last):
        runs = _runs_of([stream.id for stream in streams])
        closed += sum(_tidied(stream, runs.get(stream.id)) for stream in streams)
        last = streams[-1].id
    return closed


@transaction.atomic
def _runs_of(stream_ids: list[UUID]) -> dict[UUID | None, WorkflowRun]:
    return {run.stream_id: run for run in WorkflowRun.objects.filter(stream_id__in=stream_ids)}


def _tidied(stream: OpenStream, run: WorkflowRun | None) -> bool:
    # A run that a worker still has to carry on, or whose end it still has to tell, keeps its stream.
    is_over = run is None or (run.is_finished and run.announced_at is not None)
    try:
        with tenant_context(stream.organization_id, stream.user_id):
            publisher = StreamPublisher(stream.id)
            if is_over:
                outcome: Json = {"status": "abandoned"} if run is None else {"run_id": run.id, "status": run.status}
                publisher.close(outcome)
            else:
                publisher.keep()
    except Exception:
        logger.exception("workflow.stream_not_tidied", extra={"stream_id": str(stream.id)})
        return False
    return is_over
