"""An organization's figures about its executions, from the roll-ups: no sum here reads the runs themselves.

The roll-ups are at most some seconds behind, see docs/observability.md.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum

from workflows_app.models import Grain, RunStatistic, WorkflowConfig, WorkflowRun
from workflows_app.models.run import FINISHED, UNFINISHED
from workflows_app.reads.quantiles import quantile

# Executions are what somebody started: branches and workflows within workflows are part of the run that began them.
ROOTS = ("workflow", "stage")
CREATED = "created"


@dataclass(frozen=True)
class Figures:
    """What runs add up to. ``ended`` counts them by status; a run counts once, at its last end.

    ``success_rate`` (0 to 1) is completed / (completed + failed). The durations, in ms from the first step's start to
    the end, are of completed runs and at most 5 % off. None: there is nothing to say it of.
    """

    started: int
    ended: dict[str, int]
    success_rate: float | None
    p50_ms: int | None
    p95_ms: int | None
    cost_usd: Decimal


@dataclass(frozen=True)
class TemplateFigures:
    """One template's. ``config_id`` names the version."""

    config_id: UUID
    template: str
    version: str
    figures: Figures

    @property
    def reference(self) -> str:
        """What a filter calls it."""
        return f"{self.template}@{self.version}"


@dataclass(frozen=True)
class DayFigures:
    """One day's (UTC)."""

    day: date
    figures: Figures


@dataclass(frozen=True)
class ExecutionStatistics:
    """An organization's executions from ``since`` to ``until``, both days (UTC) included.

    ``totals``: created and ended in these days, by status ("created", "completed", "failed", "cancelled").
    ``unfinished``: now, by status ("pending", "running", "waiting", "paused"), whenever they were created.
    ``per_template``: the most used first. ``per_day``: every day, oldest first.
    """

    since: date
    until: date
    totals: dict[str, int]
    unfinished: dict[str, int]
    success_rate: float | None
    p50_ms: int | None
    p95_ms: int | None
    cost_usd: Decimal
    per_template: tuple[TemplateFigures, ...]
    per_day: tuple[DayFigures, ...]


@dataclass
class Tally:
    """Adds up rows of the roll-up."""

    counts: Counter[str] = field(default_factory=Counter)
    buckets: Counter[int] = field(default_factory=Counter)
    cost_usd: Decimal = Decimal(0)

    def add(self, status: str, bucket: int, count: int, cost_usd: Decimal) -> None:
        """Add what a row says."""
        self.counts[status] += count
        self.cost_usd += cost_usd
        if status == "completed":
            self.buckets[bucket] += count

    def figures(self) -> Figures:
        """Return what it came to."""
        decided = self.counts["completed"] + self.counts["failed"]
        return Figures(
            started=self.counts[CREATED],
            ended={str(status): self.counts[status] for status in FINISHED},
            success_rate=self.counts["completed"] / decided if decided else None,
            p50_ms=quantile(self.buckets, 0.5),
            p95_ms=quantile(self.buckets, 0.95),
            cost_usd=self.cost_usd,
        )


def executions_statistics(
    *, organization_id: UUID, since: date, until: date, template: str = ""
) -> ExecutionStatistics:
    """Return the figures of whole days (UTC), both included; moments mean their days.

    ``template`` is a name, or name@version. Needs a bound tenant and a transaction. Reads the organization's rows of
    the roll-up in these days (three statements, whatever the number of runs), and counts its unfinished runs by an
    index.
    """
    first, last = _day(since), _day(until)
    rows = RunStatistic.objects.filter(
        organization_id=organization_id,
        grain=Grain.DAY,
        since__range=(_midnight(first), _midnight(last)),
        kind__in=ROOTS,
    )
    unfinished = WorkflowRun.objects.filter(organization_id=organization_id, status__in=UNFINISHED, parent__isnull=True)
    if template:
        config_ids = list(configs_named(template).values_list("id", flat=True))
        rows, unfinished = rows.filter(config_id__in=config_ids), unfinished.filter(config_id__in=config_ids)
    whole, by_day, by_config = _added_up(rows)
    figures = whole.figures()
    return ExecutionStatistics(
        since=first,
        until=last,
        totals={CREATED: figures.started, **figures.ended},
        unfinished=_by_status(unfinished),
        success_rate=figures.success_rate,
        p50_ms=figures.p50_ms,
        p95_ms=figures.p95_ms,
        cost_usd=figures.cost_usd,
        per_template=templates_named(by_config),
        per_day=tuple(DayFigures(day, by_day[day].figures()) for day in _days(first, last)),
    )


def configs_named(template: str) -> QuerySet[WorkflowConfig]:
    """Return the versions that ``name`` (all of them) or ``name@version`` means, of those that the reader may see."""
    name, _at, version = template.partition("@")
    return WorkflowConfig.objects.filter(Q(name=name) & (Q(version=version) if version else Q()))


def templates_named(tallies: dict[UUID, Tally]) -> tuple[TemplateFigures, ...]:
    """Return each version's figures with its name, the most used first."""
    names = WorkflowConfig.objects.in_bulk(tallies)
    found = (
        TemplateFigures(config_id, names[config_id].name, names[config_id].version, tally.figures())
        for config_id, tally in tallies.items()
        if config_id in names
    )
    return tuple(sorted(found, key=lambda row: (-sum(row.figures.ended.values()), row.template, row.version)))


def _added_up(rows: "QuerySet[RunStatistic]") -> tuple[Tally, defaultdict[date, Tally], defaultdict[UUID, Tally]]:
    whole, by_day, by_config = Tally(), defaultdict[date, Tally](Tally), defaultdict[UUID, Tally](Tally)
    sums = rows.order_by().values_list("since", "config_id", "status", "bucket")
    for since, config_id, status, bucket, count, cost in sums.annotate(Sum("count"), Sum("cost_usd")):
        for tally in (whole, by_day[since.astimezone(UTC).date()], by_config[config_id]):
            tally.add(status, bucket, count, cost)
    return whole, by_day, by_config


def _by_status(runs: "QuerySet[WorkflowRun]") -> dict[str, int]:
    counts = dict(runs.order_by().values_list("status").annotate(Count("id")))
    return {str(status): counts.get(status, 0) for status in UNFINISHED}


def _days(first: date, last: date) -> Iterable[date]:
    return (date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1))


def _day(moment: date) -> date:
    return moment.astimezone(UTC).date() if isinstance(moment, datetime) else moment


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)
