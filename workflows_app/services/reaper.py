"""Brings back what got lost: messages that never came, workers that went away, runs that kill their workers."""

import logging
from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F, Q, QuerySet, Value
from django.db.models.functions import Least, Now, Power
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts_app.services.trace import bind_trace
from accounts_app.tenancy.context import tenant_context
from workflows_app.models import RunStatus, StepRun, StepStatus, WorkflowRun
from workflows_app.services.claims import claimable, lease_length
from workflows_app.services.dispatch import message_send
from workflows_app.services.steps import next_step, step_failed

logger = logging.getLogger(__name__)

# A message that waits in a long queue is not lost: each silence is given twice the time of the one before.
_MAX_PATIENCE = 40
# A step that waits for a provider which says nothing cannot ask whether it should stop. Its late result is fenced.
_CANCEL_PATIENCE = timedelta(seconds=3)


def runs_reap(*, limit: int = 200) -> int:
    """End what will not end by itself, send again what no worker has; in an operator context. Returns how many."""
    _end_by_force(limit)
    sent = 0
    for run in _due(limit):
        if not message_send(run.id, run.organization_id, run.user_id):
            _not_sent(run)
            break
        sent += 1
    return sent


@transaction.atomic
def _due(limit: int) -> list[WorkflowRun]:
    """Mark as sent what is to be sent: two reapers share the work, and skip each other's rows."""
    patience = ExpressionWrapper(
        Value(lease_length()) * Least(Power(Value(2.0), F("dispatches")), Value(float(_MAX_PATIENCE))), DurationField()
    )
    silent = Q(dispatched_at__isnull=True) | Q(dispatched_at__lt=Now() - patience)
    due = WorkflowRun.objects.filter(claimable()).filter(silent).order_by("created_at")
    runs = list(due.select_for_update(skip_locked=True)[:limit])
    ids = [run.pk for run in runs]
    WorkflowRun.objects.filter(pk__in=ids).update(dispatched_at=Now(), dispatches=F("dispatches") + 1)
    return runs


@transaction.atomic
def _not_sent(run: WorkflowRun) -> None:
    WorkflowRun.objects.filter(pk=run.pk, lease_until=run.lease_until, token=run.token).update(dispatched_at=None)


def _end_by_force(limit: int) -> None:
    """End what will not end by itself: runs that no worker survives, and cancelled ones whose step does not listen."""
    poison = Q(lease_until__lt=Now(), crash_attempts__gte=settings.WORKFLOW_MAX_CRASHES)
    deaf = Q(cancel_requested_at__lt=Now() - _CANCEL_PATIENCE)
    running = WorkflowRun.objects.filter(announced_at__isnull=True, status=RunStatus.RUNNING)
    _each_ended(running.filter(poison), _give_up, limit)
    _each_ended(running.filter(deaf), next_step, limit)


@transaction.atomic
def _each_ended(runs: QuerySet[WorkflowRun], end: Callable[[WorkflowRun], object], limit: int) -> None:
    for run in runs.order_by("created_at").select_for_update(skip_locked=True)[:limit]:
        logger.warning("workflow.ended_by_force", extra={"run_id": str(run.pk), "crash_attempts": run.crash_attempts})
        try:
            # A savepoint each, so that one that cannot be ended does not hold up the others.
            with transaction.atomic(), bind_trace(run.trace_id), override(run.language or None):
                # Whoever may come back is fenced.
                run.token += 1
                with tenant_context(run.organization_id, run.user_id):
                    end(run)
                WorkflowRun.objects.filter(pk=run.pk).update(lease_until=None, dispatched_at=None, crash_attempts=0)
        except Exception:
            logger.exception("workflow.end_failed", extra={"run_id": str(run.pk)})


def _give_up(run: WorkflowRun) -> None:
    error = {"code": "worker_lost", "message": _("Worker after worker went away at this step; it was given up.")}
    step_failed(run, StepRun.objects.get(run=run, status=StepStatus.RUNNING), error)
