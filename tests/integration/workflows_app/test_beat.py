"""Beat's two sources: the rooms' jobs from the code, people's schedules from rows; and a schedule from end to end."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from celery.beat import ScheduleEntry
from django_celery_beat.models import PeriodicTask

from accounts_app.tenancy.context import Tenant, operator_atomic
from config.beat import PAUSE, TwoSourceScheduler
from tests.factories.schedules import scheduled
from tests.factories.workflows import acting, made_up_config, owner
from tests.support.gate import Gate
from tests.support.processes import wait_until
from tests.support.stack import Stack
from workflows_app.models import WorkflowRun, WorkflowSchedule
from workflows_app.reads.schedules import schedule_list
from workflows_app.services.schedules import schedule_pause, schedule_remove

pytestmark = pytest.mark.usefixtures("committed_db")


class Outbox(TwoSourceScheduler):
    """Keeps what it would send."""

    def __init__(self, **options: Any) -> None:
        self.sent: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
        super().__init__(**options)

    def _tick_rows(self) -> float:
        if self.rows is not None:
            self.rows.apply_async = self.apply_async
        return super()._tick_rows()

    def apply_async(self, entry: ScheduleEntry, *arguments: Any, **options: Any) -> Any:
        """Note what is due."""
        self.sent.append((entry.task or "", dict(entry.kwargs or {}), dict(entry.options or {})))
        return None


@pytest.fixture
def beat(tmp_path: Path) -> Iterator[Outbox]:
    scheduler = Outbox(app=current_app, schedule_filename=str(tmp_path / "beat"))
    yield scheduler
    scheduler.close()


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    tenant = owner()
    yield tenant
    # Its alarms would ring in other tests.
    with acting(tenant):
        for schedule in schedule_list():
            schedule_remove(schedule_id=schedule.pk)


def rung(beat: Outbox) -> list[str]:
    return [kwargs["schedule_id"] for task, kwargs, _options in beat.sent if task == "workflows.schedule_tick"]


def wound_back(schedule: WorkflowSchedule) -> None:
    """Let the alarm have rung an hour ago, as beat would have kept it."""
    row = PeriodicTask.objects.get(name=f"schedule:{schedule.pk}")
    row.last_run_at = datetime.now(UTC) - timedelta(hours=1)
    row.save()


def test_the_rooms_jobs_keep_their_second_and_their_expiry(beat: Outbox) -> None:
    entry: Any = beat.schedule["workflows-reap"]
    assert (entry.schedule.run_every.total_seconds(), entry.options["expires"]) == (1.0, 2.0)
    assert beat.tick() <= 1.0
    wait_until(lambda: beat.tick() >= 0 and any(task == "workflows.reap" for task, *_rest in beat.sent), 10)
    assert not PeriodicTask.objects.filter(task="workflows.reap").exists()


def test_a_schedule_made_while_beat_runs_rings(beat: Outbox, tenant: Tenant) -> None:
    beat.tick()
    schedule = scheduled(tenant, cron="* * * * *")
    wound_back(schedule)
    wait_until(lambda: beat.tick() >= 0 and str(schedule.pk) in rung(beat), 20)
    options = next(options for task, _kwargs, options in beat.sent if task == "workflows.schedule_tick")
    assert (options["queue"], options["expires"]) == ("work", 60)


def test_a_paused_schedule_does_not_ring(beat: Outbox, tenant: Tenant) -> None:
    schedule = scheduled(tenant, cron="* * * * *")
    with acting(tenant):
        schedule_pause(schedule_id=schedule.pk)
    wound_back(schedule)
    beat.tick()
    beat.tick()
    assert str(schedule.pk) not in rung(beat)


def test_without_postgres_the_rooms_jobs_go_on(beat: Outbox, database_gate: Gate) -> None:
    beat.tick()
    database_gate.shut()
    before = len(beat.sent)
    wait_until(lambda: 0 <= beat.tick() <= PAUSE and len(beat.sent) > before, 40)
    database_gate.open()
    wait_until(lambda: beat.tick() >= 0 and beat.rows is not None, 40)


def test_a_schedule_is_carried_out_by_beat_and_workers(stack: Stack, tenant: Tenant) -> None:
    stack.spawn_beat()
    config = made_up_config(tenant, {"action": "wait", "params": {"seconds": 0.05}})
    schedule = scheduled(tenant, template=str(config.pk), cron="* * * * *", input={"brief": "tea"})
    with operator_atomic("test"):
        WorkflowSchedule.objects.filter(pk=schedule.pk).update(next_run_at=datetime.now(UTC))

    def done() -> bool:
        with acting(tenant):
            return WorkflowRun.objects.filter(config=config, status="completed").exists()

    def said() -> str:
        with operator_atomic("test"):
            rows = [*WorkflowSchedule.objects.filter(pk=schedule.pk).values()]
            runs = WorkflowRun.objects.filter(config=config).values("status", "is_ready", "worker", "wait", "due_at")
            return json.dumps([*rows, *runs], default=str)

    wait_until(done, 90, said)
