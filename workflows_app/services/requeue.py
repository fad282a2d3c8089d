"""An operator's hand on runs that got stuck."""

from uuid import UUID

from django.db import transaction

from accounts_app.services.audit import audit_record
from workflows_app.models import WorkflowRun
from workflows_app.services.claims import unheld
from workflows_app.services.dispatch import dispatch_later


@transaction.atomic
def runs_requeue(*, run_ids: list[UUID]) -> int:
    """Send the runs to the workers again, with a clean count of take-overs; in an operator context, audited.

    Runs that a worker holds, or that have nothing left to do, are left alone. Returns how many were sent.
    """
    stuck = WorkflowRun.objects.filter(unheld(), pk__in=run_ids).select_for_update()
    for run in stuck:
        WorkflowRun.objects.filter(pk=run.pk).update(
            lease_until=None, dispatched_at=None, dispatches=0, crash_attempts=0
        )
        data = {"organization": str(run.organization_id), "status": run.status, "cursor": run.cursor}
        audit_record(action="run.requeue", target_type="workflow_run", target_id=run.pk, data=data)
        dispatch_later(run)
    return len(stuck)
