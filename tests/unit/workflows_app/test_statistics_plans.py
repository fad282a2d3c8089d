"""No page of the engine's figures reads all runs, steps, events or figures: an index serves each of its statements."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from accounts_app.tenancy.context import Tenant, operator_atomic
from tests.factories.workflows import acting, made_up_config, owner, run_id_of
from workflows_app.health import queue_part
from workflows_app.reads.engine import engine_now, queues, slots, workers
from workflows_app.reads.figures import SPANS, engine_figures, templates_used
from workflows_app.reads.statistics import executions_statistics
from workflows_app.reads.stuck import runs_stuck

pytestmark = pytest.mark.django_db
BIG = {"workflow_runs", "step_runs", "run_statistics", "step_statistics"}


@pytest.mark.parametrize("span", SPANS.values(), ids=SPANS)
def test_the_engines_past_is_read_by_indexes(span: Any) -> None:
    with operator_atomic("test"), planned() as statements:
        engine_figures(span, template="anything@1")
        engine_figures(span)
        templates_used(span)
    assert len(statements) <= 16
    assert read_wholly(statements) == []


def test_the_engines_present_is_read_by_partial_indexes() -> None:
    run_id_of(owner(), "first")
    with operator_atomic("test"), planned() as statements:
        engine_now()
        queues()
        workers()
        slots()
        runs_stuck()
    queue_part()
    assert len(statements) == 5
    assert read_wholly(statements) == []


def test_an_organizations_figures_are_read_by_indexes() -> None:
    tenant: Tenant = owner()
    assert tenant.organization_id is not None
    config = made_up_config(tenant, "a")
    today = datetime.now(UTC).date()
    with acting(tenant), planned() as statements:
        executions_statistics(
            organization_id=tenant.organization_id, since=today - timedelta(days=30), until=today, template=config.name
        )
    assert len(statements) == 3
    assert read_wholly(statements) == []


@contextmanager
def planned() -> Iterator[list[tuple[str, Any]]]:
    """Collect the statements of the block that ask for rows."""
    found: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.lstrip().upper().startswith(("SELECT", "WITH")) and "set_config" not in sql:
            found.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield found


def read_wholly(statements: list[tuple[str, Any]]) -> list[str]:
    """Return the big tables that a statement must read from end to end, because no index serves it."""
    wholly = []
    with operator_atomic("test"), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for sql, params in statements:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params)
            (plan,) = cursor.fetchone()
            wholly += [f"{name}: {sql[:200]}" for name in _scanned(json.loads(plan) if isinstance(plan, str) else plan)]
    return wholly


def _scanned(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("Node Type") == "Seq Scan" and node["Relation Name"] in BIG:
            yield node["Relation Name"]
        # An index read from one end to the other is a table read wholly, unless it is a partial one.
        is_index = re.search("Index", str(node.get("Node Type"))) and node.get("Relation Name") in BIG
        if is_index and not node.get("Index Cond") and node.get("Index Name") not in PARTIAL:
            yield f"{node['Relation Name']} by {node.get('Index Name')}"
        for value in node.values():
            yield from _scanned(value)
    elif isinstance(node, list):
        for item in node:
            yield from _scanned(item)


PARTIAL = {"run_ready", "run_ready_own", "run_leased", "run_due", "run_deadline"}
