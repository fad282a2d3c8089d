"""How the executions of a span of time went: one pass over them, by day and by template."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection

from accounts_app.tenancy.context import current_organization_id
from workflows_app.models import RunStatus, WorkflowConfig

# Runs of runs are in their parents' figures: neither a failure nor a cost is counted twice.
_GROUPED = """
    SELECT grouping(config_id), grouping(day), config_id, day,
           {counts},
           sum(cost_usd),
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE status = 'completed')
    FROM (
        SELECT config_id, (created_at AT TIME ZONE 'UTC')::date AS day, status, cost_usd,
               extract(epoch FROM finished_at - coalesce(started_at, created_at))::double precision AS seconds
        FROM workflow_runs
        WHERE organization_id = %(organization)s AND parent_id IS NULL
          AND created_at >= %(since)s AND created_at < %(until)s
          AND (%(configs)s::uuid[] IS NULL OR config_id = ANY(%(configs)s::uuid[]))
    ) AS run
    GROUP BY GROUPING SETS ((), (config_id), (day))
    ORDER BY 1, 2, day, config_id
"""


@dataclass(frozen=True)
class Figures:
    """How runs went. ``success_rate`` (0 to 1) is of those that completed or failed, None without any.

    ``p50_ms`` and ``p95_ms`` are of completed runs, from their start to their end, None without any.
    """

    counts: dict[str, int]
    success_rate: float | None
    p50_ms: int | None
    p95_ms: int | None
    cost_usd: Decimal

    @property
    def runs(self) -> int:
        """All of them."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Statistics:
    """The figures of all runs begun from ``since`` until before ``until``, by day (UTC), and by template version."""

    since: datetime
    until: datetime
    total: Figures
    days: tuple[tuple[date, Figures], ...]
    templates: tuple[tuple[WorkflowConfig, Figures], ...]


def execution_statistics(*, since: datetime, until: datetime, configs: list[UUID] | None = None) -> Statistics:
    """Return the organization's figures, of runs of the given templates only unless that is None.

    Reads each run of the span: keep it bounded.
    """
    statuses = ", ".join(f"count(*) FILTER (WHERE status = '{status}')" for status in RunStatus.values)
    given = {"organization": current_organization_id(), "since": since, "until": until, "configs": configs}
    with connection.cursor() as cursor:
        cursor.execute(_GROUPED.format(counts=statuses), given)
        rows = cursor.fetchall()
    total = next(row for row in rows if row[0] and row[1])
    named = WorkflowConfig.objects.defer("config").in_bulk([row[2] for row in rows if not row[0]])
    return Statistics(
        since=since,
        until=until,
        total=_figures(total),
        days=tuple((row[3], _figures(row)) for row in rows if not row[1]),
        templates=tuple((named[row[2]], _figures(row)) for row in rows if not row[0]),
    )


def _figures(row: tuple[Any, ...]) -> Figures:
    counts = dict(zip(RunStatus.values, row[4:], strict=False))
    cost, percentiles = row[-2], row[-1] or (None, None)
    ended = counts[RunStatus.COMPLETED] + counts[RunStatus.FAILED]
    p50, p95 = (None if seconds is None else round(seconds * 1000) for seconds in percentiles)
    return Figures(
        counts=counts,
        success_rate=counts[RunStatus.COMPLETED] / ended if ended else None,
        p50_ms=p50,
        p95_ms=p95,
        cost_usd=cost or Decimal(0),
    )
