"""What the engine is at now, in all organizations: for operators and their tools. Each needs an operator context.

Every statement reads by a partial index of what is unfinished: its cost does not depend on how many runs have ended.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from workflows_app.models.run import UNFINISHED

# Rows of waiting runs that are looked into for what they wait for.
MOST_WAITING = 20_000

_QUEUES = """
    WITH queue AS (
        SELECT organization_id, count(*) AS depth FROM workflow_runs WHERE is_ready GROUP BY organization_id
    )
    SELECT queue.organization_id, organization.name, queue.depth, head.id,
           extract(epoch FROM statement_timestamp() - head.since)::float8
    FROM queue JOIN organizations AS organization ON organization.id = queue.organization_id
    CROSS JOIN LATERAL (
        SELECT run.id, workflow_ready_since(run.last_event_id, run.created_at, run.due_at) AS since
        FROM workflow_runs AS run WHERE run.is_ready AND run.organization_id = queue.organization_id
        ORDER BY run.queue_rank LIMIT 1
    ) AS head ORDER BY queue.depth DESC, queue.organization_id LIMIT %s
"""
_NOW = """
    WITH heads AS (
        SELECT DISTINCT organization_id FROM workflow_runs WHERE is_ready
    ), leases AS (
        SELECT count(*) AS held, count(*) FILTER (WHERE lease_until < statement_timestamp()) AS expired,
               max(step_started_at) AS last_begun
        FROM workflow_runs WHERE lease_until IS NOT NULL
    ), kinds AS (
        SELECT coalesce(wait ->> 'kind', '') AS kind, count(*) AS number
        FROM (SELECT wait FROM workflow_runs WHERE status = 'waiting' LIMIT %s) AS waiting GROUP BY 1
    ), statuses AS (
        SELECT status, count(*) AS number FROM workflow_runs WHERE status = ANY(%s) GROUP BY 1
    )
    SELECT (SELECT count(*) FROM workflow_runs WHERE is_ready),
           (SELECT extract(epoch FROM statement_timestamp() - min(head.since))::float8 FROM heads CROSS JOIN LATERAL (
               SELECT workflow_ready_since(run.last_event_id, run.created_at, run.due_at) AS since
               FROM workflow_runs AS run WHERE run.is_ready AND run.organization_id = heads.organization_id
               ORDER BY run.queue_rank LIMIT 1) AS head),
           leases.held, leases.expired,
           extract(epoch FROM statement_timestamp() - leases.last_begun)::float8,
           (SELECT coalesce(jsonb_object_agg(kind, number), '{}') FROM kinds),
           (SELECT coalesce(jsonb_object_agg(status, number), '{}') FROM statuses),
           (SELECT min(at) FROM statistics_watermarks),
           (SELECT extract(epoch FROM statement_timestamp() - min(at))::float8 FROM statistics_watermarks)
    FROM leases
"""
_WORKERS = """
    SELECT run.worker, run.id, run.organization_id, organization.name, run.stage,
           run.steps -> run.cursor ->> 'key', run.attempt, run.step_started_at, run.lease_until,
           run.lease_until < statement_timestamp(), run.crash_attempts
    FROM workflow_runs AS run JOIN organizations AS organization ON organization.id = run.organization_id
    WHERE run.lease_until IS NOT NULL ORDER BY run.worker, run.step_started_at LIMIT %s
"""
_SLOTS = """
    SELECT slot.key, slot.organization_id, organization.name, count(*), min(slot.created_at),
           (array_agg(slot.run_id ORDER BY slot.created_at))[1:5]
    FROM workflow_slots AS slot JOIN organizations AS organization ON organization.id = slot.organization_id
    GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1 LIMIT %s
"""


@dataclass(frozen=True)
class EngineNow:
    """The engine's gauges. ``ready`` runs want a worker, the oldest for ``oldest_ready_seconds``; ``leased`` have one.

    ``expired`` leases ran out and nobody took the run yet. ``begun_seconds`` ago a worker began the newest of the steps
    under way; None: no step is. ``waiting`` counts by kind (of 20,000 at most), ``unfinished`` by status. The roll-ups
    are complete up to ``counted_until``.
    """

    ready: int
    oldest_ready_seconds: float | None
    leased: int
    expired: int
    begun_seconds: float | None
    waiting: dict[str, int]
    unfinished: dict[str, int]
    counted_until: datetime
    behind_seconds: float

    @property
    def oldest_ready_ms(self) -> int:
        """For people."""
        return round((self.oldest_ready_seconds or 0) * 1000)


@dataclass(frozen=True)
class Queue:
    """One organization's ready runs; ``head_id`` is the one whose turn is next."""

    organization_id: UUID
    organization: str
    depth: int
    head_id: UUID
    seconds: float

    @property
    def ms(self) -> int:
        """For people."""
        return round(self.seconds * 1000)


@dataclass(frozen=True)
class HeldRun:
    """A run in a worker's hands."""

    worker: str
    run_id: UUID
    organization_id: UUID
    organization: str
    stage: str
    step: str | None
    attempt: int
    step_started_at: datetime | None
    lease_until: datetime
    is_expired: bool
    crash_attempts: int


@dataclass(frozen=True)
class HeldSlots:
    """How many runs hold a concurrency key; ``run_ids`` are the first of them."""

    key: str
    organization_id: UUID
    organization: str
    held: int
    since: datetime
    run_ids: list[UUID]


def engine_now() -> EngineNow:
    """Return the gauges: one statement."""
    row = _rows(_NOW, [MOST_WAITING, [str(status) for status in UNFINISHED]])[0]
    ready, oldest, leased, expired, begun, kinds, statuses, counted_until, behind = row
    counts = json.loads(statuses)
    return EngineNow(
        ready=ready,
        oldest_ready_seconds=oldest,
        leased=leased,
        expired=expired,
        begun_seconds=begun,
        waiting=json.loads(kinds),
        unfinished={str(status): counts.get(status, 0) for status in UNFINISHED},
        counted_until=counted_until,
        behind_seconds=behind,
    )


def queues(*, limit: int = 20) -> list[Queue]:
    """Return the organizations with ready runs, the longest queues first."""
    return [Queue(*row) for row in _rows(_QUEUES, [limit])]


def workers(*, limit: int = 200) -> list[HeldRun]:
    """Return the runs that workers hold, by worker."""
    return [HeldRun(*row) for row in _rows(_WORKERS, [limit])]


def slots(*, limit: int = 50) -> list[HeldSlots]:
    """Return the concurrency keys that are held, the most crowded first."""
    return [HeldSlots(*row) for row in _rows(_SLOTS, [limit])]


def _rows(query: str, values: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
