"""The roll-ups: what they say is what a count of everything would say, however the job that keeps them is treated."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts_app.tenancy.context import Tenant, operator_context
from tests.factories.statistics import Attempted, Ending, Past, run_with_past
from tests.factories.workflows import acting, handlers, made_up_config, owner, started
from workflows_app.contracts import StepContext, StepResult
from workflows_app.models import Grain, RunStatistic, StatisticsWatermark, StepStatistic, WorkflowConfig
from workflows_app.reads.quantiles import ERROR, quantile
from workflows_app.reads.statistics import executions_statistics
from workflows_app.services.execution import run_advance
from workflows_app.services.statistics import statistics_prune, statistics_restart, statistics_roll_up

pytestmark = [pytest.mark.django_db, pytest.mark.odd_runs("their pasts and troubles are made up")]

CODES = ("step_timeout", "provider_down", "no_answer")


class Killed(Exception):
    """The job's process was killed."""


@dataclass(frozen=True)
class Place:
    """Whose run of which version: the first or the second of the test's two."""

    owner: int
    version: int


moments = st.floats(min_value=0, max_value=100 * 24 * 60, allow_nan=False)
# Whole milliseconds, or a part of one that does not add up to halves: those are rounded either way.
spans = st.floats(min_value=-1, max_value=8).map(lambda power: timedelta(milliseconds=max(round(10**power), 0.26)))
costs = st.integers(min_value=0, max_value=50_000).map(lambda number: Decimal(number) / 10_000)


@st.composite
def pasts(draw: st.DrawFn) -> tuple[Place, Past]:
    now = timezone.now()
    lasts = [timedelta(0)]
    for _end in range(draw(st.integers(1, 3))):
        lasts.append(lasts[-1] + draw(spans) + timedelta(seconds=2))
    # All of it is over by now, as histories are.
    created = min(now - timedelta(minutes=draw(moments)), now - lasts[-1] - timedelta(seconds=10))
    failures = [Ending("failed", after, draw(costs), draw(st.sampled_from(CODES))) for after in lasts[1:-1]]
    status = draw(st.sampled_from(["completed", "failed", "cancelled"]))
    last = Ending(status, lasts[-1], draw(costs), draw(st.sampled_from(CODES)) if status == "failed" else "")
    begun = draw(st.sampled_from([None, timedelta(0), timedelta(milliseconds=700)]))
    return Place(draw(st.integers(0, 1)), draw(st.integers(0, 1))), Past(
        created=created,
        begun=timedelta(0) if failures and begun is None else begun,
        endings=(*failures, last) if draw(st.booleans()) or failures else (),
        attempts=tuple(draw(st.lists(attempts(lasts[-1]), max_size=4))),
        scope=draw(st.sampled_from(["workflow", "stage"])),
        shared=draw(st.sampled_from([0, 0, 0, 4])),
    )


@st.composite
def attempts(draw: st.DrawFn, within: timedelta) -> Attempted:
    status = draw(st.sampled_from(["completed", "completed", "failed", "lost", "skipped"]))
    code = draw(st.sampled_from(CODES)) if status == "failed" else ""
    took = min(draw(spans), within)
    return Attempted(draw(st.sampled_from(["draft", "review"])), status, timedelta(0), took, draw(costs), 7, code)


@given(found=st.lists(pasts(), min_size=1, max_size=12), batches=st.lists(st.integers(1, 9), min_size=1, max_size=6))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_roll_ups_say_what_a_count_of_everything_says(
    found: list[tuple[Place, Past]], batches: list[int], tenants: tuple[Tenant, Tenant],
    configs: tuple[tuple[WorkflowConfig, WorkflowConfig], ...],
) -> None:  # fmt: skip
    with rolled_back(), operator_context("test"):
        statistics_restart()
        for place, past in found:
            run_with_past(tenants[place.owner], configs[place.owner][place.version], past)
        for batch in batches:
            killed(batch)
            statistics_roll_up(lag=0, batch=batch, most=batch)
        statistics_roll_up(lag=0)
        assert statistics_roll_up(lag=0) == 0
        for number, tenant in enumerate(tenants):
            whose = [(configs[number][place.version], past) for place, past in found if place.owner == number]
            assert run_rows(tenant.organization_id, Grain.DAY) == brute_runs(whose, Grain.DAY)
            assert step_rows(tenant.organization_id, Grain.DAY) == brute_steps(whose, Grain.DAY)
        whole = [(configs[place.owner][place.version], past) for place, past in found]
        ours = {config.id for pair in configs for config in pair}
        recent = [(config, past) for config, past in whole if past.created > timezone.now() - timedelta(days=14)]
        since = timezone.now() - timedelta(days=14)
        assert run_rows(None, Grain.DAY, ours) == brute_runs(whole, Grain.DAY)
        assert run_rows(None, Grain.HOUR, ours, since) == brute_runs(recent, Grain.HOUR)
        assert step_rows(None, Grain.HOUR, ours, since) == brute_steps(recent, Grain.HOUR)


@given(found=st.lists(pasts(), min_size=1, max_size=40))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_an_organizations_figures_are_those_of_its_runs(
    found: list[tuple[Place, Past]], tenants: tuple[Tenant, Tenant],
    configs: tuple[tuple[WorkflowConfig, WorkflowConfig], ...],
) -> None:  # fmt: skip
    with rolled_back():
        with operator_context("test"):
            statistics_restart()
            for place, past in found:
                run_with_past(tenants[place.owner], configs[place.owner][place.version], past)
            statistics_roll_up(lag=0)
        tenant = tenants[0]
        assert tenant.organization_id is not None
        own = [past for place, past in found if place.owner == 0]
        today = datetime.now(UTC).date()
        with acting(tenant):
            figures = executions_statistics(
                organization_id=tenant.organization_id, since=today - timedelta(days=400), until=today
            )
            alone = executions_statistics(
                organization_id=tenant.organization_id, since=today - timedelta(days=400), until=today,
                template=f"{configs[0][1].name}@{configs[0][1].version}",
            )  # fmt: skip
        ended = [past.endings[-1] for past in own if past.endings]
        counts = Counter(ending.status for ending in ended)
        assert figures.totals == {"created": len(own)} | {
            status: counts[status] for status in ("completed", "failed", "cancelled")
        }
        assert figures.unfinished["waiting"] == len(own) - len(ended)
        decided = counts["completed"] + counts["failed"]
        assert figures.success_rate == (counts["completed"] / decided if decided else None)
        assert figures.cost_usd == sum((ending.cost_usd for ending in ended), Decimal(0))
        assert close(figures.p50_ms, durations(own), 0.5)
        assert close(figures.p95_ms, durations(own), 0.95)
        of_version = [past for place, past in found if place == Place(0, 1)]
        assert alone.totals["created"] == len(of_version)
        assert alone.unfinished["waiting"] == len([past for past in of_version if not past.endings])
        assert sum(day.figures.started for day in figures.per_day) == len(own)
        assert sum(sum(row.figures.ended.values()) for row in figures.per_template) == len(ended)


@given(st.lists(st.floats(min_value=0, max_value=10**9, allow_nan=False), min_size=1, max_size=60), st.floats(0, 1))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_quantile_is_at_most_five_percent_off(found: list[float], share: float) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT workflow_statistics_bucket(n) FROM unnest(%s::float8[]) n", [found])
        buckets = Counter(bucket for (bucket,) in cursor.fetchall())
    exact = sorted(found)[int(share * (len(found) - 1))]
    told = quantile(buckets, share)
    assert told is not None
    assert abs(told - exact) <= max(1.0, exact * ERROR + 0.5)


def test_without_durations_there_is_no_quantile() -> None:
    assert quantile({-1: 7}, 0.5) is None
    assert quantile({}, 0.5) is None


def test_a_run_that_the_engine_carried_out_is_counted_with_its_steps(tenants: tuple[Tenant, Tenant]) -> None:
    tenant = tenants[0]
    with handlers(draft=priced, review=priced):
        run = started(tenant, "draft", "review")
        with acting(tenant):
            run_advance(run_id=run.id)
    with operator_context("test"):
        statistics_restart()
        statistics_roll_up(lag=0)
    assert tenant.organization_id is not None
    today = datetime.now(UTC).date()
    with acting(tenant):
        figures = executions_statistics(organization_id=tenant.organization_id, since=today, until=today)
        steps = StepStatistic.objects.filter(organization_id=tenant.organization_id)
        assert {(step.key, step.status, step.count, step.cost_usd) for step in steps} == {
            ("draft", "completed", 1, Decimal("0.25")),
            ("review", "completed", 1, Decimal("0.25")),
        }
        assert {step.example_id for step in steps} == {run.id}
    assert figures.totals == {"created": 1, "completed": 1, "failed": 0, "cancelled": 0}
    assert figures.cost_usd == Decimal("0.5")
    assert [row.figures.success_rate for row in figures.per_template] == [1.0]


def test_a_tenant_reads_its_own_days_alone(tenants: tuple[Tenant, Tenant]) -> None:
    past = Past(timezone.now() - timedelta(hours=1), timedelta(0), (Ending("completed", timedelta(seconds=3)),))
    with operator_context("test"):
        statistics_restart()
        for tenant in tenants:
            run_with_past(tenant, made_up(tenant), past)
        statistics_roll_up(lag=0)
    with acting(tenants[0]):
        assert {row.organization_id for row in RunStatistic.objects.all()} == {tenants[0].organization_id}
        assert not StatisticsWatermark.objects.exists()


def test_old_minutes_and_hours_are_dropped_and_days_are_kept(tenants: tuple[Tenant, Tenant]) -> None:
    config = made_up(tenants[0])
    now = timezone.now()
    with operator_context("test"):
        RunStatistic.objects.all().delete()
        for grain in Grain.values:
            for days in (0, 1, 20):
                statistic(config.id, grain=grain, since=now - timedelta(days=days))
        statistics_prune()
        left = Counter(RunStatistic.objects.values_list("grain", flat=True))
    assert left == {"minute": 1, "hour": 2, "day": 3}


def test_a_figure_exists_once(tenants: tuple[Tenant, Tenant]) -> None:
    config_id, now = uuid.uuid4(), timezone.now()
    with operator_context("test"):
        statistic(config_id, grain="day", since=now)
        with pytest.raises(IntegrityError, match="run_statistic_once"), transaction.atomic():
            statistic(config_id, grain="day", since=now)
        fields = {"stage": "A", "key": "a", "handler": "a"}
        statistic(config_id, StepStatistic, grain="day", since=now, **fields)
        with pytest.raises(IntegrityError, match="step_statistic_once"), transaction.atomic():
            statistic(config_id, StepStatistic, grain="day", since=now, **fields)


@pytest.fixture
def tenants() -> tuple[Tenant, Tenant]:
    return owner(), owner()


@pytest.fixture
def configs(tenants: tuple[Tenant, Tenant]) -> tuple[tuple[WorkflowConfig, WorkflowConfig], ...]:
    return tuple((made_up(tenant), made_up(tenant)) for tenant in tenants)


def made_up(tenant: Tenant) -> WorkflowConfig:
    return made_up_config(tenant, "a")


def priced(ctx: StepContext) -> StepResult:
    return StepResult(output={"cost_usd": "0.25"})


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo what one example has written."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def killed(batch: int) -> None:
    """A job that dies after it has counted, before its commit."""
    with suppress(Killed), transaction.atomic():
        # One batch: all that other tests have left in the database would be counted by so few at a time, too.
        statistics_roll_up(lag=0, batch=batch, most=batch)
        raise Killed


def statistic(config_id: UUID, model: Any = RunStatistic, **fields: Any) -> None:
    values = {"status": "completed", "error_code": "", "bucket": 3, "count": 1, "duration_ms": 1} | fields
    if model is RunStatistic:
        values["kind"] = "workflow"
    model.objects.create(config_id=config_id, example_id=uuid.uuid4(), **values)


Row = tuple[int, Decimal, int]


def summed(found: Iterable[tuple[tuple[Any, ...], Row]]) -> dict[tuple[Any, ...], Row]:
    sums: defaultdict[tuple[Any, ...], Row] = defaultdict(lambda: (0, Decimal(0), 0))
    for key, (count, cost, took) in found:
        before = sums[key]
        sums[key] = (before[0] + count, before[1] + cost, before[2] + took)
    return {key: row for key, row in sums.items() if any(row)}


def run_rows(
    organization_id: UUID | None, grain: str, configs: set[UUID] | None = None, since: datetime | None = None
) -> dict[tuple[Any, ...], Row]:
    names = ("since", "config_id", "kind", "status", "error_code")
    return _rows(RunStatistic, names, organization_id, grain, configs, since)


def step_rows(
    organization_id: UUID | None, grain: str, configs: set[UUID] | None = None, since: datetime | None = None
) -> dict[tuple[Any, ...], Row]:
    names = ("since", "config_id", "key", "handler", "status", "error_code")
    return _rows(StepStatistic, names, organization_id, grain, configs, since)


def _rows(
    model: Any, names: Sequence[str], organization_id: UUID | None, grain: str, configs: set[UUID] | None,
    since: datetime | None,
) -> dict[tuple[Any, ...], Row]:  # fmt: skip
    rows = model.objects.filter(organization_id=organization_id, grain=grain)
    if configs is not None:
        rows = rows.filter(config_id__in=configs)
    if since is not None:
        rows = rows.filter(since__gt=since)
    return summed(
        (tuple(getattr(row, name) for name in names), (row.count, row.cost_usd, row.duration_ms)) for row in rows
    )


def start_of(at: datetime, grain: str) -> datetime:
    rest = {"minute": 0, "second": 0, "microsecond": 0}
    return at.astimezone(UTC).replace(**rest if grain == "hour" else {"hour": 0, **rest})  # type: ignore[arg-type]


def milliseconds(span: timedelta) -> int:
    # As PostgreSQL rounds: halves away from zero.
    return int(span / timedelta(milliseconds=1) + 0.5)


def brute_runs(found: list[tuple[WorkflowConfig, Past]], grain: str) -> dict[tuple[Any, ...], Row]:
    def each() -> Iterable[tuple[tuple[Any, ...], Row]]:
        for config, past in found:
            yield (start_of(past.created, grain), config.id, past.scope, "created", ""), (1, Decimal(0), 0)
            if past.endings:
                last = past.endings[-1]
                key = (start_of(past.created + last.after, grain), config.id, past.scope, last.status, last.error_code)
                took = last.after - past.begun if past.begun is not None else timedelta(0)
                yield key, (1, last.cost_usd, milliseconds(took))

    return summed(each())


def brute_steps(found: list[tuple[WorkflowConfig, Past]], grain: str) -> dict[tuple[Any, ...], Row]:
    def each() -> Iterable[tuple[tuple[Any, ...], Row]]:
        for config, past in found:
            for item in past.attempts:
                at = start_of(past.created + item.after + item.took, grain)
                took = 0 if item.status == "skipped" else milliseconds(item.took)
                yield (at, config.id, item.key, item.key, item.status, item.error_code), (1, item.cost_usd, took)

    return summed(each())


def durations(found: list[Past]) -> list[float]:
    return sorted(
        (past.endings[-1].after - past.begun) / timedelta(milliseconds=1)
        for past in found
        if past.endings and past.endings[-1].status == "completed" and past.begun is not None
    )


def close(told: int | None, exact: list[float], share: float) -> bool:
    if told is None or not exact:
        return told is None and not exact
    value = exact[int(share * (len(exact) - 1))]
    return abs(told - value) <= max(1.0, value * ERROR + 0.5)
