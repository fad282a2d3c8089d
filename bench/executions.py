"""The API of executions among many: 100,000 runs and 1,000,000 events, or as many runs as BENCH_RUNS says.

The statements that our reads send under row-level security, against the plain SQL of the same as the owner; and the
whole answer over HTTP, against that of an organization with one page of runs.
"""

import http.client
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from bench.executions_fill import CONTEXT, RUNS, fill
from bench.report import Row, Timing
from bench.system import EMAIL, System

REPEATS, REQUESTS = 100, 60
SMALL = "small@example.com"
_PAGE = """
    SELECT run.id, run.status, run.stage, run.cost_usd, run.error, run.created_at, run.finished_at, config.name,
           config.version
    FROM workflow_runs AS run JOIN workflow_configs AS config ON config.id = run.config_id
    WHERE run.organization_id = %(organization)s {where}
    ORDER BY run.created_at DESC, run.id DESC LIMIT 51
"""
_STATISTICS = """
    SELECT config_id, (created_at AT TIME ZONE 'UTC')::date, status, count(*), sum(cost_usd),
           percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY finished_at - started_at)
    FROM workflow_runs WHERE organization_id = %(organization)s AND created_at >= now() - interval '7 days'
    GROUP BY GROUPING SETS ((status), (config_id, status), (2, status))
"""
_HISTORY = """
    SELECT seq, type, step_key, attempt, prev_event_id, created_at, data FROM run_events
    WHERE organization_id = %(organization)s AND run_id = %(run)s AND seq > 2 ORDER BY seq LIMIT 201
"""


@dataclass(frozen=True)
class Case:
    """One question: our read, the plain SQL of it, and its address below /api/v1/executions."""

    name: str
    read: Callable[[], Any]
    plain: str
    address: str = ""


def measure(system: System) -> Iterator[Row]:
    """Yield p95 of the statements of each page, and of the first pages over HTTP."""
    runtime = system.runtime()
    small = system.manage("create_api_key", SMALL, "--create-user").splitlines()[-1]
    with psycopg.connect(runtime["DATABASE_OWNER_URL"], autocommit=True) as owner:
        organization = _organization(owner, EMAIL)
        fill(owner, organization)
        _a_page_of(owner, organization, _organization(owner, SMALL))
        _as_the_application(runtime)
        given = _given(owner, organization)
        cases = list(_cases(given))
        with psycopg.connect(runtime["DATABASE_URL"], autocommit=True) as app:
            for case in cases:
                said = _statements(case.read, organization)
                # By turns, so that both have the same neighbours.
                ours, plain = _by_turns(
                    partial(_once, app, said, {"organization": organization, "operator": ""}),
                    partial(_once, owner, [case.plain], {**given, "operator": "bench"}),
                    times=REPEATS,
                )
                note = "plain SQL as owner"
                yield Row(f"of {RUNS:,} runs: {case.name}, p95", ours.p95_ms, plain.p95_ms, "ms", note)
    for case in cases:
        if case.address:
            large, little = _by_turns(
                *(_asker(system.port, case.address, key) for key in (system.key, small)), times=REQUESTS
            )
            note = "an organization with 50 runs"
            yield Row(f"of {RUNS:,} runs: GET {case.name}, p95", large.p95_ms, little.p95_ms, "ms", note)


def _cases(given: dict[str, str]) -> Iterator[Case]:
    from datetime import timedelta
    from uuid import UUID

    from django.utils import timezone

    from workflows_app.reads.executions import ExecutionFilter, execution_list
    from workflows_app.reads.history import run_history
    from workflows_app.reads.statistics import executions_statistics

    def page(**wanted: Any) -> Callable[[], Any]:
        deep = wanted.pop("deep", None)

        def read() -> Any:
            pages = execution_list(ExecutionFilter(**wanted)).order_by("-created_at", "-id")
            return (pages.filter(created_at__lt=deep) if deep else pages)[0:51]

        return read

    def statistics() -> Any:
        today = timezone.now().date()
        organization_id = UUID(given["organization"])
        return executions_statistics(organization_id=organization_id, since=today - timedelta(days=7), until=today)

    long_ago = timezone.now() - timedelta(days=18)
    deep = "AND run.created_at < now() - interval '18 days'"
    message = "AND run.status = 'failed' AND run.error ->> 'message' ILIKE "
    yield Case("first page", page(), _PAGE.format(where=""), "?limit=50")
    yield Case("deep page", page(deep=long_ago), _PAGE.format(where=deep))
    yield Case("failed", page(statuses=("failed",)), _PAGE.format(where="AND run.status = 'failed'"), "?status=failed")
    several = "AND run.status IN ('failed', 'cancelled')"
    both = ("failed", "cancelled")
    yield Case("failed or cancelled", page(statuses=both), _PAGE.format(where=several), "?status=failed,cancelled")
    yield Case("paused, of which there are none", page(statuses=("paused", "running")),
               _PAGE.format(where="AND run.status IN ('paused', 'running')"), "?status=paused,running")  # fmt: skip
    yield Case("one template", page(template="bench 3"), _PAGE.format(where="AND config.name = 'bench 3'"),
               "?template=bench%203")  # fmt: skip
    code = "AND run.status = 'failed' AND run.error ->> 'code' = 'rejected'"
    yield Case("an error's code", page(error="rejected"), _PAGE.format(where=code), "?error=rejected")
    yield Case("search, much found", page(q="did not give"), _PAGE.format(where=f"{message} '%%did not give%%'"),
               "?q=did%20not%20give")  # fmt: skip
    yield Case("search, nothing found", page(q="no such words"), _PAGE.format(where=f"{message} '%%no such words%%'"),
               "?q=no%20such%20words")  # fmt: skip
    yield Case("search, an id", page(q=given["run"]), _PAGE.format(where="AND run.id = %(run)s"))
    yield Case("statistics of a week", statistics, _STATISTICS, "/statistics")
    yield Case("a run's history", lambda: run_history(UUID(given["run"]), after=2, limit=201), _HISTORY)


def _organization(owner: Any, email: str) -> str:
    with owner.transaction():
        owner.execute(CONTEXT, {"organization": "", "operator": "bench"})
        row = owner.execute(
            "SELECT organization_id FROM memberships JOIN users ON users.id = memberships.user_id WHERE email = %s",
            [email],
        ).fetchone()
    return str(row[0])


def _a_page_of(owner: Any, organization: str, small: str) -> None:
    """Give the small organization the newest page of the large one's runs."""
    with owner.transaction():
        owner.execute(CONTEXT, {"organization": "", "operator": "bench"})
        owner.execute(
            "UPDATE workflow_runs SET organization_id = %s WHERE id IN (SELECT id FROM workflow_runs"
            " WHERE organization_id = %s ORDER BY created_at DESC LIMIT 50)",
            [small, organization],
        )


def _given(owner: Any, organization: str) -> dict[str, str]:
    with owner.transaction():
        owner.execute(CONTEXT, {"organization": organization, "operator": "bench"})
        row = owner.execute(
            "SELECT id FROM workflow_runs WHERE organization_id = %s ORDER BY created_at OFFSET 1000 LIMIT 1",
            [organization],
        ).fetchone()
    return {"organization": organization, "run": str(row[0])}


def _as_the_application(runtime: dict[str, str]) -> None:
    """Let this process ask for statements as a web server would."""
    import django

    os.environ.update(runtime, DJANGO_SETTINGS_MODULE="config.settings")
    django.setup()


def _statements(read: Callable[[], Any], organization: str) -> list[str]:
    from uuid import UUID

    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from accounts_app.tenancy.context import tenant_atomic

    with tenant_atomic(UUID(organization), None), CaptureQueriesContext(connection) as captured:
        read()
    return [query["sql"] for query in captured if "set_config" not in query["sql"]]


def _by_turns(*ways: Callable[[], float], times: int) -> list[Timing]:
    samples = [[way() for way in ways] for _ in range(times)]
    return [Timing(tuple(each)) for each in zip(*samples, strict=True)]


def _once(connection: Any, statements: list[str], given: dict[str, str]) -> float:
    with connection.transaction():
        connection.execute(CONTEXT, given)
        began = time.perf_counter()
        for statement in statements:
            # What Django said is whole already.
            connection.execute(statement, given if "%(" in statement else None).fetchall()
        return time.perf_counter() - began


def _asker(port: int, address: str, key: str) -> Callable[[], float]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask() -> float:
        began = time.perf_counter()
        connection.request("GET", f"/api/v1/executions{address}", headers={"Authorization": f"Bearer {key}"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{address}: {response.status} {body[:300]!r}")
        return time.perf_counter() - began

    return ask
