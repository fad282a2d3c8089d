"""Schedules as people manage them. Each change is audited, and beat's alarm follows it in the same transaction."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import Conflict, InvalidInput, NotFound
from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id, current_tenant
from workflows_app.contracts import Json, RunRef
from workflows_app.models import Misfire, WorkflowSchedule
from workflows_app.services.alarms import alarm_remove, alarm_set
from workflows_app.services.backpressure import queue_admit
from workflows_app.services.cron import cron_parsed
from workflows_app.services.runs import execution_start, template_id

# Beat keeps all active ones in memory.
MOST_SCHEDULES = 200


@dataclass(frozen=True)
class ScheduleFields:
    """What a schedule is made of. ``template`` is a name (its newest version), name@version or an id."""

    name: str
    template: str
    cron: str
    timezone: str = "UTC"
    input: Json = field(default_factory=dict)
    misfire: str = Misfire.ONCE.value
    max_overlap: int = 1


@transaction.atomic
def schedule_create(*, fields: ScheduleFields, is_active: bool = True) -> WorkflowSchedule:
    """Make a schedule that acts for the bound person. Raises InvalidInput (cron, time zone, template), Conflict (name).

    An organization has at most `MOST_SCHEDULES`; one more raises Conflict.
    """
    if WorkflowSchedule.objects.filter(organization_id=current_organization_id()).count() >= MOST_SCHEDULES:
        raise Conflict(_("There are %(most)d schedules already; remove one first.") % {"most": MOST_SCHEDULES})
    schedule = WorkflowSchedule(organization_id=current_organization_id(), is_active=is_active)
    return _saved(schedule, vars(fields), "schedule.create")


@transaction.atomic
def schedule_change(*, schedule_id: UUID, changes: dict[str, Any]) -> WorkflowSchedule:
    """Change some of `ScheduleFields`; from now on the schedule acts for the bound person.

    Times count from now: what was missed is forgotten. Raises NotFound, InvalidInput, Conflict (name).
    """
    return _saved(schedule_locked(schedule_id), changes, "schedule.change")


@transaction.atomic
def schedule_pause(*, schedule_id: UUID) -> WorkflowSchedule:
    """Let no due time start anything until `schedule_resume`. Raises NotFound."""
    schedule = schedule_locked(schedule_id)
    return _switched(schedule, "schedule.pause", is_active=False) if schedule.is_active else schedule


@transaction.atomic
def schedule_resume(*, schedule_id: UUID) -> WorkflowSchedule:
    """Go on from the next due time; those that passed in the meantime start nothing. Raises NotFound."""
    schedule = schedule_locked(schedule_id)
    return schedule if schedule.is_active else _switched(schedule, "schedule.resume", is_active=True)


@transaction.atomic
def schedule_remove(*, schedule_id: UUID) -> None:
    """Remove a schedule; its runs stay. Raises NotFound."""
    schedule = schedule_locked(schedule_id)
    alarm_remove(schedule.id)
    schedule.delete()
    _audited("schedule.remove", schedule_id, {"name": schedule.name})


@transaction.atomic
def schedule_start_now(*, schedule_id: UUID, key: str = "") -> RunRef:
    """Start its workflow at once, besides its times, also where it is paused; once for each ``key``.

    Raises NotFound (schedule or template), Conflict (the key was used for something else), QueueFull.
    """
    schedule = schedule_locked(schedule_id)
    queue_admit()
    run = execution_start(
        template=schedule.template, context=schedule.input, key=run_key(schedule_id, f"now:{key or uuid4()}")
    )
    WorkflowSchedule.objects.filter(pk=schedule_id).update(last_run_at=datetime.now(UTC), last_run_id=run.id)
    return run


def schedule_locked(schedule_id: UUID) -> WorkflowSchedule:
    """Return the bound organization's schedule, to be written. Raises NotFound."""
    own = WorkflowSchedule.objects.filter(organization_id=current_organization_id(), pk=schedule_id)
    schedule = own.select_for_update().first()
    if schedule is None:
        raise NotFound
    return schedule


def run_key(schedule_id: UUID, due: str) -> str:
    """Return the idempotency key of the run of one due time: a second ring finds the run of the first."""
    return f"schedule:{schedule_id}:{due}"


def _saved(schedule: WorkflowSchedule, changes: dict[str, Any], action: str) -> WorkflowSchedule:
    for name, value in changes.items():
        setattr(schedule, name, value)
    if "template" in changes:
        _check_template(schedule.template)
    schedule.user_id = current_tenant().user_id
    schedule.last_error = None
    schedule.next_run_at = cron_parsed(schedule.cron, schedule.timezone).after(datetime.now(UTC))
    try:
        with transaction.atomic():
            schedule.save()
    except IntegrityError as error:
        raise Conflict(_("There is a schedule of this name already.")) from error
    alarm_set(schedule)
    _audited(action, schedule.id, {"fields": sorted(changes)})
    return schedule


def _switched(schedule: WorkflowSchedule, action: str, *, is_active: bool) -> WorkflowSchedule:
    schedule.is_active = is_active
    schedule.next_run_at = cron_parsed(schedule.cron, schedule.timezone).after(datetime.now(UTC)) if is_active else None
    schedule.save(update_fields=["is_active", "next_run_at", "updated_at"])
    alarm_set(schedule)
    _audited(action, schedule.id, {})
    return schedule


def _check_template(reference: str) -> None:
    try:
        template_id(reference)
    except NotFound as error:
        message = _("There is no published workflow of this name.")
        raise InvalidInput.for_field("template", message) from error


def _audited(action: str, schedule_id: UUID, data: Json) -> None:
    audit_record(action=action, target_type="workflow_schedule", target_id=schedule_id, data=data)
