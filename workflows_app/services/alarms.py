"""Beat's rows for schedules. They belong to no organization, so they say nothing but which schedule to look at."""

import json
from uuid import UUID

from django_celery_beat.models import CrontabSchedule, PeriodicTask

from workflows_app.models import WorkflowSchedule
from workflows_app.services.cron import Cron, cron_parsed

TICK = "workflows.schedule_tick"
# A ring that waited longer than this (seconds) is not needed: the sweep has come by.
EXPIRES_SECONDS = 60
_EVERY = {"minutes": 60, "hours": 24, "days": 31, "months": 12, "weekdays": 7}


def alarm_set(schedule: WorkflowSchedule) -> None:
    """Have beat ring at the schedule's times, or keep still where it is paused."""
    cron = cron_parsed(schedule.cron, schedule.timezone)
    times = {
        "minute": _field(cron, "minutes"),
        "hour": _field(cron, "hours"),
        "day_of_month": _field(cron, "days"),
        "month_of_year": _field(cron, "months"),
        "day_of_week": _field(cron, "weekdays"),
        "timezone": schedule.timezone,
    }
    # Nothing keeps two of the same from being made at once; either will do.
    clock = CrontabSchedule.objects.filter(**times).first() or CrontabSchedule.objects.create(**times)
    wanted = {
        "task": TICK,
        "crontab": clock,
        "kwargs": json.dumps({"schedule_id": str(schedule.id)}),
        "queue": "work",
        "expire_seconds": EXPIRES_SECONDS,
        "enabled": schedule.is_active,
    }
    PeriodicTask.objects.update_or_create(name=_name(schedule.id), defaults=wanted)


def alarm_remove(schedule_id: UUID) -> None:
    """Take the schedule's row away."""
    PeriodicTask.objects.filter(name=_name(schedule_id)).delete()


def _name(schedule_id: UUID) -> str:
    return f"schedule:{schedule_id}"


def _field(cron: Cron, name: str) -> str:
    # Numbers alone, so that beat's parser and ours cannot come to different ones.
    numbers = getattr(cron, name)
    return "*" if len(numbers) == _EVERY[name] else ",".join(map(str, sorted(numbers)))
