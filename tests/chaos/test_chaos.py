"""``make chaos``: workflows that pay for model calls, while everything around them goes wrong on purpose.

CHAOS_RUNS workflows (300) are started; then, drawn by CHAOS_SEED, workers are killed with -9, the broker is restarted,
connections to Postgres are dropped, messages are lost and doubled, CHAOS_FAULTS times (40) or until all is done. In the
end all have completed, each step's effect is there once, each hold was settled once, and every history is whole. The
suite runs the same with fewer; a failure names the seed, and the same seed draws the same faults again.
"""

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from accounts_app.tenancy.context import operator_atomic, operator_context
from billing_app.models import Hold, UsageRecord, Wallet
from billing_app.services.checks import ledger_check, ledger_snapshot
from tests.factories.workflows import acting, made_up_config
from tests.fixtures.brokers import AnyBroker
from tests.fixtures.stack import AccountMaker
from tests.support.accounts import Account
from tests.support.faults import (
    DOUBLED,
    double_messages,
    drop_messages,
    drop_postgres_connections,
    kill_worker,
)
from tests.support.processes import Process, wait_until
from tests.support.stack import Stack, wait_ready
from tests.support.upstream import Behaviour
from workflows_app.models import StepRun, WorkflowRun
from workflows_app.services.checks import runs_check
from workflows_app.services.runs import execution_start

RUNS = int(os.environ.get("CHAOS_RUNS", "24"))
FAULTS = int(os.environ.get("CHAOS_FAULTS", "8"))
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
# Faults come this often; the whole has so long to finish afterwards.
PAUSE_SECONDS, PATIENCE_SECONDS = 1.0, 420
WORKERS, TENANTS = 2, 3
# What a step may try: more often than faults can hit it.
TOUGH: dict[str, Any] = {"attempts": 5, "backoff": 0.2}
STEPS: tuple[dict[str, Any], ...] = (
    {"action": "save_brief"},
    {"action": "generate", "via": "apply", "with": "draft_template", "retry": TOUGH},
    {"action": "wait", "params": {"seconds": 0.3}},
    {"action": "polish", "via": "apply", "with": "text_optimizer", "retry": TOUGH},
)
PAID = ("generate", "polish")


class Chaos:
    """The faults, drawn one after the other; what they did is told as it happens."""

    def __init__(self, stack: Stack, broker: AnyBroker, workers: list[Process]) -> None:
        self.stack, self.broker, self.workers = stack, broker, workers
        self.rng = random.Random(SEED)
        self.done: Counter[str] = Counter()

    def strike(self) -> None:
        """Do one fault."""
        faults: list[tuple[str, Callable[[], object]]] = [
            ("kill -9 of a worker", self.kill),
            ("kill -9 of a worker", self.kill),
            ("connections to Postgres dropped", lambda: drop_postgres_connections(0.5, self.rng)),
            ("messages doubled", lambda: double_messages(self.broker)),
            ("messages lost", lambda: drop_messages(self.broker)),
            ("broker restarted", self.broker.restart),
        ]
        name, fault = self.rng.choice(faults)
        fault()
        self.done[name] += 1
        sys.stderr.write(f"chaos: {name}\n")

    def kill(self) -> None:
        victim = kill_worker(self.workers, self.rng)
        if victim is not None:
            self.workers.remove(victim)
            self.workers.append(self.stack.spawn_worker("model"))


def start(account: Account, number: int, config: Any) -> UUID:
    with acting(account.tenant):
        context = {"brief": f"An article about tea, number {number}."}
        return execution_start(template=str(config.pk), context=context, key=f"chaos {number}").id


def finished(run_ids: list[UUID]) -> Counter[str]:
    with operator_atomic("test"):
        return Counter(WorkflowRun.objects.filter(pk__in=run_ids).values_list("status", flat=True))


@pytest.mark.timeout(900)
def test_everything_goes_wrong_and_every_run_finishes_once(
    broker_stack: Stack, broker: AnyBroker, make_broker_account: AccountMaker
) -> None:
    sys.stderr.write(f"chaos: CHAOS_SEED={SEED} CHAOS_RUNS={RUNS} CHAOS_FAULTS={FAULTS}\n")
    broker_stack.upstream.always = Behaviour(text="A cup of tea. " * 6, delay=8)
    accounts = [make_broker_account(balance=100) for _number in range(TENANTS)]
    configs = [made_up_config(account.tenant, *STEPS) for account in accounts]
    broker_stack.spawn_beat()
    # These send each message twice.
    broker_stack.application = DOUBLED
    workers = [broker_stack.model_worker, *(broker_stack.spawn_worker("model") for _number in range(WORKERS - 1))]
    wait_ready(workers[-1])
    run_ids = [start(accounts[number % TENANTS], number, configs[number % TENANTS]) for number in range(RUNS)]

    chaos = Chaos(broker_stack, broker, workers)
    while sum(chaos.done.values()) < FAULTS and finished(run_ids)["completed"] < RUNS:
        chaos.strike()
        time.sleep(chaos.rng.uniform(0.2, 2 * PAUSE_SECONDS))
    broker.ensure()
    wait_until(
        lambda: finished(run_ids) == {"completed": RUNS},
        PATIENCE_SECONDS,
        lambda: f"seed {SEED}: {dict(finished(run_ids))}, {dict(chaos.done)}, {errors(run_ids)}",
    )
    assert_effects_once(run_ids)
    assert_money_is_whole(accounts, run_ids)
    with operator_context("test"):
        # Theirs: tests before this one may have left histories that they damaged.
        for account in accounts:
            assert runs_check(organization_id=account.organization_id).differences == []


def errors(run_ids: list[UUID]) -> list[Any]:
    with operator_atomic("test"):
        failed = WorkflowRun.objects.filter(pk__in=run_ids, error__isnull=False)
        return list(failed.values_list("id", "error")[:5])


def assert_effects_once(run_ids: list[UUID]) -> None:
    """Each step of each run is recorded as done once, and its model call was answered in full once."""
    with operator_atomic("test"):
        steps = StepRun.objects.filter(run_id__in=run_ids, status="completed").values_list("run_id", "key")
        done = Counter(steps)
        usage = UsageRecord.objects.filter(run_id__in=run_ids, ending="completed").values_list("run_id", "step_key")
        paid = Counter(usage)
    assert done == {(run_id, step["action"]): 1 for run_id in run_ids for step in STEPS}
    assert paid == {(run_id, key): 1 for run_id in run_ids for key in PAID}


def assert_money_is_whole(accounts: list[Account], run_ids: list[UUID]) -> None:
    """Each hold was settled once; the wallet is lower by what the calls were charged, and the books agree."""
    organizations = [account.organization_id for account in accounts]

    def settled() -> bool:
        with operator_atomic("test"):
            return not Hold.objects.filter(organization_id__in=organizations, status="open").exists()

    # A killed worker's call is settled when its lease has run out.
    wait_until(settled, 90)
    with operator_atomic("test"):
        for account in accounts:
            wallet = Wallet.objects.get(organization_id=account.organization_id)
            charges = UsageRecord.objects.filter(organization_id=account.organization_id)
            charged = sum(charge.charged_usd for charge in charges)
            assert wallet.frozen == 0
            assert 100 - wallet.balance == charged > 0
    for account in accounts:
        with ledger_snapshot(account.organization_id):
            assert ledger_check().differences == ()
    with operator_atomic("test"):
        assert not UsageRecord.objects.filter(organization_id__in=organizations).exclude(run_id__in=run_ids).exists()
