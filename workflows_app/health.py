"""Whether the engine's queue is being emptied, for ``/ready``."""

from typing import Any

from django.db import connection

from accounts_app.tenancy.context import operator_atomic
from config.health import DEGRADED, OK

# Seconds without a run being taken, while the next ones wait for longer than that.
STALLED = 60
# Some of the next in the queue are enough to tell; a long queue is no reason to look at all of it.
_NEXT = 100

_QUERY = """
    SELECT coalesce(extract(epoch FROM statement_timestamp() - (
               SELECT min(workflow_ready_since(last_event_id, created_at, due_at)) FROM (
                   SELECT last_event_id, created_at, due_at FROM workflow_runs WHERE is_ready
                   ORDER BY priority DESC, queue_rank LIMIT %s) AS next)), 0)::float8,
           EXISTS (SELECT FROM workflow_runs WHERE lease_until > statement_timestamp()
                   AND step_started_at > statement_timestamp() - %s * interval '1 s')
"""


def queue_part() -> dict[str, Any]:
    """Return the part ``engine``: degraded where runs want a worker and for a minute none was given one.

    Many runs that wait are no trouble by themselves: a queue that moves is being emptied.
    """
    with operator_atomic("readiness"), connection.cursor() as cursor:
        cursor.execute(_QUERY, [_NEXT, STALLED])
        seconds, moves = cursor.fetchone()
    stalled = seconds > STALLED and not moves
    return {"state": DEGRADED if stalled else OK, "oldest_ready_seconds": round(seconds, 1)}
