"""Brings back what got lost: workers that went away, timers that are due, runs that kill their workers, lost rings."""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts_app.services.trace import bind_trace
from accounts_app.tenancy.context import tenant_context
from config.broker import broker_errors, queue_depths
from workflows_app.engine.machine import Machine
from workflows_app.metrics import forced_end_counted
from workflows_app.models import RunStatus, WorkflowRun
from workflows_app.models.run import FINISHED, UNFINISHED
from workflows_app.services.controls import run_cancel
from workflows_app.services.dispatch import ring_through_broker
from workflows_app.services.store import machine_of, machine_write

logger = logging.getLogger(__name__)

# A step that waits for a provider which says nothing cannot ask whether it should stop. Its late result is fenced.
_CANCEL_PATIENCE = timedelta(seconds=3)
# More rings than this need not lie in the broker: each that is heard makes a worker empty the queue.
MOST_RINGS = 64


def runs_reap(*, limit: int = 200) -> int:
    """End what will not end by itself, wake what is due, ring for what nobody takes; in an operator context.

    Returns how often it rang. Several reapers share the work: each skips the rows that another has locked.
    """
    _end_by_force(limit)
    _cancel_orphans(limit)
    _wake(limit)
    return _ring_for_the_rest()


@transaction.atomic
def _wake(limit: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT workflow_wake(%s, %s)", [settings.WORKFLOW_MAX_CRASHES, limit])


def _ring_for_the_rest() -> int:
    with transaction.atomic():
        ready = WorkflowRun.objects.filter(is_ready=True)[:MOST_RINGS].count()
    rings = max(0, min(ready, MOST_RINGS - _lying_in_the_broker())) if ready else 0
    return sum(ring_through_broker() for _ in range(rings))


def _lying_in_the_broker() -> int:
    try:
        return queue_depths([settings.WORKFLOW_QUEUE])[settings.WORKFLOW_QUEUE]
    except broker_errors():  # it is away: a ring will tell
        return 0


def _end_by_force(limit: int) -> None:
    """End what will not end by itself: runs that no worker survives, and cancelled ones whose step does not listen."""
    poison = Q(lease_until__lt=Now(), crash_attempts__gte=settings.WORKFLOW_MAX_CRASHES)
    deaf = Q(cancel_requested_at__lt=Now() - _CANCEL_PATIENCE)
    held = WorkflowRun.objects.filter(lease_until__isnull=False)
    _each_ended(held.filter(poison, status__in=UNFINISHED), _give_up, limit, "poison")
    _each_ended(held.filter(deaf, status=RunStatus.RUNNING), lambda machine: machine.claimed(), limit, "deaf")


def _each_ended(runs: QuerySet[WorkflowRun], end: Callable[[Machine], object], limit: int, why: str) -> None:
    with transaction.atomic():
        for run in runs.order_by("created_at").select_for_update(skip_locked=True)[:limit]:
            crashes = run.crash_attempts
            logger.warning("workflow.ended_by_force", extra={"run_id": str(run.pk), "crash_attempts": crashes})
            try:
                # A savepoint each, so that one that cannot be ended does not hold up the others.
                with (
                    transaction.atomic(),
                    bind_trace(run.trace_id),
                    override(run.language or None),
                    tenant_context(run.organization_id, run.user_id),
                ):
                    machine = machine_of(run)
                    end(machine)
                    # Whoever may come back is fenced.
                    machine_write(run, machine, lease=0, token_next=run.token + 1, crash_attempts=0)
                    forced_end_counted(why=why)
            except Exception:
                logger.exception("workflow.end_failed", extra={"run_id": str(run.pk)})


def _give_up(machine: Machine) -> None:
    message = _("Worker after worker went away at this step; it was given up.")
    machine.given_up({"code": "worker_lost", "message": message})


def _cancel_orphans(limit: int) -> None:
    """Cancel what nobody waits for any more: children of runs that have ended. Not under the parent's lock."""
    with transaction.atomic():
        over = Q(parent__status__in=FINISHED) | Q(parent__cancel_requested_at__isnull=False)
        orphans = WorkflowRun.objects.filter(over, status__in=UNFINISHED, cancel_requested_at__isnull=True)
        found = list(orphans.order_by("created_at").values_list("id", "organization_id", "user_id")[:limit])
    for run_id, organization_id, user_id in found:
        with tenant_context(organization_id, user_id), transaction.atomic():
            run_cancel(run_id=run_id)
