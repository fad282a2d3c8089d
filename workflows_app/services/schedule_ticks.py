"""What happens when a schedule's time has come: a run starts, once, or the schedule says why none did."""

import logging
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import override

from accounts_app.exceptions import DeepSpaceError, NotFound
from accounts_app.selectors import member_list
from accounts_app.services.principals import can_write
from accounts_app.tenancy.context import Tenant, operator_atomic, tenant_atomic
from workflows_app.exceptions import ScheduleRefused
from workflows_app.models import Misfire, WorkflowRun, WorkflowSchedule
from workflows_app.models.run import UNFINISHED
from workflows_app.services.backpressure import queue_admit
from workflows_app.services.cron import cron_parsed
from workflows_app.services.runs import execution_start
from workflows_app.services.schedules import run_key

logger = logging.getLogger(__name__)

# A due time that passed longer ago than this was missed: beat, broker or workers were away.
GRACE = timedelta(seconds=60)
# The sweep leaves a due time to its alarm for so long.
ALARM_PATIENCE = timedelta(seconds=5)


def schedule_tick(*, schedule_id: UUID, now: datetime | None = None) -> UUID | None:
    """Start what the schedule is due for; returns the run's id, None when nothing was due or could start.

    In an operator context, with no transaction open. Rung twice, or by two at once, it starts once.
    """
    now = now or datetime.now(UTC)
    with operator_atomic("workflow-schedules"):
        row = WorkflowSchedule.objects.filter(pk=schedule_id).values_list("organization_id", "user_id").first()
    if row is None:
        return None
    organization_id, user_id = row
    with tenant_atomic(organization_id, user_id):
        due = WorkflowSchedule.objects.filter(pk=schedule_id, is_active=True, next_run_at__lte=now)
        schedule = due.select_for_update(skip_locked=True).first()
        return _carried_out(schedule, now) if schedule else None


def schedules_sweep(*, now: datetime | None = None, limit: int = 200) -> int:
    """Start what is due although nothing rang for it; in an operator context. Returns how many were looked at."""
    now = now or datetime.now(UTC)
    with operator_atomic("workflow-schedules"):
        overdue = WorkflowSchedule.objects.filter(is_active=True, next_run_at__lte=now - ALARM_PATIENCE)
        found = list(overdue.order_by("next_run_at").values_list("id", flat=True)[:limit])
    for schedule_id in found:
        try:
            schedule_tick(schedule_id=schedule_id, now=now)
        except Exception:  # one that cannot be carried out does not hold up the others
            logger.exception("schedule.failed", extra={"schedule_id": str(schedule_id)})
    return len(found)


def _carried_out(schedule: WorkflowSchedule, now: datetime) -> UUID | None:
    cron = cron_parsed(schedule.cron, schedule.timezone)
    due = schedule.next_run_at
    if due is not None and due < now - GRACE and schedule.misfire == Misfire.SKIP:
        # The newest of the times that passed may not be missed yet.
        due = cron.after(now - GRACE)
    schedule.next_run_at = cron.after(now)
    run_id = None
    with override((schedule.user and schedule.user.language) or None):
        try:
            run_id = _started(schedule, due, now)
        except DeepSpaceError as error:
            logger.warning("schedule.refused", extra={"schedule_id": str(schedule.id), "code": error.code})
            schedule.last_error = {"code": error.code, "message": error.message, "at": now.isoformat()}
    schedule.save(update_fields=["next_run_at", "last_run_at", "last_run_id", "last_error", "updated_at"])
    return run_id


def _started(schedule: WorkflowSchedule, due: datetime | None, now: datetime) -> UUID:
    if due is None or due > now:
        raise ScheduleRefused(_("The system was away at this time, and missed times are left out."))
    _refuse_overlap(schedule)
    tenant = _acting(schedule)
    try:
        with transaction.atomic(), tenant_atomic(schedule.organization_id, tenant.user_id, tenant.role):
            queue_admit()
            key = run_key(schedule.id, due.astimezone(UTC).isoformat())
            run = execution_start(template=schedule.template, context=schedule.input, key=key)
    except NotFound as error:
        message = _("The workflow “%(template)s” is not there or not in use any more.")
        raise ScheduleRefused(message % {"template": schedule.template}) from error
    schedule.last_run_at, schedule.last_run_id, schedule.last_error = due, run.id, None
    return run.id


def _refuse_overlap(schedule: WorkflowSchedule) -> None:
    own = WorkflowRun.objects.filter(organization_id=schedule.organization_id, status__in=UNFINISHED)
    unfinished = own.filter(idempotency_key__startswith=run_key(schedule.id, "")).count()
    if unfinished >= schedule.max_overlap:
        raise ScheduleRefused(_("Earlier runs had not finished: %(count)d.") % {"count": unfinished})


def _acting(schedule: WorkflowSchedule) -> Tenant:
    """Return the person for whom the schedule acts, with today's role. Raises ScheduleRefused."""
    member = member_list().filter(user=schedule.user, user__is_active=True).first() if schedule.user else None
    tenant = Tenant(schedule.organization_id, schedule.user_id, member.role if member else "")
    if not can_write(tenant):
        message = _("Whoever saved this schedule last may not start workflows here any more. Save it again.")
        raise ScheduleRefused(message)
    return tenant
