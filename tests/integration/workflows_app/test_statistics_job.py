"""The job that keeps the roll-ups beside writers that commit late, beside itself, and killed."""

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction

from accounts_app.tenancy.context import Tenant, operator_atomic, operator_context
from tests.factories.statistics import Ending, Past, run_with_past
from tests.factories.workflows import acting, made_up_config, owner
from workflows_app.models import RunStatistic, WorkflowConfig
from workflows_app.reads.statistics import executions_statistics
from workflows_app.services.statistics import statistics_roll_up

pytestmark = [pytest.mark.usefixtures("committed_db"), pytest.mark.odd_runs("their pasts are made up")]


def test_what_is_committed_late_is_counted_all_the_same() -> None:
    """A run ends; before its transaction commits, the job runs, and another run ends and is committed."""
    tenant = owner()
    config = made_up_config(tenant, "a")
    wrote, counted = threading.Event(), threading.Event()

    def slow_writer() -> None:
        with operator_atomic("test"):
            run_ends_now(tenant, config)
            wrote.set()
            assert counted.wait(60)

    with beside(slow_writer):
        assert wrote.wait(60)
        with operator_atomic("test"):
            run_ends_now(tenant, config)
        roll_up()
        assert completed(tenant) == 0
        counted.set()
    roll_up()
    assert completed(tenant) == 2
    roll_up()
    assert completed(tenant) == 2


def test_two_jobs_at_once_count_each_run_once() -> None:
    tenant = owner()
    config = made_up_config(tenant, "a")
    with operator_atomic("test"):
        for _number in range(40):
            run_ends_now(tenant, config)
    jobs = [beside(lambda: roll_up(batch=7)) for _number in range(4)]
    for job in jobs:
        job.__enter__()
    for job in jobs:
        job.__exit__(None, None, None)
    roll_up()
    assert completed(tenant) == 40


def test_a_job_that_is_killed_has_counted_nothing() -> None:
    """Killed -9 after it has counted and before it commits; the next one counts it once."""
    tenant = owner()
    config = made_up_config(tenant, "a")
    with operator_atomic("test"):
        run_ends_now(tenant, config)
    statement = "SELECT workflow_count_runs(0, 20000)"
    job = subprocess.Popen([sys.executable, "-c", _HANGING, _address(), statement], stdout=subprocess.PIPE, text=True)
    try:
        assert job.stdout is not None
        assert job.stdout.readline().strip() == "counted"
    finally:
        job.kill()
        job.wait()
        if job.stdout is not None:
            job.stdout.close()
    # The server notices that the connection is gone, and gives the watermark free.
    wait_for(lambda: bool(roll_up()) or completed(tenant) == 1)
    assert completed(tenant) == 1
    with operator_atomic("test"):
        rows = RunStatistic.objects.filter(config_id=config.id, organization__isnull=True, grain="day")
        assert sum(row.count for row in rows if row.status == "completed") == 1


_HANGING = """
import sys, time, psycopg
with psycopg.connect(sys.argv[1]) as connection:
    connection.execute("SELECT set_config('app.operator', 'test', true)")
    connection.execute(sys.argv[2])
    print("counted", flush=True)
    time.sleep(60)
"""


class beside:  # noqa: N801 - reads as a word: with beside(work)
    """Do work in another thread meanwhile; raises what it raised."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._errors: list[Exception] = []
        self._thread = threading.Thread(target=self._run, args=(work,))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._thread.join(90)
        assert not self._errors, self._errors

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - told in the test's own thread
            self._errors.append(error)
        finally:
            connection.close()


def run_ends_now(tenant: Tenant, config: WorkflowConfig) -> UUID:
    # As the engine does: the database's time, within the transaction that writes it.
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (ended,) = cursor.fetchone()
    took = timedelta(seconds=3)
    return run_with_past(tenant, config, Past(ended - took, timedelta(0), (Ending("completed", took),)))


def roll_up(**given: Any) -> int:
    with operator_context("test"):
        return statistics_roll_up(lag=0, **given)


def completed(tenant: Tenant) -> int:
    today = datetime.now(UTC).date()
    assert tenant.organization_id is not None
    with acting(tenant):
        figures = executions_statistics(
            organization_id=tenant.organization_id, since=today - timedelta(days=1), until=today
        )
    return figures.totals["completed"]


def wait_for(predicate: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _try in range(100):
        if predicate():
            return
        pause.wait(0.1)
    raise AssertionError("It did not come to be.")


def _address() -> str:
    with transaction.atomic():
        connection.ensure_connection()
        info = connection.connection.info
        return str(info.dsn) + f" password={info.password}"
