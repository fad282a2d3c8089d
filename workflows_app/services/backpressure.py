"""How many runs of one organization may stand in the queue. Beyond that, starts are refused instead of piled up."""

import threading
import time
from dataclasses import dataclass, field
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext as _

from accounts_app.tenancy.context import current_organization_id
from workflows_app.exceptions import QueueFull
from workflows_app.models import WorkflowRun

# So long a count is believed where it leaves room: starts do not each pay for counting the queue that they join.
BELIEVED_SECONDS = 1.0
_MOST_KEPT = 1000


@dataclass
class _Counts:
    """The last counts by organization, and what was admitted since, as far as this process knows."""

    by_organization: dict[UUID, tuple[float, int]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def leaves_room(self, organization_id: UUID, below: float) -> bool:
        """Whether a recent count, and one run more, are below; then that run is counted too."""
        with self.lock:
            counted_at, count = self.by_organization.get(organization_id, (0.0, 0))
            if not counted_at or time.monotonic() - counted_at >= BELIEVED_SECONDS or count + 1 >= below:
                return False
            self.by_organization[organization_id] = (counted_at, count + 1)
            return True

    def keep(self, organization_id: UUID, count: int) -> None:
        with self.lock:
            if len(self.by_organization) >= _MOST_KEPT:
                self.by_organization.clear()
            self.by_organization[organization_id] = (time.monotonic(), count)


_counts = _Counts()


def queue_admit() -> None:
    """Raise QueueFull when the bound organization has more than WORKFLOW_MAX_QUEUED runs that wait for a worker.

    Needs a transaction. While nine tenths of the queue are not full, a count of the last second is enough.
    """
    limit: int = settings.WORKFLOW_MAX_QUEUED
    if not limit:
        return
    organization_id = current_organization_id()
    if _counts.leaves_room(organization_id, limit * 0.9):
        return
    count = queue_length(limit=limit + 1)
    _counts.keep(organization_id, count)
    if count > limit:
        raise QueueFull(_("More than %(limit)d runs wait for a worker already.") % {"limit": limit})


def queue_length(*, limit: int) -> int:
    """Return how many runs of the bound organization are ready and wait for a worker; ``limit`` when there are more."""
    ready = WorkflowRun.objects.filter(organization_id=current_organization_id(), is_ready=True)
    return ready.order_by().values("queue_rank")[:limit].count()
