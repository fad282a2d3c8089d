"""Two workers that hear the same alarm at once."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from accounts_app.tenancy.context import operator_atomic, operator_context
from tests.factories.schedules import scheduled
from tests.factories.workflows import acting, owner
from workflows_app.models import WorkflowRun, WorkflowSchedule
from workflows_app.services.schedule_ticks import schedule_tick

pytestmark = pytest.mark.usefixtures("committed_db")


def test_eight_who_hear_one_alarm_start_one_run() -> None:
    tenant = owner()
    schedule = scheduled(tenant, cron="* * * * *", max_overlap=100)
    with operator_atomic("test"):
        WorkflowSchedule.objects.filter(pk=schedule.pk).update(next_run_at=datetime.now(UTC) - timedelta(seconds=1))
    barrier = threading.Barrier(8)

    def hear() -> None:
        barrier.wait()
        with operator_context("test"):
            schedule_tick(schedule_id=schedule.pk)
        connections.close_all()

    threads = [threading.Thread(target=hear) for _number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with acting(tenant):
        assert WorkflowRun.objects.filter(idempotency_key__startswith=f"schedule:{schedule.pk}:").count() == 1
