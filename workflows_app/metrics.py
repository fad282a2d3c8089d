"""What the engine counts, and its gauges at each scrape. No label names a tenant, and none is a tenant's own word.

Counted after the commit, a few microseconds each: what is rolled back was not.
"""

import time
from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts_app.tenancy.context import operator_atomic
from config import metrics
from config.metrics import OTHER, Reading
from workflows_app.contracts import RunDetail, StepDetail
from workflows_app.engine.machine import PARKING
from workflows_app.reads.engine import EngineNow, engine_now
from workflows_app.registry import handler_get


def on_run_started(*, run: RunDetail, **_signal: Any) -> None:
    """Count a run that a worker took up for the first time, and how long it had waited for that."""
    transaction.on_commit(partial(_started, run.id))


def on_run_finished(*, status: str, **_signal: Any) -> None:
    """Count a run's end."""
    transaction.on_commit(metrics.child(metrics.RUNS, status).inc)


def attempts_counted(ended: Iterable[StepDetail]) -> None:
    """Count attempts that end with the open transaction, whatever their outcome; ``lost`` ones were taken over."""
    for step in ended:
        transaction.on_commit(partial(_attempted, step))


def forced_end_counted(*, why: str) -> None:
    """Count a run that the reaper ends: no worker survived it ("poison"), or its step did not stop ("deaf")."""
    transaction.on_commit(metrics.child(metrics.RUN_FORCED_ENDS, why).inc)


def engine_readings() -> list[Reading]:
    """Return the engine's gauges, by indexes of what is unfinished: one statement."""
    with operator_atomic("metrics"):
        now = engine_now()
    return [
        Reading("deepspace_runs_ready", "Runs that want a worker.", (), {(): float(now.ready)}),
        Reading("deepspace_runs_ready_oldest_seconds", "How long the oldest of them has.", (), {(): _oldest(now)}),
        Reading("deepspace_runs_leased", "Runs that a worker holds.", (), {(): float(now.leased)}),
        Reading("deepspace_runs_expired", "Those of them whose lease ran out.", (), {(): float(now.expired)}),
        Reading("deepspace_runs_unfinished", "Runs by status.", ("status",), _by_label(now.unfinished)),
        Reading("deepspace_runs_waiting", "Waiting runs by what for.", ("kind",), _by_label(now.waiting)),
        Reading("deepspace_statistics_behind_seconds", "How old the roll-ups are.", (), {(): now.behind_seconds}),
    ]


def _started(run_id: UUID) -> None:
    metrics.child(metrics.RUNS, "started").inc()
    # The id begins with the time.
    metrics.RUN_CLAIM_SECONDS.observe(max(0.0, time.time() - (run_id.int >> 80) / 1000))


def _attempted(step: StepDetail) -> None:
    name = step.via or step.action
    handler = name if name in PARKING or handler_get(name) else OTHER
    metrics.child(metrics.RUN_ATTEMPTS, handler, step.status).inc()
    if step.duration_ms is not None and step.status != "skipped":
        metrics.child(metrics.RUN_STEP_SECONDS, handler).observe(step.duration_ms / 1000)


def _oldest(now: EngineNow) -> float:
    return now.oldest_ready_seconds or 0.0


def _by_label(counts: dict[str, int]) -> dict[tuple[str, ...], float]:
    return {(name,): float(count) for name, count in counts.items()}
