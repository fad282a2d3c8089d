"""The wallet page in a browser: in every look, full and empty, by keyboard and without JavaScript's help."""

import uuid
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from accounts_app.services.trace import bind_trace
from accounts_app.tenancy.context import operator_atomic, tenant_atomic
from billing_app.contracts import TokenBuckets
from billing_app.models import UsageDaily
from billing_app.services.holds import hold_capture
from billing_app.services.usage import usage_record
from tests.factories.billing import hold_of, price_of
from tests.fixtures.stack import AccountMaker
from tests.support.accounts import Account
from tests.support.browser import LOOKS, Look, Visitor

pytestmark = pytest.mark.browser
EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)


def spend(account: Account, amount: str, *, model: str) -> None:
    """Make one call, from hold to record."""
    price, call_id, cost = price_of(model), uuid.uuid4(), Decimal(amount)
    with tenant_atomic(account.organization_id):
        hold = hold_of(account.organization_id, "1", ref=str(call_id))
    with tenant_atomic(account.organization_id):
        hold_capture(hold_id=hold.id, amount=cost, key=f"settle:{call_id}")
        usage_record(
            call_id=call_id, model=model, provider="scripted", price=price, tokens=TokenBuckets(1200, 300, 0, 800, 90),
            cost_usd=cost, charged_usd=cost, ending="completed", task_id=uuid.uuid4(),
        )  # fmt: skip


@pytest.fixture
def spender(make_account: AccountMaker) -> Account:
    account = make_account(balance=25)
    for number in range(12):
        with bind_trace():
            spend(account, f"0.0{number + 1}2345", model=f"browser-model-{number % 3}")
    return account


@EVERY_LOOK
def test_wallet_with_spending(somebody: Visitor, page: Page, spender: Account, look: Look) -> None:
    somebody.be(spender)
    page.goto(f"{somebody.base_url}/wallet/")
    expect(page.locator(".spendchart rect").last).to_be_attached()
    somebody.check(page, "wallet")
    page.goto(f"{somebody.base_url}/wallet/?list=usage")
    expect(page.locator("#records tbody tr")).to_have_count(12)
    somebody.check(page, "wallet-usage")


@EVERY_LOOK
def test_wallet_of_a_new_person(somebody: Visitor, page: Page, make_account: AccountMaker, look: Look) -> None:
    newcomer = make_account(balance=0)
    somebody.be(newcomer)
    page.goto(f"{somebody.base_url}/wallet/")
    expect(page.get_by_text(f"./manage.py wallet_topup {newcomer.email} 10")).to_be_visible()
    somebody.check(page, "wallet-empty")


def test_badge_in_the_top_bar_shows_what_is_available(somebody: Visitor, page: Page, spender: Account) -> None:
    somebody.be(spender)
    page.goto(f"{somebody.base_url}/wallet/")
    with tenant_atomic(spender.organization_id):
        assert UsageDaily.objects.exists()
    expect(page.locator(".walletbadge")).to_contain_text("$24.")


def test_filters_and_pages_are_reached_by_keyboard_and_stay_in_the_address(
    somebody: Visitor, page: Page, spender: Account
) -> None:
    somebody.be(spender)
    page.goto(f"{somebody.base_url}/wallet/")
    page.get_by_label("Kind").select_option("capture")
    page.get_by_role("button", name="Filter").press("Enter")
    expect(page.locator("#records tbody tr")).to_have_count(12)
    assert "kind=capture" in page.url
    page.goto(f"{somebody.base_url}/wallet/")
    page.get_by_role("link", name="Older").press("Enter")
    page.wait_for_url("**cursor=**")
    expect(page.locator("#records tbody tr")).to_have_count(17)
    page.get_by_role("link", name="Newer").press("Enter")
    expect(page.locator("#records tbody tr")).to_have_count(20)
    page.go_back()
    expect(page.locator("#records tbody tr")).to_have_count(17)


def test_the_chart_has_its_figures_as_a_table(somebody: Visitor, page: Page, spender: Account) -> None:
    somebody.be(spender)
    page.goto(f"{somebody.base_url}/wallet/?days=7")
    assert page.locator(".spendchart svg").get_attribute("role") == "img"
    page.get_by_text("Show as a table").press("Enter")
    with operator_atomic("test"):
        days = UsageDaily.objects.filter(organization_id=spender.organization_id)
        charged = sum((day.charged_usd for day in days), Decimal(0))
    expect(page.locator(".spendchart table")).to_contain_text(f"${charged.normalize():f}")
