from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db.models import Avg, Count, Q
from django.utils import timezone

from accounts_app.tenancy.context import current_organization_id
from billing_app.selectors import cost_between
from tasks_app.models import Task, TaskStatus


@dataclass(frozen=True)
class WeekMetrics:
    """The dashboard's figures of the week that began on ``since`` (Monday, UTC).

    ``cost_usd`` is what all model calls of the organization cost. ``completion_rate`` (0 to 1) is the share of the
    tasks made this week that are completed, None without any; ``average_stages`` is the mean number of stages run,
    over those of them that ran one, None without any.
    """

    since: date
    cost_usd: Decimal
    tasks: int
    completion_rate: float | None
    average_stages: float | None


def week_metrics(today: date | None = None) -> WeekMetrics:
    """Return the week's figures: the cost from the daily roll-up, the rest from one indexed range of tasks."""
    today = today or timezone.now().date()
    monday = today - timedelta(days=today.weekday())
    organization_id = current_organization_id()
    # The index task_newest serves the range; a week's tasks are few.
    made = Task.objects.filter(
        organization_id=organization_id, created_at__gte=datetime.combine(monday, time.min, tzinfo=UTC)
    )
    counts = made.aggregate(
        tasks=Count("id"),
        completed=Count("id", filter=Q(status=TaskStatus.COMPLETED)),
        average=Avg("stages_count", filter=Q(stages_count__gt=0)),
    )
    return WeekMetrics(
        since=monday,
        cost_usd=cost_between(organization_id, monday, today),
        tasks=counts["tasks"],
        completion_rate=counts["completed"] / counts["tasks"] if counts["tasks"] else None,
        average_stages=counts["average"],
    )
