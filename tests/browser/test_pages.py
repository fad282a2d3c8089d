"""Every page, in every look: accessible, within the window, no console error, nothing from elsewhere."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.accounts import Account
from tests.support.browser import LOOKS, TWO_LOOKS, Look, Visitor

pytestmark = pytest.mark.browser
EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)

PAGES = {
    "home": "/",
    "dashboard": "/dashboard/",
    "dashboard-prompts": "/dashboard/?tab=prompts",
    "wallet": "/wallet/",
    "prompts": "/prompts/",
    "keys": "/settings/keys/",
    "organization": "/settings/organization/",
    "projects": "/settings/projects/",
    "addresses": "/settings/addresses/",
    "two-factor": "/accounts/2fa/",
    "password": "/accounts/password/change/",
}


@EVERY_LOOK
def test_every_page_keeps_its_promises(somebody: Visitor, page: Page, tenant_with_money: Account, look: Look) -> None:
    somebody.be(tenant_with_money)
    broken = []
    for name, path in PAGES.items():
        answer = page.goto(somebody.base_url + path)
        assert answer
        assert answer.status == 200, path
        broken += somebody.broken(page, name)
    assert not broken, "\n".join(broken)


@EVERY_LOOK
def test_a_prompt_keeps_its_promises(somebody: Visitor, page: Page, tenant_with_money: Account, look: Look) -> None:
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/prompts/")
    page.locator("main a[href^='/prompts/'][href*='-']").last.click()
    page.wait_for_url(re.compile(r"/prompts/[0-9a-f-]{36}/"))
    page.wait_for_load_state("networkidle")
    somebody.check(page, "prompt")


@pytest.mark.parametrize("look", TWO_LOOKS, indirect=True, ids=str)
def test_a_page_that_is_not_there_is_friendly(
    somebody: Visitor, page: Page, tenant_with_money: Account, look: Look
) -> None:
    somebody.be(tenant_with_money)
    with somebody.expecting("404"):
        answer = page.goto(f"{somebody.base_url}/tasks/00000000-0000-4000-8000-000000000000/")
    assert answer
    assert answer.status == 404
    assert re.search(r"[0-9a-f]{32}", page.locator("body").inner_text()), "the trace id"
    somebody.check(page, "error-404")


def test_theme_and_language_are_a_click_away(somebody: Visitor, page: Page, tenant_with_money: Account) -> None:
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/wallet/")
    page.locator("[data-theme-toggle]").click()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.get_by_label("Language").click()
    page.get_by_role("button", name="简体中文").click()
    expect(page.locator("html")).to_have_attribute("lang", re.compile("^zh"))
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.goto(f"{somebody.base_url}/dashboard/")
    expect(page.locator("html")).to_have_attribute("lang", re.compile("^zh"))


def test_the_keyboard_reaches_everything_on_the_home_page(
    somebody: Visitor, page: Page, tenant_with_money: Account
) -> None:
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/wallet/")
    page.keyboard.press("Tab")
    expect(page.locator(".skip-link")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


def test_a_form_works_without_a_script(somebody: Visitor, tenant_with_money: Account) -> None:
    context = somebody.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    page = context.new_page()
    somebody.sign_in(page, tenant_with_money)
    page.locator("textarea[name=inputText]").fill("I want an article about slow trains")
    page.locator(".hub__form button.btn-primary").click()
    page.locator("[data-advance]").first.click()
    expect(page.locator(".task-card, #task-panel").first).to_be_visible()
    assert "slow trains" in page.locator("main").inner_text().lower()
    context.close()
