"""Several calls written at once: what simply fits, exactly as one after the other; the rest is left to who says why."""

import json
import uuid
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from accounts_app.tenancy.context import operator_atomic
from billing_app.models import BudgetWindow, Hold, Transaction, Wallet
from billing_app.services.checks import ledger_check
from billing_app.services.holds import hold_release
from tests.factories.accounts import Person, person
from tests.factories.billing import budget_of, hold_of, topped_up
from tests.support.services import OWNER, database_url

pytestmark = pytest.mark.django_db
USD = Decimal


@pytest.fixture
def ada() -> Person:
    ada = person()
    topped_up(ada.organization_id, "10")
    return ada


def asked(owner: Person, amount: str, **fields: Any) -> dict[str, Any]:
    call = str(uuid.uuid4())
    return {
        "hold": str(uuid.uuid4()), "amount": amount, "key": f"call:{call}", "ref": call, "trace": "t",
        "user": str(owner.user.pk), "hold_seconds": 60, **fields,
    }  # fmt: skip


def ended(call: dict[str, Any], due: str, ending: str = "completed") -> dict[str, Any]:
    return {"hold": call["hold"], "due": due, "key": f"settle:{call['ref']}", "trace": "t", "ending": ending}


def many(function: str, owner: Person, calls: list[dict[str, Any]]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT to_jsonb({function}(%s, %s::jsonb))", [owner.organization_id, json.dumps(calls)])
        found: list[Any] = json.loads(cursor.fetchone()[0])
    return found


def figures(owner: Person) -> tuple[Decimal, Decimal]:
    wallet = Wallet.objects.get(organization_id=owner.organization_id)
    return wallet.balance, wallet.frozen


def books_are_right() -> None:
    # Nobody has recorded what these calls used.
    with operator_atomic("test"):
        found = {difference.what for difference in ledger_check().differences}
    assert found <= {"usage differs from what was captured for the call"}


def test_what_fits_is_held_and_the_rest_is_left_alone(ada: Person) -> None:
    with ada.at_work():
        calls = [asked(ada, amount) for amount in ("4", "7", "6", "0.0000000001")]
        answers = many("ledger_hold_many", ada, calls)
        assert [answer and answer["frozen"] for answer in answers] == ["4.0000000000", None, "10.0000000000", None]
        assert figures(ada) == (USD(10), USD(10))
        held = {str(hold.pk): hold.amount for hold in Hold.objects.all()}
        assert held == {calls[0]["hold"]: USD(4), calls[2]["hold"]: USD(6)}
    books_are_right()


def test_a_budget_counts_all_of_a_batch_for_each_of_its_subjects(ada: Person) -> None:
    with ada.at_work():
        key = str(uuid.uuid4())
        budget_of(ada, "5")
        calls = [asked(ada, "2"), asked(ada, "2", api_key=key), asked(ada, "2", api_key=key), asked(ada, "1")]
        answers = many("ledger_hold_many", ada, calls)
        assert [answer is not None for answer in answers] == [True, True, False, True]
        assert BudgetWindow.objects.values_list("spent", "held").get() == (USD(0), USD(5))
        many("ledger_settle_many", ada, [ended(calls[0], "2"), ended(calls[1], "0.5"), ended(calls[3], "0", "refused")])
        assert BudgetWindow.objects.values_list("spent", "held").get() == (USD("2.5"), USD(0))
    books_are_right()


def test_holds_end_as_they_would_one_by_one(ada: Person) -> None:
    with ada.at_work():
        calls = [asked(ada, amount) for amount in ("3", "2", "1")]
        many("ledger_hold_many", ada, calls)
        answers = many(
            "ledger_settle_many", ada, [ended(calls[0], "3"), ended(calls[1], "0.5"), ended(calls[2], "0", "refused")]
        )
        assert [(answer["charged"][:3], answer["balance"][:3]) for answer in answers] == [
            ("3.0", "7.0"), ("0.5", "6.5"), ("0.0", "6.5"),
        ]  # fmt: skip
        assert figures(ada) == (USD("6.5"), USD(0))
        assert list(Hold.objects.order_by("-amount").values_list("status", "captured")) == [
            ("captured", USD(3)), ("captured", USD("0.5")), ("released", USD(0)),
        ]  # fmt: skip
        entries = Transaction.objects.filter(seq__gt=4).order_by("seq").values_list("kind", "amount", "note")
        assert list(entries) == [
            ("capture", USD(3), ""), ("capture", USD("0.5"), ""), ("release", USD("1.5"), ""),
            ("release", USD(1), "refused"),
        ]  # fmt: skip
    books_are_right()


def test_a_hold_that_is_gone_too_small_or_anothers_is_left_alone(ada: Person) -> None:
    stranger = person()
    topped_up(stranger.organization_id, "10")
    with stranger.at_work():
        theirs = asked(stranger, "1")
        many("ledger_hold_many", stranger, [theirs])
    with ada.at_work():
        gone = hold_of(ada.organization_id, "1")
        hold_release(hold_id=gone.id, key="r")
        small = asked(ada, "1")
        many("ledger_hold_many", ada, [small])
        before = Transaction.objects.count()
        calls = [ended({"hold": str(gone.id), "ref": "g"}, "1"), ended(small, "2"), ended(theirs, "1")]
        assert many("ledger_settle_many", ada, calls) == [None, None, None]
        assert Transaction.objects.count() == before
    books_are_right()


def test_what_comes_twice_writes_nothing_at_all(ada: Person) -> None:
    with ada.at_work():
        call = asked(ada, "1")
        with pytest.raises(IntegrityError), transaction.atomic():
            many("ledger_hold_many", ada, [call, call | {"hold": str(uuid.uuid4())}])
        assert figures(ada) == (USD(10), USD(0))
        many("ledger_hold_many", ada, [call])
        with pytest.raises(IntegrityError), transaction.atomic():
            many("ledger_settle_many", ada, [ended(call, "1"), ended(call, "1")])
        assert figures(ada) == (USD(10), USD(1))
    books_are_right()


def test_an_organization_without_a_wallet_holds_nothing() -> None:
    nobody = person()
    with nobody.at_work():
        Wallet.objects.filter(organization_id=nobody.organization_id).delete()
        assert many("ledger_hold_many", nobody, [asked(nobody, "1")]) == [None]


def holds_read() -> int:
    """How many rows of holds this transaction has read so far."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_user_tables WHERE relname = 'holds'"
        )
        return int(cursor.fetchone()[0])


def test_a_settlement_reads_no_holds_but_its_own(ada: Person) -> None:
    """Also in a young database, whose planner takes the table for a small one."""
    with psycopg.connect(database_url(OWNER, connection.settings_dict["NAME"]), autocommit=True) as own:
        own.execute("SELECT pg_clear_relation_stats('public', 'holds')")
        own.execute(
            "SELECT pg_clear_attribute_stats('public', 'holds', attname::text, false) FROM pg_attribute"
            " WHERE attrelid = 'holds'::regclass AND attnum > 0 AND NOT attisdropped"
        )
    with ada.at_work():
        calls = [asked(ada, "0.001") for _number in range(300)]
        many("ledger_hold_many", ada, calls)
        before = holds_read()
        settled = many("ledger_settle_many", ada, [ended(call, "0.0005") for call in calls[:2]])
        assert [answer["outcome"] for answer in settled] == ["settled", "settled"]
        # Each is looked up, ended, and referred to by its entries.
        assert holds_read() - before < 20
