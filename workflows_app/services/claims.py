"""Who may work on a run: claims with a lease, the database's clock, and a token that fences older ones."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, IntegerField, Q, Value, When
from django.db.models.functions import Now

from accounts_app.tenancy.context import current_organization_id
from workflows_app.contracts import StepSpec
from workflows_app.exceptions import LeaseLost
from workflows_app.models import RunStatus, StepRun, WorkflowRun
from workflows_app.services.steps import STEP_COLUMNS, next_step

# 1 for a run whose holder let its lease run out, else 0.
_WAS_HELD = Case(When(lease_until__isnull=False, then=Value(1)), default=Value(0), output_field=IntegerField())
_PARKED = (RunStatus.WAITING, RunStatus.PAUSED)


@dataclass(frozen=True)
class Claim:
    """A run in this worker's hands. ``step_run`` is the attempt to carry out, None when only the end is to be told.

    ``taken_over``: another worker was on this step before, so its text begins again.
    """

    run: WorkflowRun
    step_run: StepRun | None
    taken_over: bool = False

    @property
    def token(self) -> int:
        """What every write of this claim must show."""
        return self.run.token

    @property
    def step(self) -> StepSpec:
        """The step at the cursor."""
        return StepSpec.from_json(self.run.steps[self.run.cursor])


def lease_length() -> timedelta:
    """How long a claim holds without being renewed."""
    return timedelta(seconds=settings.WORKFLOW_LEASE_SECONDS)


def unheld() -> Q:
    """Runs with something left to do that no worker holds."""
    return _to_do() & (Q(lease_until__isnull=True) | Q(lease_until__lt=Now()))


def claimable() -> Q:
    """Runs with something left to do that no worker holds, and that have not brought down too many workers."""
    abandoned = Q(lease_until__lt=Now(), crash_attempts__lt=settings.WORKFLOW_MAX_CRASHES)
    return _to_do() & (Q(lease_until__isnull=True) | abandoned)


def _to_do() -> Q:
    return Q(announced_at__isnull=True) & ~Q(status__in=_PARKED)


@transaction.atomic
def run_claim(run_id: UUID) -> Claim | None:
    """Take the run, if it is free or its holder has been silent for a lease; None otherwise. Starts its next step."""
    mine = WorkflowRun.objects.filter(organization_id=current_organization_id(), pk=run_id)
    # One statement decides between any number of workers; PostgreSQL re-checks the condition after a lock wait.
    taken = mine.filter(claimable()).update(
        token=F("token") + 1,
        lease_until=Now() + lease_length(),
        crash_attempts=F("crash_attempts") + _WAS_HELD,
        dispatched_at=None,
        dispatches=0,
    )
    if not taken:
        return None
    run = mine.get()
    if run.is_finished:
        return Claim(run, None)
    step_run, taken_over = next_step(run)
    if not run.is_finished:
        run.save(update_fields=STEP_COLUMNS)
    return Claim(run, step_run, taken_over)


def run_hold(claim: Claim) -> WorkflowRun:
    """Lock the claimed run for writing, in the open transaction, and renew its lease. Raises LeaseLost when fenced."""
    held = WorkflowRun.objects.select_for_update().filter(
        pk=claim.run.pk, token=claim.token, cursor=claim.run.cursor, status=claim.run.status
    )
    run = held.first()
    if run is None:
        raise LeaseLost
    return run
