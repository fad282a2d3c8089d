"""Messages to the workers. Losing or doubling one is harmless: the runs table is the truth, the reaper repeats."""

import logging
from uuid import UUID

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from kombu.exceptions import KombuError

from workflows_app.models import WorkflowRun

ADVANCE = "workflows.advance"

logger = logging.getLogger(__name__)


def dispatch_later(run: WorkflowRun) -> None:
    """Send the run's message once the open transaction has committed. A broker that is down does not stop the start."""
    transaction.on_commit(lambda: _dispatch_now(run.id, run.organization_id, run.user_id), robust=True)


def message_send(run_id: UUID, organization_id: UUID, user_id: UUID | None) -> bool:
    """Send one ``advance`` message; False, and a line in the log, when the broker does not take it."""
    ids = {"run_id": str(run_id), "organization_id": str(organization_id), "user_id": str(user_id) if user_id else None}
    try:
        current_app.send_task(ADVANCE, kwargs=ids, queue=settings.WORKFLOW_QUEUE, retry=False)
    except (KombuError, OSError) as error:
        logger.warning("workflow.dispatch_failed", extra={"run_id": str(run_id), "error": str(error)})
        return False
    return True


def _dispatch_now(run_id: UUID, organization_id: UUID, user_id: UUID | None) -> None:
    if message_send(run_id, organization_id, user_id):
        with transaction.atomic():
            # Unless a worker was faster: a claimed run awaits no message.
            WorkflowRun.objects.filter(pk=run_id, lease_until__isnull=True, dispatched_at__isnull=True).update(
                dispatched_at=Now(), dispatches=1
            )
