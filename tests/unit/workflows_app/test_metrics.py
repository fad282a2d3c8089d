"""What the engine tells Prometheus and ``/ready``."""

import uuid
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts_app.ids import uuid7_floor
from accounts_app.tenancy.context import Tenant, operator_atomic, operator_context
from config.health import DEGRADED, OK, readiness
from config.metrics import RUN_ATTEMPTS, RUN_FORCED_ENDS, RUNS, metrics_text
from tests.factories.workflows import acting, handlers, owner, run_id_of
from workflows_app.contracts import StepContext, StepResult
from workflows_app.health import queue_part
from workflows_app.models import WorkflowRun
from workflows_app.reads.engine import engine_now, queues, slots, workers
from workflows_app.reads.stuck import runs_stuck
from workflows_app.services.claims import run_claim
from workflows_app.services.controls import run_cancel
from workflows_app.services.execution import run_advance
from workflows_app.services.reaper import runs_reap

pytestmark = [pytest.mark.django_db, pytest.mark.odd_runs("their pasts and troubles are made up")]
TIMER = {"status": "waiting", "wait": {"kind": "timer"}, "is_ready": False}


@pytest.fixture
def tenant() -> Tenant:
    return owner()


@pytest.fixture(autouse=True)
def an_engine_of_our_own() -> None:
    """Without what other tests have left unfinished."""
    with operator_atomic("test"):
        unfinished = WorkflowRun.objects.filter(finished_at__isnull=True)
        unfinished.update(status="cancelled", finished_at=Now(), announced_at=Now(), is_ready=False, lease_until=None)
        WorkflowRun.objects.filter(is_ready=True).update(is_ready=False)


def test_runs_and_attempts_are_counted_by_what_became_of_them(
    tenant: Tenant, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    name = f"h{uuid.uuid4().hex}"
    before = {event: value(RUNS, event=event) for event in ("started", "completed")}
    with handlers(**{name: done}), django_capture_on_commit_callbacks(execute=True):
        run = run_id_of(tenant, name)
        with acting(tenant):
            run_advance(run_id=run)
    assert {event: value(RUNS, event=event) - before[event] for event in before} == {"started": 1, "completed": 1}
    assert value(RUN_ATTEMPTS, handler=name, outcome="completed") == 1
    assert f'deepspace_run_step_seconds_count{{handler="{name}"}} 1.0' in metrics_text().decode()


def test_a_tenants_own_words_are_no_label(
    tenant: Tenant, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    name = f"secret-{uuid.uuid4().hex[:20]}"
    before = value(RUN_ATTEMPTS, handler="other", outcome="failed")
    with django_capture_on_commit_callbacks(execute=True):
        run = run_id_of(tenant, name)
        with acting(tenant):
            run_advance(run_id=run)
    assert value(RUN_ATTEMPTS, handler="other", outcome="failed") == before + 1
    assert name not in metrics_text().decode()


def test_what_is_rolled_back_is_not_counted(tenant: Tenant) -> None:
    before = value(RUNS, event="started")
    with handlers(first=done):
        run = run_id_of(tenant, "first")
        with acting(tenant):
            run_advance(run_id=run)
    assert value(RUNS, event="started") == before


def test_take_overs_and_forced_ends_are_counted(
    tenant: Tenant, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    name = f"h{uuid.uuid4().hex}"
    before = value(RUN_FORCED_ENDS, why="deaf")
    with handlers(**{name: done}), django_capture_on_commit_callbacks(execute=True):
        run = run_id_of(tenant, name)
        with acting(tenant):
            run_claim(run)
        put(run, lease_until=Now() - timedelta(seconds=1))
        with acting(tenant):
            run_claim(run)
            run_cancel(run_id=run)
        put(run, cancel_requested_at=timezone.now() - timedelta(minutes=1))
        with operator_context("test"):
            runs_reap()
    # By its first worker, then by its second one, which did not listen.
    assert value(RUN_ATTEMPTS, handler=name, outcome="lost") == 2
    assert value(RUN_FORCED_ENDS, why="deaf") == before + 1


def test_the_gauges_say_what_is_unfinished(tenant: Tenant) -> None:
    held, ready = run_id_of(tenant, "first"), run_id_of(tenant, "first")
    waits = run_id_of(tenant, {"action": "approve"})
    with acting(tenant):
        run_claim(held)
        run_claim(waits)
    put(ready, last_event_id=uuid7_floor(timezone.now() - timedelta(minutes=3)))
    with operator_atomic("test"):
        now = engine_now()
        assert (now.ready, now.leased, now.expired, now.waiting) == (1, 1, 0, {"approval": 1})
        assert now.unfinished == {"pending": 1, "running": 1, "waiting": 1, "paused": 0}
        assert 170 < (now.oldest_ready_seconds or 0) < 300
        assert [(queue.depth, queue.head_id) for queue in queues()] == [(1, ready)]
        assert [(row.run_id, row.step, row.is_expired) for row in workers()] == [(held, "first", False)]
    text = metrics_text().decode()
    assert "deepspace_runs_ready 1.0" in text
    assert 'deepspace_runs_waiting{kind="approval"} 1.0' in text
    assert 'deepspace_runs_unfinished{status="running"} 1.0' in text
    assert 'deepspace_scrape_failed{source="engine"} 0.0' in text


def test_slots_are_shown_by_key(tenant: Tenant) -> None:
    run = run_id_of(tenant, {"action": "first", "concurrency_key": "narrow"})
    with acting(tenant):
        run_claim(run)
    with operator_atomic("test"):
        assert [(row.held, row.run_ids) for row in slots() if "narrow" in row.key] == [(1, [run])]


class TestReady:
    def test_a_queue_that_nobody_empties_is_told(self, tenant: Tenant) -> None:
        run = run_id_of(tenant, "first")
        assert queue_part()["state"] == OK
        put(run, last_event_id=uuid7_floor(timezone.now() - timedelta(minutes=2)))
        assert queue_part()["state"] == DEGRADED
        _serves, report = readiness()
        assert "engine" in report["degraded"]

    def test_a_queue_that_moves_is_being_emptied_however_long_it_is(self, tenant: Tenant) -> None:
        waits, held = run_id_of(tenant, "first"), run_id_of(tenant, "first")
        put(waits, last_event_id=uuid7_floor(timezone.now() - timedelta(minutes=2)))
        with acting(tenant):
            run_claim(held)
        assert queue_part()["state"] == OK
        put(held, step_started_at=timezone.now() - timedelta(minutes=2))
        assert queue_part()["state"] == DEGRADED


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"lease_until": Now() - timedelta(seconds=20), "is_ready": False}, "lease"),
        ({**TIMER, "due_at": Now() - timedelta(seconds=20)}, "due"),
        ({"deadline_at": Now() - timedelta(seconds=20)}, "deadline"),
        ({"cancel_requested_at": Now() - timedelta(seconds=40)}, "cancel"),
        ({"crash_attempts": 1}, "crashes"),
    ],
)  # fmt: skip
def test_a_run_is_stuck_for_a_reason(tenant: Tenant, fields: dict[str, object], reason: str) -> None:
    run = run_id_of(tenant, "first")
    with operator_atomic("test"):
        assert runs_stuck() == []
    put(run, **fields)
    with operator_atomic("test"):
        assert [(row.id, row.reasons) for row in runs_stuck()] == [(run, [reason])]


def test_a_run_that_waits_for_a_worker_for_long_is_stuck(tenant: Tenant) -> None:
    run = run_id_of(tenant, "first")
    put(run, last_event_id=uuid7_floor(timezone.now() - timedelta(seconds=90)))
    with operator_atomic("test"):
        assert [(row.id, row.reasons) for row in runs_stuck()] == [(run, ["queue"])]


def done(_ctx: StepContext) -> StepResult:
    return StepResult()


def put(run_id: uuid.UUID, **fields: object) -> None:
    with operator_atomic("test"):
        WorkflowRun.objects.filter(pk=run_id).update(**fields)


def value(metric: object, **labels: str) -> float:
    text = metrics_text().decode()
    name = f"{metric._name}_total"  # type: ignore[attr-defined]
    wanted = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
    found = [line for line in text.splitlines() if line.startswith(f"{name}{{{wanted}}}")]
    return float(found[0].rpartition(" ")[2]) if found else 0.0
