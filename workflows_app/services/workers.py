"""Workers as operators see them: who is there, what each has in hand, and how one is let go without losing a step."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from celery import current_app
from django.db.models.functions import Now
from kombu import Connection

from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import operator_atomic
from config.broker import broker_ask, broker_errors
from workflows_app.exceptions import BrokerAway
from workflows_app.models import WorkflowRun
from workflows_app.services.worker_control import DRAIN, STATE

# Seconds in which workers answer. One whose every thread is busy answers too: it has a hand of its own for this.
PATIENCE = 1.0


@dataclass(frozen=True)
class HeldRun:
    """A run in a worker's hands, and the step that it is at."""

    id: UUID
    organization: str
    step: str
    since: datetime | None


@dataclass(frozen=True)
class Worker:
    """One worker process. ``place`` is host:pid, as in runs. One that holds runs and says nothing has no name."""

    name: str
    place: str
    queues: tuple[str, ...] = ()
    threads: int = 0
    since: datetime | None = None
    is_draining: bool = False
    runs: tuple[HeldRun, ...] = ()


def workers_list(*, patience: float = PATIENCE) -> list[Worker]:
    """Return the workers that answer within ``patience`` seconds, then those that only hold runs. Raises BrokerAway."""
    held = _held()
    answering = [
        Worker(
            name=name,
            place=said["place"],
            queues=tuple(said["queues"]),
            threads=said["threads"],
            since=datetime.fromtimestamp(said["since"], UTC),
            is_draining=said["is_draining"],
            runs=held.pop(said["place"], ()),
        )
        for name, said in sorted(_asked(STATE, patience).items())
    ]
    return answering + [Worker(name="", place=place, runs=runs) for place, runs in sorted(held.items())]


def workers_drain(*, names: Collection[str] | None = None, patience: float = PATIENCE) -> list[str]:
    """Tell workers (all, or these) to finish the steps they are at, hand over their runs and leave; audited.

    Returns the names of those that heard it. They leave when their steps are done: see `workers_left`. Raises
    BrokerAway.
    """
    heard = sorted(_asked(DRAIN, patience, names))
    with operator_atomic("workers-drain"):
        for name in heard:
            audit_record(action="worker.drain", target_type="worker", target_id=name)
    return heard


def workers_left(*, places: Collection[str], timeout: float) -> set[str]:
    """Wait until the workers at these places have gone, at most ``timeout`` seconds; returns who is still there."""
    until = time.monotonic() + timeout
    while True:
        here = {worker.place for worker in workers_list()} & set(places)
        if not here or time.monotonic() > until:
            return here
        time.sleep(0.2)


def _asked(command: str, patience: float, names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
    destination = None if names is None else sorted(names)

    def ask(connection: Connection) -> Any:
        return current_app.control.broadcast(
            command, reply=True, timeout=patience, destination=destination, connection=connection
        )

    try:
        answers = broker_ask(ask)
    except broker_errors() as error:
        raise BrokerAway from error
    return {name: said for answer in answers or [] for name, said in answer.items() if "place" in said}


def _held() -> dict[str, tuple[HeldRun, ...]]:
    held: dict[str, tuple[HeldRun, ...]] = {}
    with operator_atomic("workers-list"):
        runs = WorkflowRun.objects.filter(lease_until__gt=Now()).select_related("organization").order_by("created_at")
        for run in runs.defer("context"):
            step = run.steps[run.cursor].get("key", "") if run.attempt else ""
            one = HeldRun(run.id, run.organization.name, step, run.step_started_at)
            held[run.worker] = (*held.get(run.worker, ()), one)
    return held
