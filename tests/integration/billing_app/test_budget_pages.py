"""Budgets for people and programs: set, seen, changed, removed; warned of by a red dot and a toast."""

import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client, RequestFactory

from accounts_app.services.api_keys import api_key_create
from accounts_app.tenancy.context import current_tenant
from billing_app.context_processors import budgets
from billing_app.models import Budget
from billing_app.services.budgets import budget_set
from tests.factories.accounts import Person, person, team
from tests.factories.billing import hold_of, spend, topped_up

pytestmark = pytest.mark.django_db
USD = Decimal
PAGE = "/wallet/budgets/"
DOT = "mainnav__dot"
FORM = {"subject": "organization", "period": "month", "limit_usd": "5", "soft_percent": "80", "on_exceed": "refuse"}


def budget_of(somebody: Person, limit: str = "1", **fields: Any) -> uuid.UUID:
    with somebody.at_work():
        chosen: dict[str, Any] = {"scope": "organization", "period": "month", "limit_usd": USD(limit)}
        return budget_set(**(chosen | fields)).id


@pytest.fixture
def ada() -> Person:
    somebody = person()
    topped_up(somebody.organization_id, "10")
    return somebody


def test_a_budget_is_set_shown_changed_and_removed(ada: Person) -> None:
    client = ada.client()
    assert "No budgets yet" in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}new/", FORM | {"is_active": "on"}).status_code == 302
    spend(ada, "0.5")
    with ada.at_work():
        hold_of(ada.organization_id, "1")
        budget = Budget.objects.get(organization_id=ada.organization_id)
    page = client.get(PAGE)
    ((state, name),) = page.context["budgets"]
    assert (state.spent, state.held, state.left, state.percent) == (USD("0.5"), USD(1), USD("3.5"), 30)
    assert name == "The whole organization"
    assert "$0.5000 of $5.00" in page.content.decode()
    address = f"{PAGE}{budget.pk}/"
    assert 'value="5"' in client.get(address).content.decode()
    changed = {"limit_usd": "0.5", "soft_percent": "50", "on_exceed": "fallback", "is_active": "on"}
    assert client.post(address, changed).status_code == 302
    text = client.get(PAGE).content.decode()
    assert "Used up" in text
    assert "Use the cheaper model" in text
    assert "Remove this budget?" in client.get(f"{address}remove/").content.decode()
    assert client.post(f"{address}remove/").status_code == 302
    assert client.get(address).status_code == 404


def test_budgets_of_keys_and_members_are_called_by_name(ada: Person) -> None:
    with ada.at_work():
        key_id = api_key_create(name="nightly report").id
    client = ada.client()
    form = client.get(f"{PAGE}new/").content.decode()
    assert f"key:{key_id}" in form
    assert f"member:{ada.id}" in form
    for subject in (f"key:{key_id}", f"member:{ada.id}"):
        assert client.post(f"{PAGE}new/", FORM | {"subject": subject}).status_code == 302
    names = [name for _state, name in client.get(PAGE).context["budgets"]]
    assert names == [str(ada.user.email), "nightly report"]


@pytest.mark.parametrize(
    ("field", "value"), [("limit_usd", "-1"), ("soft_percent", "0"), ("period", "week"), ("subject", "key:mine")]
)
def test_what_is_wrong_is_named_beside_its_field(ada: Person, field: str, value: str) -> None:
    answer = ada.client().post(f"{PAGE}new/", FORM | {field: value})
    assert answer.status_code == 400
    assert field in answer.context["form"].errors


def test_members_see_budgets_and_change_none() -> None:
    owner, member = team("member")
    budget_id = budget_of(owner)
    client = member.client()
    assert "budget-new" not in client.get(PAGE).content.decode()
    assert client.get(PAGE).status_code == 200
    for address in (f"{PAGE}new/", f"{PAGE}{budget_id}/", f"{PAGE}{budget_id}/remove/"):
        assert client.get(address).status_code == 403
        assert client.post(address, FORM).status_code == 403


def test_a_red_dot_warns_those_who_manage_until_the_limit_is_raised() -> None:
    owner, member = team("member")
    topped_up(owner.organization_id, "10")
    budget_id = budget_of(owner)
    assert DOT not in owner.client().get("/wallet/").content.decode()
    spend(owner, "0.8")
    assert DOT in owner.client().get("/wallet/").content.decode()
    assert DOT in owner.client().get("/settings/organization/").content.decode()
    assert DOT not in member.client().get("/wallet/").content.decode()
    assert DOT not in person().client().get("/wallet/").content.decode()
    owner.client().post(f"{PAGE}{budget_id}/", FORM | {"is_active": "on"})
    assert DOT not in owner.client().get("/wallet/").content.decode()


def test_a_toast_is_shown_once_in_a_browser(ada: Person) -> None:
    budget_of(ada)
    browser, other = ada.client(), ada.client()
    assert "toast" not in browser.get("/wallet/badge/").content.decode()
    spend(ada, "0.9")
    assert "toast-item" in browser.get("/wallet/badge/").content.decode()
    assert "toast" not in browser.get("/wallet/badge/").content.decode()
    assert "toast-item" in other.get("/wallet/badge/").content.decode()
    budget_of(ada, period="day")
    assert browser.get("/wallet/badge/").content.decode().count("toast-item--warning") == 1


def test_the_dot_costs_a_page_one_query(ada: Person, django_assert_num_queries: Any) -> None:
    request: Any = RequestFactory().get("/")
    with ada.at_work():
        request.tenant = current_tenant()
        with django_assert_num_queries(0):
            alerts = budgets(request)["budget_alerts"]
        # A savepoint and its release stand around the one query, with the tenant applied before and after.
        with django_assert_num_queries(3):
            assert not alerts


def test_keys_and_projects_show_their_spending_in_one_answer(ada: Person, django_assert_max_num_queries: Any) -> None:
    with ada.at_work():
        keys = [api_key_create(name=f"key {number}").id for number in range(3)]
    budget_of(ada, "2", scope="key", subject_id=keys[0])
    spend(ada, "0.5", api_key_id=keys[0])
    spend(ada, "0.25", api_key_id=keys[1])
    client = ada.client()
    address = "/wallet/spend/keys/?" + "&".join(f"id={key}" for key in [*keys, uuid.uuid4()])
    client.get(address)
    with django_assert_max_num_queries(11):
        text = client.get(address).content.decode()
    for key in keys:
        assert f'id="key-spend-{key}" hx-swap-oob="true"' in text
    assert "of $2.00" in text
    assert "$0.2500" in text
    assert text.count("hx-swap-oob") == 3
    assert "hx-swap-oob" not in person().client().get(address).content.decode()
    assert client.get("/wallet/spend/keys/?id=mine").status_code == 400
    assert client.get("/wallet/spend/projects/").status_code == 200


def api(client: Client, method: str, address: str = "", body: dict[str, Any] | None = None) -> Any:
    return getattr(client, method)(f"/api/billing/budgets{address}", body, content_type="application/json")


def test_programs_set_read_change_and_remove_budgets(ada: Person) -> None:
    client = ada.api()
    made = api(client, "post", body={"scope": "member", "subject_id": str(ada.id), "period": "day", "limit_usd": "2.5"})
    assert made.status_code == 201, made.content
    budget = made.json()
    assert (budget["limit_usd"], budget["spent"], budget["left"]) == ("2.5000000000", "0.0000000000", "2.5000000000")
    assert (budget["soft_percent"], budget["on_exceed"], budget["is_active"]) == (80, "refuse", True)
    address = f"/{budget['id']}"
    changed = api(client, "patch", address, {"limit_usd": "3", "on_exceed": "fallback"})
    assert (changed.status_code, changed.json()["limit_usd"]) == (200, "3.0000000000")
    assert client.get("/api/billing/budgets").json()["results"] == [changed.json()]
    assert api(client, "delete", address).status_code == 204
    assert api(client, "get", address).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scope": "planet", "period": "day", "limit_usd": "1"}, "scope"),
        ({"scope": "organization", "period": "day", "limit_usd": "-1"}, "limit_usd"),
        ({"scope": "key", "period": "day", "limit_usd": "1"}, "subject_id"),
        ({"scope": "key", "period": "day", "limit_usd": "1", "subject_id": str(uuid.uuid4())}, "subject_id"),
        ({"scope": "organization", "period": "day", "limit_usd": "1", "soft_percent": 101}, "soft_percent"),
    ],
)
def test_programs_are_told_the_field_at_fault(ada: Person, body: dict[str, Any], field: str) -> None:
    answer = api(ada.api(), "post", body=body)
    assert answer.status_code == 400
    assert [item["field"] for item in answer.json()["error"]["details"]] == [field]


def test_programs_of_members_only_read() -> None:
    owner, member = team("member")
    budget_id = budget_of(owner)
    client = member.api()
    assert api(client, "get", f"/{budget_id}").status_code == 200
    assert api(client, "patch", f"/{budget_id}", {"limit_usd": "9"}).status_code == 403
    assert api(client, "delete", f"/{budget_id}").status_code == 403
    assert api(client, "post", body={"scope": "organization", "period": "day", "limit_usd": "1"}).status_code == 403
