"""Celery's side of the engine."""

from functools import partial
from importlib import import_module
from typing import Any
from uuid import UUID

from celery.concurrency.base import BasePool
from celery.concurrency.thread import TaskPool
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import close_old_connections

from accounts_app.services.jobs import system_task
from workflows_app.services.alarms import TICK
from workflows_app.services.archive import retention_begins, runs_archive
from workflows_app.services.dispatch import ADVANCE, ring_through_broker
from workflows_app.services.doorbell import HANDS, Doorkeeper
from workflows_app.services.execution import DRAINING, runs_work
from workflows_app.services.orphans import streams_tidy
from workflows_app.services.reaper import runs_reap
from workflows_app.services.schedule_ticks import schedule_tick, schedules_sweep
from workflows_app.services.statistics import statistics_prune, statistics_roll_up

# Under the hourly beat, and under the broker's patience with a job that is not done.
ARCHIVE_SECONDS = 1500.0

# Commands that a worker understands are known once they are imported.
import_module("workflows_app.services.worker_control")


@system_task("workflow-worker", name=ADVANCE, queue=settings.WORKFLOW_QUEUE)
def advance(**_of_older_senders: Any) -> int:
    """Carry on what the queue holds."""
    with HANDS.one():
        return runs_work()


@system_task("workflow-reaper", name="workflows.reap", queue="work")
def reap() -> int:
    """Send again what no worker has, give up what no worker survives."""
    return runs_reap()


@system_task("workflow-streams", name="workflows.tidy_streams", queue="work")
def tidy_streams() -> int:
    """Close the streams that nobody closes."""
    return streams_tidy()


@system_task("workflow-statistics", name="workflows.statistics", queue="work")
def roll_up_statistics() -> int:
    """Count what happened since the last time."""
    return statistics_roll_up()


@system_task("workflow-statistics", name="workflows.prune_statistics", queue="work")
def prune_statistics() -> int:
    """Drop the minutes and hours that no page asks for any more."""
    return statistics_prune()


@system_task("workflow-archive", name="workflows.archive", queue="work")
def archive() -> int:
    """Move the months of histories that are past their retention to the file storage; what is left comes next time."""
    before = retention_begins()
    return len(runs_archive(before=before, seconds=ARCHIVE_SECONDS)) if before else 0


@system_task("workflow-schedules", name=TICK, queue="work")
def tick_schedule(schedule_id: str) -> str | None:
    """Beat's alarm rang: start what the schedule is due for."""
    run_id = schedule_tick(schedule_id=UUID(schedule_id))
    return str(run_id) if run_id else None


@system_task("workflow-schedules", name="workflows.sweep_schedules", queue="work")
def sweep_schedules() -> int:
    """Start what is due although no alarm rang."""
    return schedules_sweep()


@worker_ready.connect
def attend_door(sender: Any, **_signal: Any) -> None:
    """Hear rings at the door, if this worker serves runs: its pool does what a message would make it do."""
    if settings.WORKFLOW_QUEUE in sender.app.amqp.queues.consume_from:
        # Other pools than threads are served by one thread of Celery's alone: there, a ring becomes a message.
        answer = partial(_hand_over, sender.pool) if isinstance(sender.pool, TaskPool) else ring_through_broker
        Doorkeeper(answer, hands=HANDS, limit=sender.pool.limit, leaving=DRAINING).start()


def _hand_over(pool: BasePool) -> None:
    HANDS.take()
    try:
        pool.apply_async(_advance, callback=_told_nobody)
    except RuntimeError:  # the pool is closed
        HANDS.give()
        raise


def _advance() -> None:
    # The task itself counts the hand from here on, and logs what fails. Connections are looked at as Celery has it.
    HANDS.give()
    close_old_connections()
    try:
        advance()
    finally:
        close_old_connections()


def _told_nobody(_answer: object) -> None:
    """Take the pool's answer, as it asks of its callers."""


@worker_shutting_down.connect
def drain(**_signal: Any) -> None:
    """A worker that is told to stop finishes the step it is at, not the whole run."""
    DRAINING.set()
