"""The first page of 50 out of 1,000,000 tasks under row-level security, against the same SQL as the owner."""

import time
from collections.abc import Iterator
from typing import Any

import psycopg

from bench.report import Row, Timing
from bench.system import EMAIL, System

ROWS, TENANTS, REPEATS = 1_000_000, 20, 200

FILL = """
    INSERT INTO tasks (id, organization_id, user_id, workspace_key, title, input_text, created_at, updated_at{names})
    SELECT gen_random_uuid(), (%(tenants)s::uuid[])[1 + n %% {tenants}], NULL, 'article', 'Task ' || n, 'bench',
           now() - n * interval '1 second', now(){values}
    FROM generate_series(1, {rows}) n
"""
PAGE = """
    SELECT id, title, workspace_key, status, current_stage, cost_usd, created_at FROM tasks
    WHERE organization_id = %(organization)s{before} ORDER BY created_at DESC, id DESC LIMIT 50
"""
CONTEXT = (
    "SELECT set_config('app.organization_id', %(organization)s, true), set_config('app.operator', %(operator)s, true)"
)


def measure(system: System) -> Iterator[Row]:
    """Yield p50 and p95 of the first page and of a page 30,000 rows deep."""
    runtime = system.runtime()
    with psycopg.connect(runtime["DATABASE_OWNER_URL"], autocommit=True) as owner:
        organization = _fill(owner)
        with psycopg.connect(runtime["DATABASE_URL"], autocommit=True) as app:
            for name, before in (("first page", ""), ("deep page", " AND created_at < now() - interval '7 days'")):
                ours = _time(app, organization, operator="", before=before)
                reference = _time(owner, organization, operator="bench", before=before)
                yield Row(
                    f"50 of 1,000,000 tasks, {name}, p50", ours.p50_ms, reference.p50_ms, "ms", "same SQL as owner"
                )
                yield Row(
                    f"50 of 1,000,000 tasks, {name}, p95", ours.p95_ms, reference.p95_ms, "ms", "same SQL as owner"
                )


def _fill(owner: "psycopg.Connection[Any]") -> str:
    with owner.transaction():
        owner.execute(CONTEXT, {"organization": "", "operator": "bench"})
        tenants = _tenants(owner)
        names, values = _columns(owner)
        owner.execute(FILL.format(names=names, values=values, tenants=len(tenants), rows=ROWS), {"tenants": tenants})
    owner.execute("VACUUM ANALYZE tasks")
    return tenants[0]


def _tenants(owner: "psycopg.Connection[Any]") -> list[str]:
    owner.execute(
        "INSERT INTO organizations (id, name, is_personal, created_at)"
        " SELECT gen_random_uuid(), 'bench ' || n, false, now() FROM generate_series(1, %s) n",
        [TENANTS],
    )
    return [str(row[0]) for row in owner.execute("SELECT id FROM organizations WHERE name LIKE 'bench %'").fetchall()]


def _columns(owner: "psycopg.Connection[Any]") -> tuple[str, str]:
    """Return the other columns that must not be NULL, each with an empty value: Django keeps defaults to itself."""
    named = ("id", "organization_id", "user_id", "workspace_key", "title", "input_text", "created_at", "updated_at")
    empty = {"character varying": "''", "text": "''", "jsonb": "'{}'", "boolean": "false"}
    rows = owner.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_name = 'tasks' AND is_nullable = 'NO' AND column_default IS NULL AND column_name <> ALL(%s)",
        [list(named)],
    ).fetchall()
    values = {name: "'active'" if name == "status" else empty.get(kind, "0") for name, kind in rows}
    return "".join(f", {name}" for name in values), "".join(f", {value}" for value in values.values())


def _time(connection: "psycopg.Connection[Any]", organization: str, *, operator: str, before: str) -> Timing:
    samples = []
    for _ in range(REPEATS):
        with connection.transaction():
            connection.execute(CONTEXT, {"organization": organization, "operator": operator})
            began = time.perf_counter()
            rows = connection.execute(PAGE.format(before=before), {"organization": organization}).fetchall()
            samples.append(time.perf_counter() - began)
        if len(rows) != 50:
            raise RuntimeError(f"A page of {EMAIL}'s peers has {len(rows)} rows, not 50.")
    return Timing(tuple(samples))
