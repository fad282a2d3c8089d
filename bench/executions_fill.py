"""A past for the benchmark of executions: runs, ten events each, and the days' roll-up, written by SQL."""

import json
import os
from typing import Any

import psycopg

RUNS = int(os.environ.get("BENCH_RUNS", "100000"))
TENANTS, TEMPLATES, DAYS, EVENTS = 20, 8, 20, 10
# The first tenant has so many of ten runs: its list is long, and not all that there is.
SHARE = 6
CONTEXT = (
    "SELECT set_config('app.organization_id', %(organization)s, true), set_config('app.operator', %(operator)s, true)"
)
_STEPS = json.dumps([{"key": f"step{n}", "action": "generate", "via": "prompts/text", "attempts": 3} for n in range(5)])
_NAMED = {
    "id": "(at_hex || '7' || substr(hash, 1, 3) || '8' || substr(hash, 4, 15))::uuid",
    "organization_id": "owner",
    "config_id": "(%(configs)s::uuid[])[1 + (n / 3) %% {templates}]",
    "workspace_key": "'general'",
    "scope": "'workflow'",
    "idempotency_key": "'bench-' || n",
    "status": "status",
    "stage": "'A'",
    "steps": "%(steps)s::jsonb",
    "context": "jsonb_build_object('brief', repeat('An article about the rings of Saturn. ', 8), 'number', n)",
    "signals": "'[]'",
    "error": """CASE WHEN status = 'failed' THEN jsonb_build_object('code', (ARRAY['provider_error', 'step_timeout',
        'rejected'])[1 + n %% 3], 'message', 'Attempt ' || n || ' at the model did not give an answer in time.') END""",
    "wait": 'CASE WHEN status = \'waiting\' THEN \'{{"kind": "signal", "signal": "go"}}\'::jsonb END',
    "cost_usd": "(n %% 100) * 0.0001",
    "event_seq": str(EVENTS),
    "trace_id": "hash",
    "created_at": "at",
    "started_at": "at + interval '20 ms'",
    "finished_at": "CASE WHEN status <> 'waiting' THEN at + make_interval(secs => 1 + n %% 60) END",
    "announced_at": "CASE WHEN status <> 'waiting' THEN at + make_interval(secs => 1 + n %% 60) END",
}
_RUNS = """
    INSERT INTO workflow_runs ({names})
    SELECT {values} FROM (
        SELECT n, at, md5(n::text) AS hash, lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') AS at_hex,
               CASE WHEN n %% 10 < {share} THEN (%(tenants)s::uuid[])[1]
                    ELSE (%(tenants)s::uuid[])[2 + n %% {others}] END AS owner,
               CASE WHEN n %% 100 < 90 THEN 'completed' WHEN n %% 100 < 96 THEN 'failed'
                    WHEN n %% 100 < 99 THEN 'cancelled' ELSE 'waiting' END AS status
        FROM (SELECT n, now() - n * (interval '1 day' * {days} / {runs}) AS at FROM generate_series(1, {runs}) n) one
    ) AS run
"""
_CONFIGS = """
    INSERT INTO workflow_configs ({names}) SELECT {values} FROM generate_series(1, %s) n RETURNING id
"""
# An event's id is its run's with its number at the end, so that the chain needs no second look.
_EVENTS = """
    INSERT INTO run_events (id, organization_id, run_id, seq, prev_event_id, type, step_key, attempt, data, trace_id,
                            created_at)
    SELECT (left(run.id::text, 28) || lpad(to_hex(seq), 8, '0'))::uuid, run.organization_id, run.id, seq,
           CASE WHEN seq > 1 THEN (left(run.id::text, 28) || lpad(to_hex(seq - 1), 8, '0'))::uuid END,
           CASE WHEN seq = 1 THEN 'run.created' WHEN seq = %(events)s THEN 'run.' || run.status
                WHEN seq %% 2 = 0 THEN 'step.started' ELSE 'step.completed' END,
           'step' || seq / 2, 1, jsonb_build_object('output', jsonb_build_object('tokens', seq * 100)), run.trace_id,
           run.created_at + seq * interval '100 ms'
    FROM workflow_runs AS run, generate_series(1, %(events)s) AS seq
    WHERE run.idempotency_key LIKE 'bench-%%'
"""
_ROLL_UP = """
    INSERT INTO run_statistics (organization_id, grain, since, config_id, kind, status, error_code, bucket, count,
                                cost_usd, duration_ms, example_id)
    SELECT organization_id, 'day', date_trunc('day', created_at, 'UTC'), config_id, 'workflow', status, '',
           workflow_statistics_bucket(ms), count(*), sum(cost_usd), sum(ms)::bigint, (array_agg(id))[1]
    FROM (SELECT *, extract(epoch FROM finished_at - started_at)::double precision * 1000 AS ms FROM workflow_runs
          WHERE idempotency_key LIKE 'bench-%%' AND finished_at IS NOT NULL) AS run
    GROUP BY 1, 3, 4, 6, 8
"""


def fill(owner: "psycopg.Connection[Any]", organization: str) -> None:
    """Write the past; ``organization`` gets the most of it."""
    owner.execute("SET synchronous_commit = off")
    _forget_references(owner)
    with owner.transaction():
        owner.execute(CONTEXT, {"organization": "", "operator": "bench"})
        configs = _templates(owner)
        given = {"tenants": [organization, *_tenants(owner)], "configs": configs, "steps": _STEPS}
        columns = {**_others(owner, "workflow_runs"), **_NAMED}
        sizes = {"templates": TEMPLATES, "share": SHARE, "others": TENANTS - 1, "days": DAYS, "runs": RUNS}
        values = ", ".join(columns.values()).format(**sizes)
        owner.execute(_RUNS.format(names=", ".join(columns), values=values, **sizes), given)
        owner.execute(_EVENTS, {"events": EVENTS})
        owner.execute(_ROLL_UP)
    for table in ("workflow_runs", "run_events", "run_statistics"):
        owner.execute(f"VACUUM ANALYZE {table}")


def _forget_references(owner: "psycopg.Connection[Any]") -> None:
    """Ten million looks at the runs that the rows were made of: the database is thrown away afterwards."""
    named = owner.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'run_events'::regclass AND contype = 'f'"
    ).fetchall()
    for (name,) in named:
        owner.execute(f'ALTER TABLE run_events DROP CONSTRAINT "{name}"')


def _tenants(owner: "psycopg.Connection[Any]") -> list[str]:
    made = owner.execute(
        "INSERT INTO organizations (id, name, is_personal, created_at)"
        " SELECT gen_random_uuid(), 'bench ' || n, false, now() FROM generate_series(2, %s) n RETURNING id",
        [TENANTS],
    )
    return [str(row[0]) for row in made.fetchall()]


def _templates(owner: "psycopg.Connection[Any]") -> list[str]:
    named = {
        "id": "gen_random_uuid()",
        "workspace_key": "'general'",
        "version": "'9.' || n",
        "name": "'bench ' || n",
        "status": "'published'",
        "published_at": "now()",
        "created_at": "now()",
    }
    columns = {**_others(owner, "workflow_configs"), **named}
    names, values = ", ".join(columns), ", ".join(columns.values()).replace("{{}}", "{}")
    made = owner.execute(_CONFIGS.format(names=names, values=values), [TEMPLATES])
    return [str(row[0]) for row in made.fetchall()]


def _others(owner: "psycopg.Connection[Any]", table: str) -> dict[str, str]:
    """The other columns that must not be NULL, each with an empty value: Django keeps defaults to itself."""
    empty = {"character varying": "''", "text": "''", "jsonb": "'{{}}'", "boolean": "false"}
    empty |= {"timestamp with time zone": "now()"}
    rows = owner.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_name = %s AND is_nullable = 'NO' AND column_default IS NULL",
        [table],
    ).fetchall()
    return {name: empty.get(kind, "0") for name, kind in rows}
