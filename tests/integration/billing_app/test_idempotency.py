"""Idempotency-Key on the billing API's POSTs: once carried out, alike answered, whoever asks how often."""

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts_app.tenancy.context import operator_atomic, operator_context
from billing_app import tasks
from billing_app.models import Budget, StoredAnswer, Transaction, Wallet
from billing_app.services.idempotency import answer_stored, request_hash
from tests.factories.accounts import Person, person, team
from tests.factories.billing import topped_up

USD = Decimal
TOPUPS = "/api/billing/topups"


@pytest.fixture(autouse=True)
def open_topups(settings: Settings) -> None:
    """Let owners top up, whatever kind of system the tests run in."""
    settings.WALLET_SELF_TOPUP = True


def post(client: Client, body: Any, key: str | None = "key-1", address: str = TOPUPS) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(address, body, content_type="application/json", headers=headers)


def balance_of(somebody: Person) -> Decimal:
    with somebody.at_work():
        return Wallet.objects.get(organization_id=somebody.organization_id).balance


@pytest.mark.django_db
def test_the_same_request_again_gets_the_stored_answer_byte_by_byte_and_pays_once() -> None:
    ada = person()
    client = ada.api()
    first = post(client, {"amount": "12.5", "note": "初次"})
    assert first.status_code == 201
    assert first.json()["balance"] == "12.5000000000"
    assert "Idempotent-Replayed" not in first
    topped_up(ada.organization_id, "1")  # the wallet has moved on; the answer has not
    again = post(client, {"note": "初次", "amount": "12.5"})
    assert (again.status_code, again.content) == (201, first.content)
    assert again["Idempotent-Replayed"] == "true"
    assert again["Content-Type"] == first["Content-Type"]
    assert balance_of(ada) == USD("13.5")


@pytest.mark.django_db
def test_another_request_with_the_key_is_a_conflict_that_is_not_worth_retrying() -> None:
    ada = person()
    client = ada.api()
    assert post(client, {"amount": "1"}).status_code == 201
    other = post(client, {"amount": "2"})
    assert (other.status_code, other["x-should-retry"]) == (409, "false")
    assert other.json()["error"]["code"] == "idempotency_conflict"
    elsewhere = post(
        client, {"scope": "organization", "period": "day", "limit_usd": "1"}, address="/api/billing/budgets"
    )
    assert elsewhere.status_code == 409
    assert balance_of(ada) == USD(1)


@pytest.mark.django_db
def test_what_one_person_was_told_is_not_repeated_to_another() -> None:
    owner, admin = team("admin")
    assert post(owner.api(), {"amount": "1"}).status_code == 201
    assert post(admin.api(), {"amount": "1"}).status_code == 409
    assert post(person().api(), {"amount": "1"}).status_code == 201  # another organization's key is another key


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "status"),
    [({"amount": "much"}, 400), ({"amount": "0.001"}, 400), ({"amount": "10001"}, 400), ({}, 400), ([], 400)],
)
def test_nothing_is_stored_for_a_request_that_was_refused(body: Any, status: int) -> None:
    ada = person()
    client = ada.api()
    assert post(client, body).status_code == status
    with operator_atomic("test"):
        assert not StoredAnswer.objects.filter(organization_id=ada.organization_id).exists()
    assert post(client, {"amount": "3"}).status_code == 201
    assert balance_of(ada) == USD(3)


@pytest.mark.django_db
def test_money_is_not_moved_without_a_key() -> None:
    answer = post(person().api(), {"amount": "1"}, key=None)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "Idempotency-Key"


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["", "x" * 81, "tab\there"])
def test_a_key_that_is_none_is_named(key: str) -> None:
    answer = post(person().api(), {"amount": "1"}, key=key)
    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["field"] == "Idempotency-Key"


@pytest.mark.django_db
def test_budgets_take_a_key_and_need_none() -> None:
    ada = person()
    client, body = ada.api(), {"scope": "organization", "period": "day", "limit_usd": "5"}
    first = post(client, body, address="/api/billing/budgets")
    assert first.status_code == 201
    assert post(client, body, address="/api/billing/budgets").content == first.content
    assert post(client, body | {"limit_usd": "6"}, key=None, address="/api/billing/budgets").status_code == 201
    with ada.at_work():
        assert Budget.objects.get(organization_id=ada.organization_id).limit_usd == USD(6)


@pytest.mark.django_db
def test_an_answer_is_forgotten_after_a_day_but_the_ledger_still_knows_the_key() -> None:
    ada = person()
    client = ada.api()
    post(client, {"amount": "1"})
    _expire(ada)
    again = post(client, {"amount": "1"})
    assert (again.status_code, "Idempotent-Replayed" in again) == (201, False)
    assert balance_of(ada) == USD(1)
    _expire(ada)
    other = post(client, {"amount": "2"})
    assert (other.status_code, other["x-should-retry"]) == (409, "false")


@pytest.mark.django_db
def test_the_clean_up_deletes_what_has_expired_and_nothing_else() -> None:
    ada, bob = person(), person()
    post(ada.api(), {"amount": "1"})
    post(bob.api(), {"amount": "1"})
    _expire(ada)
    assert tasks.forget_answers() >= 1
    with operator_atomic("test"):
        left = StoredAnswer.objects.filter(organization_id__in=[ada.organization_id, bob.organization_id])
        assert [answer.organization_id for answer in left] == [bob.organization_id]


@pytest.mark.django_db
def test_a_key_has_one_answer_in_an_organization() -> None:
    ada = person()
    post(ada.api(), {"amount": "1"})
    with ada.at_work():
        stored = StoredAnswer.objects.get(organization_id=ada.organization_id)
        stored.pk = uuid.uuid4()
        with pytest.raises(IntegrityError, match="stored_answer_once"), transaction.atomic():
            stored.save(force_insert=True)


@pytest.mark.usefixtures("committed_db")
def test_two_at_once_the_second_is_told_to_come_back() -> None:
    ada = person()
    client = ada.api()
    asked = threading.Event()
    answered = threading.Event()
    with _elsewhere(lambda: _claim_and_wait(ada, asked, answered)):
        assert asked.wait(60)
        busy = post(client, {"amount": "1"})
        answered.set()
    assert (busy.status_code, busy["Retry-After"]) == (409, "1")
    assert busy.json()["error"]["code"] == "idempotency_in_progress"
    assert post(client, {"amount": "1"}).status_code == 201
    assert balance_of(ada) == USD(1)


@pytest.mark.usefixtures("committed_db")
def test_twenty_at_once_pay_once() -> None:
    ada = person()
    secret, statuses, barrier = ada.key(), [], threading.Barrier(20)

    def ask() -> None:
        client = Client(headers={"Authorization": f"Bearer {secret}"})
        barrier.wait(20)
        statuses.append(post(client, {"amount": "1"}).status_code)

    threads = [threading.Thread(target=_closing(ask)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert set(statuses) <= {201, 409}
    assert statuses.count(201) >= 1
    assert balance_of(ada) == USD(1)
    with ada.at_work():
        assert Transaction.objects.filter(organization_id=ada.organization_id).count() == 1


def _claim_and_wait(somebody: Person, asked: threading.Event, answered: threading.Event) -> None:
    with somebody.at_work():
        answer_stored(key="key-1", request_hash=request_hash(method="POST", path=TOPUPS, body={"amount": "1"}))
        asked.set()
        answered.wait(60)


class _elsewhere:  # noqa: N801 - reads as a context
    """Run something in another thread, with a connection of its own, for the block."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=_closing(work))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._thread.join(15)


def _closing(work: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    return run


def _expire(somebody: Person) -> None:
    with operator_context("test"), transaction.atomic():
        mine = StoredAnswer.objects.filter(organization_id=somebody.organization_id)
        mine.update(expires_at=timezone.now() - timedelta(seconds=1))
