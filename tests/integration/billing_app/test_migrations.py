"""Books written before the ledger's functions keep every figure, gain their hashes, and go back again."""

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

BEFORE, NOW = "0002", "0008"
ORGANIZATION, WALLET, HOLD, TASK, CALL, PERSON = (uuid4() for _ in range(6))


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


def migrate(database: str, target: str) -> None:
    environment = {**os.environ, "DATABASE_URL": support.database_url(OWNER, database)}
    command = [sys.executable, "manage.py", "migrate", "billing_app", target, "--verbosity", "0"]
    done = subprocess.run(command, env=environment, cwd=BASE_DIR, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3_000:]


def rows(database: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(support.database_url(OWNER, database)) as owner:
        owner.execute("SELECT set_config('app.operator', 'test', true)")
        return owner.execute(statement).fetchall()


def write_books(database: str) -> None:
    """One organization: 10 USD, one call of a task that took 3, and another call's record that cost nothing."""
    with psycopg.connect(support.database_url(OWNER, database)) as owner:
        owner.execute("SELECT set_config('app.operator', 'test', true)")
        owner.execute(
            "INSERT INTO organizations (id, name, is_personal, created_at) VALUES (%s, 'x', false, now())",
            [ORGANIZATION],
        )
        owner.execute(
            "INSERT INTO wallets (id, organization_id, balance, frozen, seq, created_at)"
            " VALUES (%s, %s, 7, 0, 3, now())",
            [WALLET, ORGANIZATION],
        )
        owner.execute(
            "INSERT INTO holds (id, organization_id, wallet_id, amount, captured, refunded, status, billing_ref_id,"
            " trace_id, expires_at, resolved_at, created_at)"
            " VALUES (%s, %s, %s, 3, 3, 0, 'captured', %s, '', now(), now(), now())",
            [HOLD, ORGANIZATION, WALLET, str(CALL)],
        )
        entries = [("topup", 10, 10, 0, None), ("hold", 3, 10, 3, HOLD), ("capture", 3, 7, 0, HOLD)]
        for seq, (kind, amount, balance, frozen, hold) in enumerate(entries, 1):
            owner.execute(
                "INSERT INTO transactions (id, organization_id, wallet_id, seq, kind, amount, balance_after,"
                " frozen_after, hold_id, idempotency_key, fingerprint, billing_ref_id, trace_id, note, created_at)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, '', '', '', '', now())",
                [uuid4(), ORGANIZATION, WALLET, seq, kind, amount, balance, frozen, hold, f"key {seq}"],
            )
        price = uuid4()
        owner.execute(
            "INSERT INTO prices (id, model_key, effective_from, input, cached_input, cache_write, output, reasoning,"
            " per_request, source, created_at) VALUES (%s, 'm', '2026-01-01Z', 1, 1, 1, 1, 1, 0, 's', now())",
            [price],
        )
        for call, user, task, charged in ((CALL, PERSON, TASK, 3), (uuid4(), None, None, 0)):
            owner.execute(
                "INSERT INTO openai_usage (id, organization_id, user_id, task_id, step_key, call_id, provider, model,"
                " ending, uncached_input_tokens, cached_input_tokens, cache_write_tokens, visible_output_tokens,"
                " reasoning_tokens, price_id, cost_usd, charged_usd, trace_id, meta, created_at)"
                " VALUES (%s, %s, %s, %s, '', %s, 'p', 'm', 'completed', 1, 2, 3, 4, 5, %s, %s, %s, '', '{}',"
                " '2026-11-20T12:00Z')",
                [uuid4(), ORGANIZATION, user, task, call, price, charged, charged],
            )
        for day, calls in (("2026-11-20", 2), ("2026-10-01", 5)):
            owner.execute(
                "INSERT INTO usage_daily (organization_id, day, model, calls, input_tokens, output_tokens, cost_usd,"
                " charged_usd) VALUES (%s, %s, 'm', %s, 12, 18, 3, 3)",
                [ORGANIZATION, day, calls],
            )


DAYS = "SELECT day::text, model, sum(calls), sum(charged_usd) FROM usage_daily GROUP BY 1, 2 ORDER BY 1"
WRITTEN = [("2026-10-01", "m", 5, 3), ("2026-11-20", "m", 2, 3)]


def test_books_gain_hashes_and_finer_days_and_lose_nothing_on_the_way_back(database: str) -> None:
    migrate(database, BEFORE)
    write_books(database)

    migrate(database, NOW)
    chain = rows(database, "SELECT prev_hash, hash, ledger_hash(t) FROM transactions t ORDER BY seq")
    assert [before for before, _hash, _own in chain] == ["", chain[0][1], chain[1][1]]
    assert all(stored == own and len(own) == 64 for _before, stored, own in chain)
    assert rows(database, "SELECT hash, balance::int, seq FROM wallets") == [(chain[2][1], 7, 3)]
    assert rows(database, "SELECT id, input_tokens FROM openai_usage WHERE task_id IS NOT NULL") == [(CALL, 6)]
    assert rows(database, DAYS) == WRITTEN
    finer = rows(database, "SELECT user_id, calls FROM usage_daily WHERE day = '2026-11-20' ORDER BY charged_usd")
    assert finer == [(None, 1), (PERSON, 1)]
    assert rows(database, "SELECT task_id, calls, charged_usd::int FROM usage_by_task") == [(TASK, 1, 3)]
    assert rows(database, "SELECT relkind FROM pg_class WHERE relname = 'openai_usage'") == [("p",)]

    migrate(database, BEFORE)
    assert rows(database, "SELECT call_id FROM openai_usage WHERE task_id IS NOT NULL") == [(CALL,)]
    assert rows(database, DAYS) == WRITTEN
    assert rows(database, "SELECT count(*) FROM usage_daily") == [(2,)]
    assert rows(database, "SELECT count(*) FROM pg_proc WHERE proname ~ '^(ledger|usage_insert)'") == [(0,)]
    assert rows(database, "SELECT relkind FROM pg_class WHERE relname = 'openai_usage'") == [("r",)]
    migrate(database, NOW)
    assert rows(database, "SELECT count(*) FROM transactions t WHERE hash = ledger_hash(t)") == [(3,)]
