import pytest
from playwright.sync_api import Page, expect

from tests.support.accounts import Account
from tests.support.browser import LOOKS, TWO_LOOKS, Look, Visitor

pytestmark = pytest.mark.browser
EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)


@EVERY_LOOK
def test_the_way_in(somebody: Visitor, page: Page, tenant_with_money: Account, look: Look) -> None:
    page.goto(f"{somebody.base_url}/accounts/login/")
    somebody.check(page, "login")
    somebody.sign_in(page, tenant_with_money)
    expect(page.locator("textarea[name=inputText]")).to_be_focused()
    somebody.check(page, "home-empty")


def test_a_wrong_password_is_said_so(somebody: Visitor, page: Page, tenant_with_money: Account) -> None:
    page.goto(f"{somebody.base_url}/accounts/login/")
    page.locator("input[name=login]").fill(tenant_with_money.email)
    page.locator("input[name=password]").fill("not the password")
    page.locator("main form button").click()
    expect(page.get_by_role("alert").first).to_be_visible()
    somebody.check(page, "login-refused")


def test_signing_out_ends_the_session(somebody: Visitor, page: Page, tenant_with_money: Account) -> None:
    somebody.sign_in(page, tenant_with_money)
    page.get_by_label("Account").click()
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{somebody.base_url}/wallet/")
    assert "/accounts/login/" in page.url


@pytest.mark.parametrize("look", TWO_LOOKS, indirect=True, ids=str)
def test_a_new_person_signs_up_and_may_work(somebody: Visitor, page: Page, look: Look) -> None:
    page.goto(f"{somebody.base_url}/accounts/signup/")
    somebody.check(page, "signup")
    page.locator("input[name=email]").fill(f"new-{look}@example.com")
    page.locator("input[name=password1]").fill("a long enough phrase")
    page.locator("input[name=password2]").fill("a long enough phrase")
    page.locator("main form button").click()
    expect(page.locator("textarea[name=inputText]")).to_be_visible()
