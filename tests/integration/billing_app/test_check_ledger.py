"""The ledger check is silent about right books, also while they grow, and names every row that was tampered with."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, InternalError, ProgrammingError, connection, transaction

from accounts_app.ids import uuid7
from accounts_app.tenancy.context import operator_atomic, operator_context, tenant_atomic
from billing_app.contracts import TokenBuckets
from billing_app.models import BudgetWindow, Hold, TaskUsage, Transaction, UsageRecord, Wallet
from billing_app.services.budgets import budget_set
from billing_app.services.checks import ledger_check, ledger_snapshot
from billing_app.services.holds import hold_capture, hold_release
from billing_app.services.usage import usage_record
from tests.factories.billing import hold_of, organization_with, price_of

USD = Decimal
CHARGE = USD("0.25")


def settle(organization_id: UUID, *, model: str = "check-ledger-model", task_id: UUID | None = None) -> None:
    """Make one call as the gateway does: hold, then capture and record in one transaction."""
    price, call_id = price_of(model), uuid7()
    with tenant_atomic(organization_id):
        hold = hold_of(organization_id, "1", ref=str(call_id))
    with tenant_atomic(organization_id):
        hold_capture(hold_id=hold.id, amount=CHARGE, key=f"{call_id}:capture")
        usage_record(
            call_id=call_id, model=price.model_key, provider="scripted", price=price, tokens=TokenBuckets(10, 20, 0, 5),
            cost_usd=CHARGE, charged_usd=CHARGE, ending="completed", task_id=task_id,
        )  # fmt: skip


@pytest.fixture
def books(committed_db: None) -> UUID:
    """Books with a bit of everything: a task's call, a released hold, an open one, a budget that counts them."""
    organization_id = organization_with("10")
    with operator_atomic("test"):
        budget_set(organization_id=organization_id, scope="organization", period="month", limit_usd=USD(100))
    settle(organization_id, task_id=uuid.uuid4())
    with tenant_atomic(organization_id):
        hold_release(hold_id=hold_of(organization_id, "2").id, key="release")
        hold_of(organization_id, "3")
    return organization_id


@contextmanager
def triggers_off(table: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        # Deferred checks would keep the table from being altered in the transaction that wrote to it.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER append_only")
        yield
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER append_only")


def found(organization_id: UUID) -> dict[str, list[str]]:
    """Return the rows that the check names, by what it says about them."""
    named: dict[str, list[str]] = {}
    for item in ledger_check().differences:
        if item.organization_id == organization_id:
            named.setdefault(item.what, []).append(f"{item.table} {item.row}")
    return named


def execute(sql: str, organization_id: UUID) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, [organization_id])
        assert cursor.rowcount == 1


WALLET, CHAIN = "wallet differs from its entries", "entry does not follow from the one before"
HOLDS, FROZEN = "hold differs from its entries", "frozen money differs from the open holds"
USAGE, ROLL_UP = "usage differs from what was captured for the call", "roll-up differs from the usage records"
HASH = "entry differs from its hash, or from the one that followed it"
TASK, BUDGET = "task's usage differs from its records", "budget differs from its holds"


def the_wallet(organization_id: UUID) -> str:
    return f"wallets {Wallet.objects.get(organization_id=organization_id).pk}"


def the_entry(kind: str) -> Callable[[UUID], str]:
    return lambda organization_id: (
        f"transactions {Transaction.objects.filter(organization_id=organization_id, kind=kind).latest('seq').pk}"
    )


def the_hold(status: str) -> Callable[[UUID], str]:
    return lambda organization_id: f"holds {Hold.objects.get(organization_id=organization_id, status=status).pk}"


def the_usage(organization_id: UUID) -> str:
    return f"openai_usage {UsageRecord.objects.get(organization_id=organization_id).pk}"


def the_task(organization_id: UUID) -> str:
    return f"usage_by_task {TaskUsage.objects.get(organization_id=organization_id).task_id}"


def the_window(organization_id: UUID) -> str:
    return f"budget_windows {BudgetWindow.objects.get(organization_id=organization_id).pk}"


def the_day(organization_id: UUID) -> str:
    record = UsageRecord.objects.get(organization_id=organization_id)
    return f"usage_daily {record.created_at.date()} {record.model}"


TAMPERING = [
    ("transactions", "UPDATE transactions SET amount = 11 WHERE kind = 'topup' AND organization_id = %s",
     {WALLET: the_wallet, CHAIN: the_entry("topup"), HASH: the_entry("topup")}),
    ("transactions", "UPDATE transactions SET note = 'a gift' WHERE kind = 'topup' AND organization_id = %s",
     {HASH: the_entry("topup")}),
    ("transactions", "UPDATE transactions SET kind = 'adjust' WHERE kind = 'topup' AND organization_id = %s",
     {HASH: the_entry("adjust")}),
    ("transactions", "UPDATE transactions SET created_at = '2020-01-01Z' WHERE seq = 3 AND organization_id = %s",
     {HASH: the_entry("capture")}),
    ("transactions", "UPDATE transactions SET user_id = gen_random_uuid() WHERE seq = 7 AND organization_id = %s",
     {HASH: the_entry("hold")}),
    ("transactions", "UPDATE transactions SET prev_hash = hash WHERE kind = 'capture' AND organization_id = %s",
     {HASH: the_entry("capture")}),
    ("", "UPDATE wallets SET hash = repeat('0', 64) WHERE organization_id = %s", {HASH: the_entry("hold")}),
    ("transactions", "UPDATE transactions SET balance_after = 99 WHERE kind = 'capture' AND organization_id = %s",
     {CHAIN: the_entry("capture"), HASH: the_entry("capture")}),
    ("transactions", "UPDATE transactions SET frozen_after = 9 WHERE seq = 2 AND organization_id = %s",
     {CHAIN: None, HASH: None}),
    ("transactions", "UPDATE transactions SET amount = 0.3 WHERE kind = 'capture' AND organization_id = %s",
     {HOLDS: the_hold("captured"), USAGE: the_usage, WALLET: the_wallet, CHAIN: the_entry("capture"),
      HASH: the_entry("capture")}),
    ("transactions", "DELETE FROM transactions WHERE seq = 3 AND organization_id = %s",
     {WALLET: the_wallet, CHAIN: None, HOLDS: the_hold("captured"), USAGE: the_usage}),
    ("transactions", "UPDATE transactions SET seq = 100 WHERE seq = 7 AND organization_id = %s",
     {CHAIN: the_entry("hold"), HASH: the_entry("hold")}),
    ("transactions", "DELETE FROM transactions WHERE seq = 7 AND organization_id = %s",
     {WALLET: the_wallet, HOLDS: the_hold("open")}),
    ("", "UPDATE wallets SET balance = balance + 1 WHERE organization_id = %s", {WALLET: the_wallet}),
    ("", "UPDATE wallets SET frozen = frozen - 1 WHERE organization_id = %s", {WALLET: the_wallet, FROZEN: the_wallet}),
    ("", "UPDATE wallets SET seq = seq + 1 WHERE organization_id = %s", {WALLET: the_wallet}),
    ("", "UPDATE holds SET captured = 0.5 WHERE status = 'captured' AND organization_id = %s",
     {HOLDS: the_hold("captured"), BUDGET: the_window}),
    ("", "UPDATE holds SET amount = 4 WHERE status = 'open' AND organization_id = %s",
     {HOLDS: the_hold("open"), FROZEN: the_wallet, BUDGET: the_window}),
    ("", "UPDATE holds SET status = 'expired', resolved_at = now() WHERE status = 'open' AND organization_id = %s",
     {HOLDS: the_hold("expired"), FROZEN: the_wallet, BUDGET: the_window}),
    ("openai_usage", "UPDATE openai_usage SET charged_usd = 0 WHERE organization_id = %s",
     {USAGE: the_usage, ROLL_UP: the_day, TASK: the_task}),
    ("openai_usage", "UPDATE openai_usage SET reasoning_tokens = 7 WHERE organization_id = %s",
     {ROLL_UP: the_day, TASK: the_task}),
    ("openai_usage", "DELETE FROM openai_usage WHERE organization_id = %s",
     {USAGE: the_hold("captured"), ROLL_UP: None, TASK: the_task}),
    ("", "UPDATE usage_daily SET calls = calls + 1 WHERE organization_id = %s", {ROLL_UP: the_day}),
    ("", "UPDATE usage_daily SET cost_usd = cost_usd + 0.0000000001 WHERE organization_id = %s", {ROLL_UP: the_day}),
    ("", "DELETE FROM usage_daily WHERE organization_id = %s", {ROLL_UP: the_day}),
    ("", "UPDATE usage_daily SET user_id = gen_random_uuid() WHERE organization_id = %s", {ROLL_UP: the_day}),
    ("", "UPDATE usage_by_task SET charged_usd = charged_usd - 0.0000000001 WHERE organization_id = %s",
     {TASK: the_task}),
    ("", "DELETE FROM usage_by_task WHERE organization_id = %s", {TASK: None}),
    ("", "UPDATE budget_windows SET spent = spent - 0.0000000001 WHERE organization_id = %s", {BUDGET: the_window}),
    ("", "UPDATE budget_windows SET held = 0 WHERE organization_id = %s", {BUDGET: the_window}),
]  # fmt: skip


@pytest.mark.usefixtures("as_owner")
@pytest.mark.parametrize(("protected", "sql", "expected"), TAMPERING, ids=[sql for _table, sql, _rows in TAMPERING])
def test_a_tampered_row_is_named(
    books: UUID, protected: str, sql: str, expected: dict[str, Callable[[UUID], str] | None]
) -> None:
    with operator_context("test"):
        assert found(books) == {}
        if protected:
            with triggers_off(protected):
                execute(sql, books)
        else:
            execute(sql, books)
        named = found(books)
        assert set(named) == set(expected)
        for what, row in expected.items():
            if row is not None:
                assert row(books) in named[what]


def run(sql: str, **parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


@pytest.mark.usefixtures("as_owner")
def test_an_entry_changed_together_with_its_hash_is_named(books: UUID) -> None:
    with operator_context("test"), triggers_off("transactions"):
        entry = Transaction.objects.get(organization_id=books, kind="capture")
        run("UPDATE transactions SET note = 'x' WHERE id = %(id)s", id=entry.pk)
        run("UPDATE transactions t SET hash = ledger_hash(t) WHERE id = %(id)s", id=entry.pk)
        assert found(books) == {HASH: [f"transactions {entry.pk}"]}


@pytest.mark.usefixtures("as_owner")
def test_entries_in_another_order_are_named(books: UUID) -> None:
    with operator_context("test"), triggers_off("transactions"):
        run("ALTER TABLE transactions DROP CONSTRAINT transaction_seq_once")
        run("UPDATE transactions SET seq = 11 - seq WHERE seq IN (5, 6) AND organization_id = %(books)s", books=books)
        swapped = Transaction.objects.filter(organization_id=books, seq__in=[5, 6])
        assert {f"transactions {row.pk}" for row in swapped} <= set(found(books)[HASH])


@pytest.mark.usefixtures("as_owner")
def test_an_inserted_entry_is_named_although_its_hash_is_right(books: UUID) -> None:
    with operator_context("test"):
        last = Transaction.objects.filter(organization_id=books).latest("seq")
        forged = Transaction(
            organization_id=books, wallet_id=last.wallet_id, seq=last.seq + 1, kind="topup", amount=USD(5),
            balance_after=last.balance_after + 5, frozen_after=last.frozen_after, idempotency_key="forged",
            fingerprint="0" * 64, created_at=last.created_at, prev_hash=last.hash, hash="",
        )  # fmt: skip
        forged.save()
        with triggers_off("transactions"):
            run("UPDATE transactions t SET hash = ledger_hash(t) WHERE id = %(id)s", id=forged.pk)
        named = found(books)
        assert named[HASH] == [f"transactions {forged.pk}"]
        assert named[WALLET] == [the_wallet(books)]
        run("UPDATE wallets SET balance = balance + 5, seq = seq + 1 WHERE organization_id = %(books)s", books=books)
        assert found(books) == {HASH: [f"transactions {forged.pk}"]}


@pytest.mark.usefixtures("as_owner")
@pytest.mark.parametrize(("days", "missed"), [(40, False), (-40, True)])
def test_records_of_months_that_were_dropped_are_not_missed(books: UUID, days: int, missed: bool) -> None:
    """As after a retention that keeps from ``days`` ahead of today on, and so has dropped what was written now."""
    kept = datetime.now(UTC).date() + timedelta(days=days)
    with operator_context("test"), triggers_off("openai_usage"):
        run(f"COMMENT ON TABLE openai_usage IS 'partitioned by month, kept from {kept}'")
        run("DELETE FROM openai_usage WHERE organization_id = %(books)s", books=books)
        assert bool(found(books)) is missed


@pytest.mark.usefixtures("as_owner")
@pytest.mark.parametrize("statement", [
    "UPDATE transactions SET amount = 11 WHERE organization_id = %s",
    "DELETE FROM transactions WHERE organization_id = %s",
    "UPDATE openai_usage SET charged_usd = 0 WHERE organization_id = %s",
    "DELETE FROM openai_usage WHERE organization_id = %s",
])  # fmt: skip
def test_even_the_owner_cannot_change_a_written_row(books: UUID, statement: str) -> None:
    refused = pytest.raises(IntegrityError, match="append-only")
    with operator_context("test"), connection.cursor() as cursor, refused, transaction.atomic():
        cursor.execute(statement, [books])


@pytest.mark.usefixtures("committed_db")
def test_the_runtime_role_cannot_switch_the_trigger_off() -> None:
    with pytest.raises(ProgrammingError, match="must be owner"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE transactions DISABLE TRIGGER append_only")


def test_command_prints_one_json_document(books: UUID) -> None:
    out = StringIO()
    call_command("check_ledger", "--json", "--organization", str(books), stdout=out)
    assert json.loads(out.getvalue()) == {
        "wallets": 1,
        "open_holds": 1,
        "usage": {
            "calls": 1, "input_tokens": 30, "output_tokens": 5, "cost_usd": "0.2500000000",
            "charged_usd": "0.2500000000",
        },
        "differences": [],
    }  # fmt: skip


def test_command_exits_with_1_and_names_the_row(books: UUID) -> None:
    with operator_atomic("test"):
        Wallet.objects.filter(organization_id=books).update(balance=USD(11))
        wallet_id = Wallet.objects.get(organization_id=books).pk
    try:
        for flags in ([], ["--json"]):
            out = StringIO()
            with pytest.raises(CommandError) as caught:
                call_command("check_ledger", "--organization", str(books), *flags, stdout=out)
            assert caught.value.returncode == 1
            assert str(wallet_id) in out.getvalue()
        difference = json.loads(out.getvalue())["differences"][0]
        assert (difference["table"], difference["row"]) == ("wallets", str(wallet_id))
        assert "balance 11" in difference["stored"]
        assert "balance 9.75" in difference["derived"]
    finally:
        with operator_atomic("test"):
            Wallet.objects.filter(organization_id=books).update(balance=USD("9.75"))


def test_check_is_right_while_calls_are_running(committed_db: None) -> None:
    organization_ids = [organization_with("100") for _ in range(3)]
    stop = threading.Event()

    def work(organization_id: UUID) -> None:
        while not stop.is_set():
            settle(organization_id)
        connection.close()

    workers = [threading.Thread(target=work, args=(organization_id,)) for organization_id in organization_ids]
    for worker in workers:
        worker.start()
    try:
        seen = []
        for _ in range(15):
            with ledger_snapshot():
                report = ledger_check()
            mine = [item for item in report.differences if item.organization_id in organization_ids]
            assert mine == []
            seen.append(report.calls)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert seen[-1] > seen[0]


def test_the_snapshot_is_read_only(books: UUID) -> None:
    with pytest.raises(InternalError, match="read-only"), ledger_snapshot():
        Wallet.objects.filter(organization_id=books).update(balance=USD(11))


def test_one_organizations_check_sees_only_its_books(books: UUID) -> None:
    with ledger_snapshot(books):
        assert ledger_check().wallets == 1
    with ledger_snapshot():
        assert ledger_check().wallets > 1
