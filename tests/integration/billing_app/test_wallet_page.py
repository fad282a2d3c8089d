"""The wallet's pages and the badge: figures, lists, filters, empty states, for the caller's organization only."""

import re
import uuid
from base64 import b64encode
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts_app.services.api_keys import api_key_create
from accounts_app.services.trace import bind_trace
from billing_app.contracts import TokenBuckets
from tests.factories.accounts import person, team
from tests.factories.billing import hold_of, price_of, spend, topped_up, usage_of

pytestmark = pytest.mark.django_db
USD = Decimal
PAGES = ["/wallet/", "/wallet/transactions/", "/wallet/usage/", "/wallet/budgets/", "/wallet/limits/"]


def text_of(client: Client, address: str, status: int = 200) -> str:
    page = client.get(address)
    assert page.status_code == status, page.content
    return page.content.decode()


def test_page_of_a_new_person_leads_to_the_first_topup() -> None:
    client = person("ada.empty@example.com").client()
    assert "/wallet/topup/" in text_of(client, "/wallet/")
    assert "Nothing spent in this period" in text_of(client, "/wallet/")
    assert "No transactions yet" in text_of(client, "/wallet/transactions/")
    assert "No model was called yet" in text_of(client, "/wallet/usage/")


def test_page_shows_balance_pace_and_what_the_money_went_on() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    spend(ada, "0.25", model="wallet-page-model")
    page = ada.client().get("/wallet/")
    text = page.content.decode()
    assert "$9.7500" in text
    assert "975 credits" in text
    assert "wallet-page-model" in text
    assert text.count('role="img"') == 2
    pace = page.context["pace"]
    assert (pace.today, pace.month) == (USD("0.25"), USD("0.25"))
    assert pace.projected >= pace.month
    assert pace.change_percent is None


@pytest.mark.parametrize("by", ["model", "key", "project", "member", "task"])
def test_spending_is_taken_apart_by_whatever_is_asked_for(by: str) -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    project_id, key_id, task_id = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    spend(ada, "0.5", model="dear", project_id=project_id, api_key_id=key_id, task_id=task_id, user_id=ada.id)
    spend(ada, "0.25", model="cheap")
    page = ada.client().get(f"/wallet/?by={by}")
    expected = {
        "model": ["dear", "cheap"],
        "key": [f"Key {str(key_id)[:8]}", "Without a key (pages and tasks)"],
        "project": [f"Project {str(project_id)[:8]}", "No project"],
        "member": [str(ada.user.email), "Nobody in particular"],
        "task": [str(task_id)[:8]],
    }
    spending = page.context["spending"]
    assert [row.label for row in spending.rows] == expected[by]
    assert spending.rows[0].totals.charged_usd == USD("0.5")
    assert spending.total.charged_usd == USD("0.75")
    layers = spending.chart["layers"]
    assert sum(sum(layer["values"]) for layer in layers) == pytest.approx(0.75)


def test_a_task_shows_what_it_paid_in_the_period() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    task_id = uuid.uuid4()
    spend(ada, "0.3", task_id=task_id)
    spend(ada, "0.1")
    client, today = ada.client(), timezone.now().date()
    before = today - timedelta(days=1)
    (row,) = client.get(f"/wallet/?by=task&period=custom&from={today}&to={today}").context["spending"].rows
    assert (row.task_id, row.totals.calls, row.totals.charged_usd, row.percent) == (task_id, 1, USD("0.3"), 75)
    assert client.get(f"/wallet/?by=task&period=custom&from={before}&to={before}").context["spending"].rows == ()
    tomorrow = today + timedelta(days=1)
    assert client.get(f"/wallet/?by=task&period=custom&from={tomorrow}&to={tomorrow}").context["spending"].rows == ()


def test_names_of_the_dimensions_are_those_that_the_reader_may_know() -> None:
    owner, member = team("member")
    topped_up(owner.organization_id, "10")
    with owner.at_work():
        key_id = api_key_create(name="the owner's").id
    spend(owner, "0.5", api_key_id=key_id)
    assert "the owner&#x27;s" in text_of(owner.client(), "/wallet/?by=key")
    seen = text_of(member.client(), "/wallet/?by=key")
    assert "the owner&#x27;s" not in seen
    assert f"Key {str(key_id)[:8]}" in seen


@pytest.mark.parametrize(
    ("query", "days"), [("period=7", 7), ("period=90", 90), ("period=nonsense", 30), ("", 30), ("period=month", 0)]
)
def test_the_period_is_in_the_address(query: str, days: int) -> None:
    period = person().client().get(f"/wallet/?{query}").context["period"]
    assert period.days == (days or timezone.now().day)


def test_days_of_ones_own_choice_are_checked() -> None:
    client = person().client()
    period = client.get("/wallet/?period=custom&from=2026-02-01&to=2026-02-28").context["period"]
    assert (period.key, period.days) == ("custom", 28)
    for query in ("from=2026-02-02&to=2026-02-01", "from=2020-01-01&to=2026-01-01", "from=soon&to=2026-01-01", ""):
        text = text_of(client, f"/wallet/?period=custom&{query}")
        assert "field__error" in text, query


def test_transactions_show_amounts_to_the_last_place_with_task_and_trace() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    task_id = uuid.uuid4()
    with bind_trace("b" * 32):
        spend(ada, "0.2500000001", task_id=task_id)
    text = text_of(ada.client(), "/wallet/transactions/")
    assert "-$0.2500000001" in text
    assert f'href="/traces/{"b" * 32}/"' in text
    assert f"/tasks/{task_id}/" in text
    assert ada.client().get(f"/traces/{'b' * 32}/").status_code == 200


def test_usage_list_leads_to_each_calls_arithmetic() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    price = price_of(input="2.5", cached_input="0.25", output="10", reasoning="10", per_request="0.001")
    tokens = TokenBuckets(input=1000, cached_input=400, output=300, reasoning=30)
    with bind_trace("d" * 32):
        call_id = spend(ada, "0.0069", model=price.model_key, tokens=tokens, cost="0.0069000000")
    text = text_of(ada.client(), "/wallet/usage/")
    address = f"/wallet/usage/{call_id}/"
    assert address in text
    assert f'href="/traces/{"d" * 32}/"' in text
    detail = text_of(ada.client(), address)
    for figure in ("$2.50 / 1M", "$0.0025", "$0.0001", "$0.003", "$0.0003", "$0.001", "$0.0069", str(call_id)):
        assert figure in detail, figure
    assert f'href="/traces/{"d" * 32}/"' in detail
    assert person().client().get(address).status_code == 404


def test_a_cost_that_tokens_do_not_explain_is_a_line_of_its_own() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    call_id = spend(ada, "0.04", tokens=TokenBuckets(), cost="0.04")
    assert "Other" in text_of(ada.client(), f"/wallet/usage/{call_id}/")


def test_filters_are_in_the_address_and_bad_ones_are_named() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    client = ada.client()
    assert "Nothing matches these filters" in text_of(client, "/wallet/transactions/?kind=refund")
    assert "+$10.00" in text_of(client, "/wallet/transactions/?kind=topup")
    assert "Nothing matches these filters" in text_of(client, "/wallet/transactions/?to=2020-01-01")
    assert "Nothing matches these filters" in text_of(client, "/wallet/transactions/?q=no+such+note")
    assert "field__error" in text_of(client, "/wallet/transactions/?from=soon", 400)
    assert "field__error" in text_of(client, "/wallet/usage/?key=mine", 400)


def test_usage_is_filtered_by_all_that_it_says() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    ids = {name: uuid.uuid4() for name in ("project", "key", "task", "member")}
    with bind_trace("c" * 32):
        spend(
            ada, "0.1", model="found-model", project_id=ids["project"], api_key_id=ids["key"], task_id=ids["task"],
            user_id=ids["member"], ending="timeout",
        )  # fmt: skip
    spend(ada, "0.1", model="other-model")
    client = ada.client()
    queries = [f"{name}={value}" for name, value in ids.items()]
    for query in [*queries, "model=found-model", "ending=timeout", f"trace={'c' * 32}", "q=found"]:
        rows = client.get(f"/wallet/usage/?{query}").context["rows"]
        assert [record.model for record, _key in rows] == ["found-model"], query


def test_entries_are_filtered_by_the_call_that_they_are_about() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    task_id = uuid.uuid4()
    call_id = spend(ada, "0.1", task_id=task_id)
    spend(ada, "0.2")
    client = ada.client()
    for query in (f"q={call_id}", f"task={task_id}"):
        entries = client.get(f"/wallet/transactions/?{query}").context["entries"]
        assert [(entry.kind, entry.billing_ref_id) for entry, _task in entries] == [
            (kind, str(call_id)) for kind in ("release", "capture", "hold")
        ], query
    assert client.get(f"/wallet/transactions/?key={uuid.uuid4()}").context["entries"] == []


def test_entries_of_one_key_or_project_are_those_of_its_holds() -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    project_id, key_id = uuid.uuid4(), uuid.uuid4()
    with ada.at_work():
        hold_of(ada.organization_id, "1", project_id=project_id, api_key_id=key_id)
        hold_of(ada.organization_id, "2")
    for query in (f"key={key_id}", f"project={project_id}"):
        entries = ada.client().get(f"/wallet/transactions/?{query}").context["entries"]
        assert [entry.amount for entry, _task in entries] == [USD(1)], query


def test_pages_lead_through_the_whole_ledger_and_back() -> None:
    ada = person()
    for number in range(45):
        topped_up(ada.organization_id, "1", key=f"n{number}")
    client, seen, address = ada.client(), [], "/wallet/transactions/"
    while address:
        page = client.get(address)
        seen += [row.seq for row, _task in page.context["entries"]]
        cursor = page.context["page"].next_cursor
        address = f"/wallet/transactions/?cursor={cursor}" if cursor else ""
    assert seen == list(range(45, 0, -1))
    before = client.get(f"/wallet/transactions/?cursor={page.context['page'].previous_cursor}")
    assert [row.seq for row, _task in before.context["entries"]] == list(range(25, 5, -1))
    oldest = client.get("/wallet/transactions/?sort=oldest")
    assert [row.seq for row, _task in oldest.context["entries"]] == list(range(1, 21))


@pytest.mark.parametrize("position", [b"p=soon", b"o=\xff", b"p=1&r=1&o=99999999999"])
@pytest.mark.parametrize(
    "address",
    ["/wallet/transactions/", "/wallet/usage/", "/api/billing/usage", "/api/billing/transactions"],
)
def test_a_made_up_cursor_is_not_found_or_ignored(address: str, position: bytes) -> None:
    status = person().client().get(f"{address}?cursor={b64encode(position).decode()}").status_code
    assert status == 404 if position == b"p=soon" else status in (200, 404)


def test_badge_shows_what_is_available() -> None:
    ada = person()
    topped_up(ada.organization_id, "12.345")
    fragment = text_of(ada.client(), "/wallet/badge/")
    assert "$12.35" in fragment or "$12.34" in fragment
    assert "<html" not in fragment


@pytest.mark.parametrize("address", [*PAGES, "/wallet/badge/", "/wallet/topup/", "/wallet/usage/export.csv"])
def test_anonymous_people_are_sent_to_sign_in(address: str) -> None:
    assert Client().get(address).status_code == 302


def test_pages_show_nothing_of_others() -> None:
    ada, bob = person(), person()
    topped_up(ada.organization_id, "10")
    spend(ada, "0.5", model="ada-only-model")
    for address in PAGES:
        text = text_of(bob.client(), address)
        assert "ada-only-model" not in text
        assert "$9.5" not in text


@pytest.mark.parametrize(
    ("address", "queries"),
    [
        ("/wallet/", 17),
        ("/wallet/?by=key", 20),
        ("/wallet/?by=task", 15),
        ("/wallet/transactions/", 17),
        ("/wallet/usage/", 17),
    ],
)
def test_pages_need_the_same_queries_however_many_rows(
    address: str, queries: int, django_assert_max_num_queries: Any
) -> None:
    ada = person()
    topped_up(ada.organization_id, "10")
    for number in range(12):
        spend(ada, "0.01", task_id=uuid.uuid4(), api_key_id=uuid.uuid4(), model=f"many-{number}")
    client = ada.client()
    client.get(address)
    with django_assert_max_num_queries(queries) as made:
        client.get(address)
    # Roll-ups only: records are listed by an index, never summed; but for those that were made for tasks.
    summed = [query["sql"] for query in made if re.search(r"SUM\(.*openai_usage", query["sql"])]
    assert all('"openai_usage"."task_id" IS NOT NULL' in sql for sql in summed)
    assert len(summed) == ("by=task" in address)


def test_usage_of_others_is_not_listed_under_a_filter_of_ours() -> None:
    ada, bob = person(), person()
    usage_of(bob.organization_id, price_of("shared-name"))
    assert ada.client().get("/wallet/usage/?model=shared-name").context["rows"] == []
