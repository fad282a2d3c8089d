"""The pages about money in a browser: in every look, full and empty, by keyboard and with the charts drawn."""

import uuid
from decimal import Decimal

import pytest
from playwright.sync_api import Page, expect

from accounts_app.services.trace import bind_trace
from accounts_app.tenancy.context import operator_atomic, tenant_atomic
from billing_app.contracts import TokenBuckets
from billing_app.models import UsageDaily
from billing_app.services.budgets import budget_set
from billing_app.services.holds import hold_capture
from billing_app.services.usage import usage_record
from gateway_app.services.limits import rate_limit_set
from tests.factories.billing import hold_of, price_of
from tests.fixtures.stack import AccountMaker
from tests.support.accounts import Account
from tests.support.browser import LOOKS, Look, Visitor

pytestmark = pytest.mark.browser
EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
CALLS = 12


def spend(account: Account, amount: str, *, model: str) -> uuid.UUID:
    """Make one call, from hold to record, and return its id."""
    price, call_id, cost = price_of(model), uuid.uuid4(), Decimal(amount)
    with tenant_atomic(account.organization_id):
        hold = hold_of(account.organization_id, "1", ref=str(call_id))
    with tenant_atomic(account.organization_id):
        hold_capture(hold_id=hold.id, amount=cost, key=f"settle:{call_id}")
        usage_record(
            call_id=call_id, model=model, provider="scripted", price=price, tokens=TokenBuckets(1200, 300, 0, 800, 90),
            cost_usd=cost, charged_usd=cost, ending="completed", task_id=uuid.uuid4(),
        )  # fmt: skip
    return call_id


@pytest.fixture
def spender(make_account: AccountMaker) -> Account:
    account = make_account(balance=25)
    for number in range(CALLS):
        with bind_trace():
            spend(account, f"0.0{number + 1}2345", model=f"browser-model-{number % 3}")
    with tenant_atomic(account.organization_id, account.user.pk, "owner"):
        budget_set(scope="organization", period="month", limit_usd=Decimal("0.6"))
        budget_set(scope="member", subject_id=account.user.pk, period="day", limit_usd=Decimal(20))
        rate_limit_set(scope="organization", requests_per_minute=600, tokens_per_minute=90_000)
    return account


@EVERY_LOOK
def test_pages_about_money_keep_their_promises(somebody: Visitor, page: Page, spender: Account, look: Look) -> None:
    somebody.be(spender)
    page.goto(f"{somebody.base_url}/wallet/")
    expect(page.locator("[data-spend-chart][data-drawn] canvas")).to_have_count(2)
    # Warned of in a toast; further pages of the same browser do not repeat it.
    expect(page.locator(".toast-item--warning")).to_have_count(1)
    broken = somebody.broken(page, "wallet")
    call_id = ""
    for name, path in {
        "wallet-by-task": "/wallet/?by=task",
        "transactions": "/wallet/transactions/",
        "usage": "/wallet/usage/",
        "budgets": "/wallet/budgets/",
        "budget-new": "/wallet/budgets/new/",
        "limits": "/wallet/limits/",
        "limit-new": "/wallet/limits/new/",
        "topup": "/wallet/topup/",
    }.items():
        page.goto(somebody.base_url + path)
        expect(page.locator(".mainnav__dot")).to_be_attached()
        expect(page.locator(".toast-item")).to_have_count(0)
        broken += somebody.broken(page, name)
        if name == "usage":
            call_id = page.locator("tbody tr td a").first.get_attribute("href") or ""
    page.goto(somebody.base_url + call_id)
    broken += somebody.broken(page, "usage-detail")
    assert not broken, "\n".join(broken)


@EVERY_LOOK
def test_pages_of_a_new_person(somebody: Visitor, page: Page, make_account: AccountMaker, look: Look) -> None:
    newcomer = make_account(balance=0)
    somebody.be(newcomer)
    broken = []
    for name, path in {
        "wallet-empty": "/wallet/",
        "transactions-empty": "/wallet/transactions/",
        "usage-empty": "/wallet/usage/",
        "budgets-empty": "/wallet/budgets/",
        "limits-empty": "/wallet/limits/",
    }.items():
        page.goto(somebody.base_url + path)
        expect(page.locator(".empty").first).to_be_visible()
        broken += somebody.broken(page, name)
    assert not broken, "\n".join(broken)


def test_badge_in_the_top_bar_shows_what_is_available(somebody: Visitor, page: Page, spender: Account) -> None:
    somebody.be(spender)
    page.goto(f"{somebody.base_url}/wallet/")
    expect(page.locator(".walletbadge")).to_contain_text("$24.")


def test_filters_and_pages_are_reached_by_keyboard_and_stay_in_the_address(
    somebody: Visitor, page: Page, spender: Account
) -> None:
    somebody.be(spender)
    page.goto(f"{somebody.base_url}/wallet/transactions/")
    page.get_by_label("Kind").select_option("capture")
    page.get_by_role("button", name="Filter").press("Enter")
    expect(page.locator("tbody tr")).to_have_count(CALLS)
    assert "kind=capture" in page.url
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").press("Enter")
    assert len(download.value.path().read_text().splitlines()) == CALLS + 1
    page.goto(f"{somebody.base_url}/wallet/transactions/")
    page.get_by_role("link", name="Older").press("Enter")
    page.wait_for_url("**cursor=**")
    expect(page.locator("tbody tr")).to_have_count(17)
    page.get_by_role("link", name="Newer").press("Enter")
    expect(page.locator("tbody tr")).to_have_count(20)
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(17)


def test_the_charts_have_their_figures_as_tables(somebody: Visitor, page: Page, spender: Account) -> None:
    somebody.be(spender)
    page.goto(f"{somebody.base_url}/wallet/?period=7")
    assert page.locator("[data-spend-chart=spending]").get_attribute("role") == "img"
    page.locator("#spending").get_by_text("Show as a table").press("Enter")
    with operator_atomic("test"):
        days = UsageDaily.objects.filter(organization_id=spender.organization_id)
        charged = sum((day.charged_usd for day in days), Decimal(0))
    expect(page.locator("#spending figure table")).to_contain_text(f"${charged.normalize():f}")


def test_the_charts_follow_the_theme(somebody: Visitor, page: Page, spender: Account) -> None:
    somebody.be(spender)
    page.goto(f"{somebody.base_url}/wallet/")
    chart = page.locator("[data-spend-chart=spending] canvas")
    expect(page.locator("[data-spend-chart=spending][data-drawn]")).to_be_attached()
    light = chart.screenshot()
    page.locator("[data-theme-toggle]").click()
    page.wait_for_timeout(200)
    assert chart.screenshot() != light


def test_money_is_added_after_a_second_look(somebody: Visitor, page: Page, make_account: AccountMaker) -> None:
    somebody.be(make_account(balance=1))
    page.goto(f"{somebody.base_url}/wallet/")
    page.get_by_role("link", name="Top up").press("Enter")
    page.get_by_role("link", name="$20", exact=True).press("Enter")
    expect(page.get_by_label("Amount (USD)")).to_have_value("20")
    page.get_by_role("button", name="Continue").press("Enter")
    expect(page.get_by_text("$20.00")).to_be_visible()
    page.get_by_role("button", name="Add the money").press("Enter")
    expect(page.get_by_text("The balance is now $21.00.")).to_be_visible()
    expect(page.locator(".walletbadge")).to_contain_text("$21.0000")
