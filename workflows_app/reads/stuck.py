"""Runs that something is wrong with, and what. Bounded: looks at what is held, due, or next in the queue only."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Seconds. The reaper comes each second, so these are several of its turns.
LATE, CANCEL_LATE, QUEUE_LATE = 5, 30, 60
# Rows of each kind that are looked at.
LOOKED_AT = 1_000

REASONS: dict[str, Promise | str] = {
    "lease": _("Its worker's lease ran out, and nobody took it"),
    "due": _("Waits beyond its time"),
    "deadline": _("Is past its deadline"),
    "cancel": _("Was asked to stop, and goes on"),
    "crashes": _("Workers went away at its step"),
    "queue": _("Wants a worker, and gets none"),
}

_STUCK = """
    WITH looked_at AS (
        (SELECT id FROM workflow_runs WHERE lease_until IS NOT NULL ORDER BY lease_until LIMIT %(most)s)
        UNION
        (SELECT id FROM workflow_runs WHERE is_ready ORDER BY priority DESC, queue_rank LIMIT %(most)s)
        UNION
        (SELECT id FROM workflow_runs WHERE due_at IS NOT NULL
         AND due_at < statement_timestamp() - %(late)s * interval '1 s' ORDER BY due_at LIMIT %(most)s)
        UNION
        (SELECT id FROM workflow_runs WHERE deadline_at IS NOT NULL AND finished_at IS NULL
         AND deadline_at < statement_timestamp() - %(late)s * interval '1 s' ORDER BY deadline_at LIMIT %(most)s)
    ), judged AS (
        SELECT run.*, array_remove(ARRAY[
            CASE WHEN run.lease_until < statement_timestamp() - %(late)s * interval '1 s' THEN 'lease' END,
            CASE WHEN run.status = 'waiting' AND NOT run.is_ready AND run.lease_until IS NULL
                AND run.due_at < statement_timestamp() - %(late)s * interval '1 s' THEN 'due' END,
            CASE WHEN run.finished_at IS NULL
                AND run.deadline_at < statement_timestamp() - %(late)s * interval '1 s' THEN 'deadline' END,
            CASE WHEN run.finished_at IS NULL
                AND run.cancel_requested_at < statement_timestamp() - %(cancel)s * interval '1 s' THEN 'cancel' END,
            CASE WHEN run.crash_attempts > 0 THEN 'crashes' END,
            CASE WHEN run.is_ready AND workflow_ready_since(run.last_event_id, run.created_at, run.due_at)
                < statement_timestamp() - %(queue)s * interval '1 s' THEN 'queue' END
        ], NULL) AS reasons
        FROM workflow_runs AS run WHERE run.id = ANY(ARRAY(SELECT id FROM looked_at))
    )
    SELECT judged.id, judged.organization_id, organization.name, config.name, config.version, judged.stage,
           judged.status, judged.worker, judged.crash_attempts,
           workflow_ready_since(judged.last_event_id, judged.created_at, judged.due_at), judged.reasons
    FROM judged JOIN organizations AS organization ON organization.id = judged.organization_id
    JOIN workflow_configs AS config ON config.id = judged.config_id
    WHERE judged.reasons <> '{}' ORDER BY 10, judged.id LIMIT %(limit)s
"""


@dataclass(frozen=True)
class StuckRun:
    """A run and what is wrong with it: keys of `REASONS`. ``since``: when something last happened to it."""

    id: UUID
    organization_id: UUID
    organization: str
    template: str
    version: str
    stage: str
    status: str
    worker: str
    crash_attempts: int
    since: datetime
    reasons: list[str]

    @property
    def words(self) -> "list[Promise | str]":
        """The reasons, for people."""
        return [REASONS[reason] for reason in self.reasons]


def runs_stuck(*, limit: int = 50) -> list[StuckRun]:
    """Return the runs that are stuck, the longest first; in an operator context."""
    values = {
        "most": LOOKED_AT, "late": LATE, "cancel": CANCEL_LATE, "queue": QUEUE_LATE, "limit": limit,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_STUCK, values)
        return [StuckRun(*row) for row in cursor.fetchall()]
