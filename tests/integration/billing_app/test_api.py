"""The billing API: exact strings, keyset pages, filters, and the caller's own organization only."""

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts_app.services.trace import bind_trace
from billing_app.contracts import TokenBuckets
from billing_app.services.holds import hold_release
from tests.factories.accounts import Person, person
from tests.factories.billing import hold_of, price_of, topped_up, usage_of

pytestmark = pytest.mark.django_db
USD = Decimal
ADDRESSES = ["/api/billing/wallet", "/api/billing/transactions", "/api/billing/usage"]


@pytest.fixture
def ada() -> Person:
    somebody = person()
    topped_up(somebody.organization_id, "10.5")
    return somebody


def get(client: Client, address: str) -> Any:
    response = client.get(address)
    assert response.status_code == 200, response.content
    return response.json()


def test_wallet_in_exact_strings(ada: Person) -> None:
    with ada.at_work():
        hold_of(ada.organization_id, "0.0000000001")
    assert get(ada.api(), "/api/billing/wallet") == {
        "balance": "10.5000000000",
        "frozen": "0.0000000001",
        "available": "10.4999999999",
        "credits": 1050,
    }


def test_transactions_newest_first_with_their_trace(ada: Person) -> None:
    with ada.at_work(), bind_trace("a" * 32):
        hold = hold_of(ada.organization_id, "4", ref="call-1")
        hold_release(hold_id=hold.id, key="r", reason="refused")
    rows = get(ada.api(), "/api/billing/transactions")["results"]
    assert [(row["kind"], row["seq"]) for row in rows] == [("release", 3), ("hold", 2), ("topup", 1)]
    assert rows[0] | {"id": "", "created_at": ""} == {
        "id": "", "seq": 3, "kind": "release", "amount": "4.0000000000", "balance_after": "10.5000000000",
        "frozen_after": "0.0000000000", "hold_id": str(hold.id), "billing_ref_id": "call-1", "trace_id": "a" * 32,
        "note": "refused", "created_at": "",
    }  # fmt: skip


def test_usage_with_buckets_and_cost(ada: Person) -> None:
    price, task_id = price_of(), uuid.uuid4()
    tokens = TokenBuckets(input=60, cached_input=40, cache_write=8, output=7, reasoning=3)
    usage_of(ada.organization_id, price, task_id=task_id, tokens=tokens, cost_usd=USD("0.0000021"))
    usage_of(ada.organization_id, price)
    (row,) = get(ada.api(), f"/api/billing/usage?task={task_id}")["results"]
    assert row["cost_usd"] == "0.0000021000"
    assert (row["input_tokens"], row["output_tokens"]) == (108, 10)
    assert (row["uncached_input_tokens"], row["cached_input_tokens"], row["cache_write_tokens"]) == (60, 40, 8)
    assert (row["visible_output_tokens"], row["reasoning_tokens"]) == (7, 3)
    assert row["price_id"] == str(price.id)


def test_filters_narrow_the_lists(ada: Person) -> None:
    price = price_of()
    usage_of(ada.organization_id, price)
    usage_of(ada.organization_id, price_of())
    client = ada.api()

    def count(address: str) -> int:
        return len(get(client, address)["results"])

    assert count(f"/api/billing/usage?model={price.model_key}") == 1
    assert count("/api/billing/usage?from=2026-01-01&to=2999-01-01") == 2
    assert count("/api/billing/usage?to=2026-01-01") == 0
    assert count("/api/billing/usage?from=2999-01-01") == 0
    assert count("/api/billing/transactions?kind=topup") == 1
    assert count("/api/billing/transactions?kind=capture") == 0


def test_lists_are_turned_around(ada: Person) -> None:
    topped_up(ada.organization_id, "1", key="second")
    rows = get(ada.api(), "/api/billing/transactions?sort=oldest")["results"]
    assert [row["seq"] for row in rows] == [1, 2]
    first, second = (usage_of(ada.organization_id, price_of()).id for _ in range(2))
    oldest = get(ada.api(), "/api/billing/usage?sort=oldest")["results"]
    assert [row["id"] for row in oldest] == [str(first), str(second)]


def test_usage_says_whose_it_was(ada: Person) -> None:
    key_id, project_id = uuid.uuid4(), uuid.uuid4()
    usage_of(ada.organization_id, price_of(), api_key_id=key_id, project_id=project_id, endpoint="chat/completions")
    usage_of(ada.organization_id, price_of())
    for query in (f"key={key_id}", f"project={project_id}", "q=chat/completions"):
        (row,) = get(ada.api(), f"/api/billing/usage?{query}")["results"]
        assert (row["api_key_id"], row["project_id"]) == (str(key_id), str(project_id))
        assert row["endpoint"] == "chat/completions"


@pytest.mark.parametrize(("address", "field"), [
    ("transactions?kind=gift", "kind"), ("transactions?from=soon", "from"), ("usage?to=2026-13-01", "to"),
    ("usage?task=mine", "task"), ("usage?key=mine", "key"), ("transactions?sort=loudest", "sort"),
])  # fmt: skip
def test_bad_filters_are_named(ada: Person, address: str, field: str) -> None:
    response = ada.api().get(f"/api/billing/{address}")
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == "invalid_input"
    assert [item["field"] for item in error["details"]] == [field]


def test_pages_lead_through_everything_without_gap_or_repetition(ada: Person) -> None:
    for number in range(11):
        topped_up(ada.organization_id, "1", key=f"n{number}")
    client, address, seen = ada.api(), "/api/billing/transactions?limit=5", []
    while address:
        page = get(client, address)
        seen += [row["seq"] for row in page["results"]]
        address = page["next"]
    assert seen == list(range(12, 0, -1))


@pytest.mark.parametrize("address", ADDRESSES)
def test_anonymous_callers_are_refused(address: str) -> None:
    assert Client().get(address).status_code == 401


@pytest.mark.parametrize("address", ADDRESSES)
def test_nothing_is_written_through_these_addresses(ada: Person, address: str) -> None:
    client = ada.api()
    for method in (client.post, client.put, client.patch, client.delete):
        assert method(address, {}, content_type="application/json").status_code == 405


def test_callers_see_their_own_organization_only(ada: Person) -> None:
    usage_of(ada.organization_id, price_of())
    client = person().api()
    assert get(client, "/api/billing/wallet")["balance"] == "0.0000000000"
    for address in ADDRESSES[1:]:
        assert get(client, address)["results"] == []


@pytest.mark.parametrize("address", ADDRESSES)
def test_lists_need_the_same_queries_for_one_row_and_for_many(
    ada: Person, address: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        topped_up(ada.organization_id, "1", key=f"n{number}")
        usage_of(ada.organization_id, price_of("same"))
    client = ada.api()
    get(client, address)
    with django_assert_max_num_queries(10):
        get(client, address)
