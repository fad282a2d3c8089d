"""An operator's hand on runs that got stuck."""

from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts_app.services.audit import audit_record
from workflows_app.models import WorkflowRun
from workflows_app.services.dispatch import ring_later


@transaction.atomic
def runs_requeue(*, run_ids: list[UUID]) -> int:
    """Put runs that want a worker at the head of the queue, with a clean count of take-overs; audited.

    In an operator context. Runs that a worker holds, that wait, or that have nothing left to do are left alone.
    Returns how many were put there.
    """
    stuck = WorkflowRun.objects.filter(Q(is_ready=True) | Q(lease_until__lt=Now()), pk__in=run_ids)
    for run in stuck.select_for_update():
        first = WorkflowRun.objects.filter(pk=run.pk)
        first.update(lease_until=None, is_ready=True, crash_attempts=0, queue_rank=0)
        data = {"organization": str(run.organization_id), "status": run.status, "cursor": run.cursor}
        audit_record(action="run.requeue", target_type="workflow_run", target_id=run.pk, data=data)
    ring_later()
    return len(stuck)
