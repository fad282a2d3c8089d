"""Mixed calls of /v1 at 50 at a time against an upstream that fails in every way: all books say the same."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import httpx2
import pytest
from django.conf import settings

from config.runtime.ports import free_port
from tests.support.accounts import Account
from tests.support.upstream import Behaviour
from tests.support.v1 import V1, settled_books
from tests.support.v1_audit import Audit
from tests.support.v1_load import Draw, draws, load
from tests.support.v1_run import faults_plan, finished, import_report, money_catalogue, run

# `python -m tests.support.v1_money --calls 10000 [--kill web|postgres]` makes the full run on a database of its own.
CALLS = int(os.environ.get("DEEPSPACE_MONEY_CALLS", "600"))
SEED = int(os.environ.get("DEEPSPACE_MONEY_SEED", "1"))
ENDINGS = {"completed", "no_usage", "client_gone", "upstream_cut", "timeout", "zero_output", "refused"}


def _port(account: Account) -> int:
    return httpx2.URL(account.base_url).port or 0


def _is_exact(found: Audit) -> None:
    assert found.faults == [], "\n".join(found.faults)
    assert found.difference == Decimal("0.0000000000")
    assert found.ledger == found.usage == found.expected > 0


def test_books_of_mixed_calls_agree_to_the_last_place(v1: V1, caller: Account) -> None:
    money_catalogue(v1.upstream.url)
    v1.upstream.plan = faults_plan(SEED)
    seen = run(draws(SEED, CALLS), [_port(caller)], caller.secret)
    found = finished(caller.organization_id, v1.upstream, seen, paid_in=Decimal(10))
    _is_exact(found)
    assert set(found.endings) >= ENDINGS
    assert len(found.books.calls) > CALLS / 2


def test_books_agree_when_a_web_process_is_killed(v1: V1, caller: Account) -> None:
    money_catalogue(v1.upstream.url)
    v1.upstream.plan = faults_plan(SEED + 1)
    port = free_port()
    other = v1.spawn(port)
    seen = run(
        draws(SEED + 1, CALLS // 2),
        [_port(caller), port],
        caller.secret,
        disaster=other.kill9,
        upstream=v1.upstream,
    )
    found = finished(caller.organization_id, v1.upstream, seen, paid_in=Decimal(10), resolve=import_report)
    _is_exact(found)
    killed = [call for call in found.books.calls if call.ending == "worker_killed"]
    assert any(call.charged_usd for call in killed)


def test_books_agree_when_postgresql_is_killed() -> None:
    command = [sys.executable, "-m", "tests.support.v1_money", "--calls", str(CALLS // 6), "--kill", "postgres"]
    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "difference 0.0000000000; faults 0" in done.stdout


@pytest.mark.parametrize("served", [7])
def test_money_for_some_calls_serves_exactly_these(v1: V1, make_caller: Callable[..., Account], served: int) -> None:
    fields = {"model": "scripted", "messages": [{"role": "user", "content": "tea"}], "max_tokens": 100}
    one = Draw("", "chat/completions", fields)
    probe = make_caller()
    asyncio.run(load([one], [_port(probe)], probe.secret))
    hold = settled_books(probe.organization_id, calls=1).holds[0].amount

    # All of them hold before the first is answered.
    v1.upstream.always = Behaviour(first_delay=4_000, text="tea")
    poor = make_caller(balance=hold * served + hold / 2)
    seen = asyncio.run(load([replace(one) for _ in range(200)], [_port(poor)], poor.secret, at_once=200))
    statuses = [answer.status for answer in seen]
    assert (statuses.count(200), statuses.count(402), len(statuses)) == (served, 200 - served, 200)
    now = settled_books(poor.organization_id, calls=served)
    assert len(v1.upstream.served) == served + 1
    assert now.balance == hold * served + hold / 2 - now.captured >= 0
