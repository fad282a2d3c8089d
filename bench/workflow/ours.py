"""Our engine from the outside of its workers: start runs, wait until the table says that they have ended."""

import argparse
import json
import os
import signal
import time
import uuid
from statistics import median, quantiles
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.db.models import Min  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts_app.models import Organization  # noqa: E402
from accounts_app.tenancy.context import operator_atomic, tenant_atomic  # noqa: E402
from bench.workflow.cpu import cpu_seconds, pids_of  # noqa: E402
from workflows_app.models import ConfigStatus, RunEvent, WorkflowConfig, WorkflowRun  # noqa: E402
from workflows_app.services.runs import run_start  # noqa: E402

_ENDED = "SELECT count(*) FROM workflow_runs WHERE id = ANY(%s) AND finished_at IS NOT NULL"
STEPS, WARM, ALONE, BACKLOG, STARTS = 5, 200, 60, 10_000, 2_000


def main() -> None:
    """Print the figures as one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["alone", "many", "backlog", "orphans", "starts"])
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--kill", type=int, help="the worker that leaves orphans")
    options = parser.parse_args()
    with operator_atomic("bench"):
        owner = Organization.objects.order_by("created_at").first()
    assert owner is not None
    config = _config(owner.pk)
    _throughput(owner.pk, config, WARM)
    figures: dict[str, float] = {}
    if options.what == "alone":
        figures["latency_ms"] = median(_alone(owner.pk, config) for _number in range(ALONE)) * 1000
    elif options.what == "many":
        figures = _throughput(owner.pk, config, options.runs)
    elif options.what == "backlog":
        figures = _backlog(owner.pk, config, options.runs)
    elif options.what == "orphans":
        figures = _orphans(owner.pk, config, options.runs, options.kill)
    else:
        figures = _starts(owner.pk, config)
    print(json.dumps(figures))


def _config(owner: uuid.UUID) -> uuid.UUID:
    steps = [{"action": "save_brief"} for _step in range(STEPS)]
    stages = {"A": {"name": "A", "steps": steps}}
    document = {"workspace": "general", "version": "1.0.0", "stages": stages, "defaults": {"start": "A"}}
    with tenant_atomic(owner):
        config = WorkflowConfig.objects.create(
            organization_id=owner,
            workspace_id="general",
            version="1.0.0",
            name=f"bench {uuid.uuid4().hex[:8]}",
            config=document,
        )
        WorkflowConfig.objects.filter(pk=config.pk).update(
            status=ConfigStatus.PUBLISHED, published_at=config.created_at
        )
    return config.pk


def _start(owner: uuid.UUID, config: uuid.UUID) -> uuid.UUID:
    with tenant_atomic(owner):
        return run_start(
            config_id=config,
            workspace_key="general",
            stage="A",
            context={"brief": "An article."},
            key=uuid.uuid4().hex,
        ).id


def _alone(owner: uuid.UUID, config: uuid.UUID) -> float:
    began = time.perf_counter()
    _wait([_start(owner, config)])
    return time.perf_counter() - began


def _throughput(owner: uuid.UUID, config: uuid.UUID, number: int) -> dict[str, float]:
    pids = _workers()
    before, began = cpu_seconds(pids), time.perf_counter()
    runs = [_start(owner, config) for _number in range(number)]
    started = time.perf_counter() - began
    _wait(runs, pause=0.02)
    seconds = time.perf_counter() - began
    cpu = (cpu_seconds(pids) - before) / number * 1000
    return {"per_second": number / seconds, "cpu_ms": cpu, "starts_per_second": number / started}


def _backlog(owner: uuid.UUID, config: uuid.UUID, number: int) -> dict[str, float]:
    """What workers do when nobody starts runs beside them: all lie waiting before the workers may go on."""
    pids = _workers()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        runs = [_start(owner, config) for _number in range(number)]
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    began = time.perf_counter()
    _wait(runs, pause=0.02)
    return {"worked_off_per_second": number / (time.perf_counter() - began)}


def _workers() -> list[int]:
    return pids_of("celery", "-Q model")


def _orphans(owner: uuid.UUID, config: uuid.UUID, number: int, pid: int) -> dict[str, float]:
    """Kill a worker in the middle; how long the slowest of its runs lay before another took it, in seconds."""
    runs = [_start(owner, config) for _number in range(number // 2)]
    while not (held := _caught(pid)):
        runs += [_start(owner, config) for _number in range(8)]
    os.kill(pid, signal.SIGKILL)
    killed = timezone.now()
    _wait(runs, pause=0.1)
    with operator_atomic("bench"):
        later = RunEvent.objects.filter(run_id__in=held, created_at__gt=killed).values("run_id")
        resumed = later.annotate(at=Min("created_at")).values_list("at", flat=True)
        waits = [(moment - killed).total_seconds() for moment in resumed]
    return {"orphans": len(waits), "resumed_s": max(waits), "lease_s": settings.WORKFLOW_LEASE_SECONDS}


def _caught(pid: int) -> list[uuid.UUID]:
    """Stop the worker; the runs that it holds by then. With none it goes on: a run is too short to look first."""
    os.kill(pid, signal.SIGSTOP)
    time.sleep(0.05)
    with operator_atomic("bench"):
        held = WorkflowRun.objects.filter(lease_until__isnull=False, worker__endswith=f":{pid}")
        ids = list(held.values_list("pk", flat=True))
    if not ids:
        os.kill(pid, signal.SIGCONT)
    return ids


def _starts(owner: uuid.UUID, config: uuid.UUID) -> dict[str, float]:
    """How long a start takes, idle and with thousands of runs waiting, in ms (p99). The backlog waits for nobody."""
    idle = [_timed_start(owner, config) for _number in range(STARTS)]
    with operator_atomic("bench"):
        WorkflowRun.objects.filter(is_ready=True).update(is_ready=False)
        sample = WorkflowRun.objects.filter(config_id=config).first()
    assert sample is not None
    with tenant_atomic(owner), transaction.atomic():
        rows = [_copy(sample, number) for number in range(BACKLOG)]
        WorkflowRun.objects.bulk_create(rows, batch_size=1000)
    busy = [_timed_start(owner, config) for _number in range(STARTS)]
    with operator_atomic("bench"):
        WorkflowRun.objects.filter(config_id=config, is_ready=True).update(is_ready=False)
    return {"start_idle_ms": quantiles(idle, n=100)[-1] * 1000, "start_busy_ms": quantiles(busy, n=100)[-1] * 1000}


def _copy(run: WorkflowRun, number: int) -> WorkflowRun:
    fields: dict[str, Any] = {"config_id": run.config_id, "workspace_key": "general", "stage": "A", "steps": run.steps}
    fields |= {"organization_id": run.organization_id, "idempotency_key": uuid.uuid4().hex, "queue_rank": number}
    # Lower than any other: workers are busy with what is started meanwhile, as with a tenant of its own.
    return WorkflowRun(**fields, priority=-100)


def _timed_start(owner: uuid.UUID, config: uuid.UUID) -> float:
    began = time.perf_counter()
    _start(owner, config)
    return time.perf_counter() - began


def _wait(runs: list[uuid.UUID], pause: float = 0.0005, patience: float = 300) -> None:
    deadline = time.monotonic() + patience
    # One transaction, each of whose statements sees what is committed by then: looking costs the machine little.
    with operator_atomic("bench"), connection.cursor() as cursor:
        while time.monotonic() < deadline:
            cursor.execute(_ENDED, [runs])
            if cursor.fetchone()[0] == len(runs):
                return
            time.sleep(pause)
    raise SystemExit("The runs did not end.")


if __name__ == "__main__":
    main()
