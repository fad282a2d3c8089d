"""Reads of schedules, in a bound tenant."""

from datetime import UTC, datetime
from uuid import UUID

from django.db.models import QuerySet

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id
from workflows_app.models import WorkflowSchedule
from workflows_app.services.cron import cron_parsed

PREVIEWED = 5


def schedule_list(*, is_active: bool | None = None) -> QuerySet[WorkflowSchedule]:
    """Return the organization's schedules, newest first."""
    rows = WorkflowSchedule.objects.filter(organization_id=current_organization_id())
    return rows if is_active is None else rows.filter(is_active=is_active)


def schedule_get(schedule_id: UUID) -> WorkflowSchedule:
    """Return one of the organization's schedules. Raises NotFound."""
    schedule = schedule_list().filter(pk=schedule_id).first()
    if schedule is None:
        raise NotFound
    return schedule


def upcoming(cron: str, timezone: str, count: int = PREVIEWED) -> list[datetime]:
    """Return the next moments of an expression, each in its time zone. Raises InvalidInput."""
    parsed = cron_parsed(cron, timezone)
    return [moment.astimezone(parsed.zone) for moment in parsed.upcoming(datetime.now(UTC), count)]
