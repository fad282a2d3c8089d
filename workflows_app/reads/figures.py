"""The engine's past, of all organizations together, from the roll-ups: for operators. Needs an operator context."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Max, QuerySet, Sum
from django.utils import timezone

from workflows_app.models import Grain, RunStatistic, StepStatistic, WorkflowConfig
from workflows_app.reads.quantiles import quantile
from workflows_app.reads.statistics import (
    CREATED,
    ROOTS,
    Figures,
    Tally,
    TemplateFigures,
    configs_named,
    templates_named,
)

_STEP = {Grain.MINUTE: timedelta(minutes=1), Grain.HOUR: timedelta(hours=1), Grain.DAY: timedelta(days=1)}
FAILED_STEPS = ("failed", "lost")
# Examples of one kind of failure.
EXAMPLES = 3


@dataclass(frozen=True)
class Span:
    """A period that ends now: ``number`` grains, the running one included."""

    grain: Grain
    number: int

    def starts(self, now: datetime) -> list[datetime]:
        """Return when each of its minutes, hours or days begins, oldest first."""
        last = now.astimezone(UTC).replace(second=0, microsecond=0)
        last = last if self.grain == Grain.MINUTE else last.replace(minute=0)
        last = last.replace(hour=0) if self.grain == Grain.DAY else last
        return [last - _STEP[self.grain] * back for back in range(self.number - 1, -1, -1)]


SPANS = {
    "hour": Span(Grain.MINUTE, 60),
    "day": Span(Grain.HOUR, 24),
    "week": Span(Grain.HOUR, 168),
    "month": Span(Grain.DAY, 30),
    "quarter": Span(Grain.DAY, 90),
}


@dataclass(frozen=True)
class Point:
    """One minute, hour or day: runs created and ended (branches too), attempts at steps, durations (ms) of runs."""

    at: datetime
    created: int
    completed: int
    failed: int
    cancelled: int
    steps: int
    steps_failed: int
    p50_ms: int | None
    p95_ms: int | None


@dataclass(frozen=True)
class Failures:
    """How often runs ended, or attempts failed, with one error code; ``examples`` are runs, the newest first."""

    error_code: str
    where: tuple[str, ...]
    count: int
    last: datetime
    examples: tuple[UUID, ...]


@dataclass(frozen=True)
class StepFigures:
    """One step of one template's versions. ``count`` are its attempts, ``failed`` those that failed or were lost."""

    template: str
    stage: str
    key: str
    handler: str
    count: int
    failed: int
    p50_ms: int | None
    p95_ms: int | None
    tokens: int
    cost_usd: Decimal

    @property
    def name(self) -> str:
        """Where the step is."""
        return f"{self.stage}/{self.key}" if self.stage else self.key


@dataclass(frozen=True)
class EngineFigures:
    """What a period came to. ``total`` and ``templates`` are of executions: what somebody started."""

    points: tuple[Point, ...]
    total: Figures
    templates: tuple[TemplateFigures, ...]
    run_failures: tuple[Failures, ...]
    step_failures: tuple[Failures, ...]
    slow_steps: tuple[StepFigures, ...]


@dataclass
class _Moment:
    runs: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    buckets: Counter[int] = field(default_factory=Counter)


def engine_figures(span: Span, *, template: str = "", now: datetime | None = None, most: int = 20) -> EngineFigures:
    """Return the figures of the period, of one template (a name, or name@version) if given.

    ``most`` bounds the lists of failures and steps. Five statements on the roll-ups' rows of the period.
    """
    starts = span.starts(now or timezone.now())
    runs = RunStatistic.objects.filter(organization__isnull=True, grain=span.grain, since__gte=starts[0])
    steps = StepStatistic.objects.filter(organization__isnull=True, grain=span.grain, since__gte=starts[0])
    if template:
        config_ids = list(configs_named(template).values_list("id", flat=True))
        runs, steps = runs.filter(config_id__in=config_ids), steps.filter(config_id__in=config_ids)
    total, by_config = _executions(runs)
    return EngineFigures(
        points=_points(starts, runs, steps),
        total=total.figures(),
        templates=templates_named(by_config)[:most],
        run_failures=_failures(runs.filter(status="failed"), "kind", most),
        step_failures=_failures(steps.filter(status__in=FAILED_STEPS), "handler", most),
        slow_steps=_slow_steps(steps, most),
    )


def templates_used(span: Span, *, now: datetime | None = None) -> list[str]:
    """Return the names of the templates that had runs in the period, in order."""
    since = span.starts(now or timezone.now())[0]
    rows = RunStatistic.objects.filter(organization__isnull=True, grain=span.grain, since__gte=since, count__gt=0)
    used = rows.order_by().values_list("config_id", flat=True).distinct()
    return list(
        WorkflowConfig.objects.filter(id__in=list(used)).order_by("name").values_list("name", flat=True).distinct()
    )


def _executions(runs: "QuerySet[RunStatistic]") -> tuple[Tally, dict[UUID, Tally]]:
    total, by_config = Tally(), defaultdict[UUID, Tally](Tally)
    sums = runs.filter(kind__in=ROOTS).order_by().values_list("config_id", "status", "bucket")
    for config_id, status, bucket, count, cost in sums.annotate(Sum("count"), Sum("cost_usd")):
        total.add(status, bucket, count, cost)
        by_config[config_id].add(status, bucket, count, cost)
    return total, by_config


def _points(
    starts: list[datetime], runs: "QuerySet[RunStatistic]", steps: "QuerySet[StepStatistic]"
) -> tuple[Point, ...]:
    moments = defaultdict[datetime, _Moment](_Moment)
    for since, status, kind, bucket, count in (
        runs.order_by().values_list("since", "status", "kind", "bucket").annotate(Sum("count"))
    ):
        moments[since].runs[status] += count
        if status == "completed" and kind in ROOTS:
            moments[since].buckets[bucket] += count
    for since, status, count in steps.order_by().values_list("since", "status").annotate(Sum("count")):
        moments[since].steps[status] += count
    return tuple(_point(at, moments[at]) for at in starts)


def _point(at: datetime, moment: _Moment) -> Point:
    return Point(
        at=at,
        created=moment.runs[CREATED],
        completed=moment.runs["completed"],
        failed=moment.runs["failed"],
        cancelled=moment.runs["cancelled"],
        steps=moment.steps.total(),
        steps_failed=sum(moment.steps[status] for status in FAILED_STEPS),
        p50_ms=quantile(moment.buckets, 0.5),
        p95_ms=quantile(moment.buckets, 0.95),
    )


def _failures(rows: "QuerySet[RunStatistic] | QuerySet[StepStatistic]", where: str, most: int) -> tuple[Failures, ...]:
    groups = defaultdict[str, list[tuple[str, int, datetime, list[UUID]]]](list)
    newest = ArrayAgg("example_id", order_by="-since")
    sums = rows.filter(count__gt=0).order_by().values_list("error_code", where)
    for code, place, count, last, examples in sums.annotate(times=Sum("count"), last=Max("since"), newest=newest):
        groups[code].append((str(place), count, last, examples))
    ranked = sorted(groups.items(), key=lambda group: (-sum(row[1] for row in group[1]), group[0]))
    return tuple(_failure(code, found) for code, found in ranked[:most])


def _failure(code: str, found: list[tuple[str, int, datetime, list[UUID]]]) -> Failures:
    found.sort(key=lambda row: row[2], reverse=True)
    examples = dict.fromkeys(example for row in found for example in row[3])
    return Failures(
        error_code=code,
        where=tuple(dict.fromkeys(row[0] for row in found)),
        count=sum(row[1] for row in found),
        last=found[0][2],
        examples=tuple(examples)[:EXAMPLES],
    )


def _slow_steps(steps: "QuerySet[StepStatistic]", most: int) -> tuple[StepFigures, ...]:
    tallies = defaultdict[tuple[str, str, str, str], _StepTally](_StepTally)
    names = dict(WorkflowConfig.objects.filter(id__in=_configs_of(steps)).values_list("id", "name"))
    sums = steps.order_by().values_list("config_id", "stage", "key", "handler", "status", "bucket")
    for config_id, stage, key, handler, status, bucket, count, tokens, cost in sums.annotate(
        Sum("count"), Sum("tokens"), Sum("cost_usd")
    ):
        tally = tallies[(names.get(config_id, ""), stage, key, handler)]
        tally.statuses[status] += count
        tally.buckets[bucket] += count
        tally.tokens += tokens
        tally.cost_usd += cost
    found = [tally.figures(*names_of) for names_of, tally in tallies.items()]
    return tuple(sorted(found, key=lambda row: (-(row.p95_ms or 0), row.template, row.name))[:most])


def _configs_of(steps: "QuerySet[StepStatistic]") -> list[UUID]:
    return list(steps.order_by().values_list("config_id", flat=True).distinct())


@dataclass
class _StepTally:
    statuses: Counter[str] = field(default_factory=Counter)
    buckets: Counter[int] = field(default_factory=Counter)
    tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    def figures(self, template: str, stage: str, key: str, handler: str) -> StepFigures:
        return StepFigures(
            template=template,
            stage=stage,
            key=key,
            handler=handler,
            count=self.statuses.total(),
            failed=sum(self.statuses[status] for status in FAILED_STEPS),
            p50_ms=quantile(self.buckets, 0.5),
            p95_ms=quantile(self.buckets, 0.95),
            tokens=self.tokens,
            cost_usd=self.cost_usd,
        )
