"""From one provider a model to routes, and back, with rows in the tables."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from config.environment import BASE_DIR
from config.runtime.postgres import OWNER, grant_runtime
from tests.support import services as support

BEFORE, AFTER = "0002", "0003"


@pytest.fixture
def database() -> Iterator[str]:
    """An empty database of the owner's own; its name."""
    name = f"migrate_{uuid4().hex[:12]}"
    with psycopg.connect(support.database_url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(OWNER)))
    with psycopg.connect(support.database_url(OWNER, name), autocommit=True) as owner:
        grant_runtime(owner)
    yield name
    with psycopg.connect(support.database_url("postgres", "postgres"), autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _migrate(database: str, target: str) -> None:

    environment = {**os.environ, "DATABASE_URL": support.database_url(OWNER, database)}
    command = [sys.executable, "manage.py", "migrate", "gateway_app", target, "--verbosity", "0"]
    done = subprocess.run(command, env=environment, cwd=BASE_DIR, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3_000:]


def _rows(database: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(support.database_url(OWNER, database)) as owner:
        return owner.execute(statement).fetchall()


def _add_models(database: str) -> None:
    """Two providers and three models, as issue 2's tables held them."""
    with psycopg.connect(support.database_url(OWNER, database)) as owner:
        for key, priority in (("one", 10), ("two", 20)):
            owner.execute(
                "INSERT INTO gateway_providers (id, key, name, kind, base_url, base_url_setting, api_key_setting,"
                " is_active, priority, connect_timeout_ms, first_token_timeout_ms, between_tokens_timeout_ms,"
                " total_timeout_ms, created_at) VALUES"
                " (%s, %s, %s, 'remote', '', '', '', true, %s, 5000, 60000, 30000, 600000, now())",
                [uuid4(), key, key, priority],
            )
        for key, provider in (("a", "one"), ("b", "one"), ("c", "two")):
            owner.execute(
                "INSERT INTO gateway_models (id, key, name, provider_id, upstream_name, kind, context_window,"
                " max_output_tokens, is_reasoning, is_active, is_default, listed_at, note, source, created_at)"
                " SELECT %s, %s, %s, id, %s, 'chat', 0, 0, false, true, false, %s, '', '', now()"
                " FROM gateway_providers WHERE key = %s",
                [uuid4(), key, key, f"{key}-there", "2026-11-01" if key == "a" else None, provider],
            )


_ROUTES = """
    SELECT m.key, p.key, r.upstream_name, r.priority, r.weight, r.is_active, r.listed_at IS NOT NULL
    FROM gateway_routes r JOIN gateway_models m ON m.id = r.entry_id JOIN gateway_providers p ON p.id = r.provider_id
    ORDER BY m.key
"""
_MODELS = """
    SELECT m.key, p.key, m.upstream_name, m.listed_at IS NOT NULL
    FROM gateway_models m JOIN gateway_providers p ON p.id = m.provider_id ORDER BY m.key
"""


def test_models_keep_their_provider_there_and_back(database: str) -> None:
    _migrate(database, BEFORE)
    _add_models(database)
    before = _rows(database, _MODELS)

    _migrate(database, AFTER)
    assert _rows(database, _ROUTES) == [
        ("a", "one", "a-there", None, 1, True, True),
        ("b", "one", "b-there", None, 1, True, False),
        ("c", "two", "c-there", None, 1, True, False),
    ]
    with psycopg.connect(support.database_url(OWNER, database)) as owner:
        # A second way that comes first, which a model with one provider can only go by.
        owner.execute(
            "INSERT INTO gateway_routes (id, entry_id, provider_id, upstream_name, priority, weight, is_active,"
            " created_at) SELECT %s, m.id, p.id, 'c-elsewhere', 5, 1, true, now()"
            " FROM gateway_models m, gateway_providers p WHERE m.key = 'c' AND p.key = 'one'",
            [uuid4()],
        )

    _migrate(database, BEFORE)
    assert _rows(database, _MODELS) == [*before[:2], ("c", "one", "c-elsewhere", False)]
