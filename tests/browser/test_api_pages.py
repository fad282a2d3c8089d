"""The API's pages: to try it, to read it, and to browse it, under a strict policy and without a foreign request."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.fixtures.stack import AccountMaker
from tests.support.browser import Look, Visitor

pytestmark = pytest.mark.browser
# The document takes its time when it is asked for the first time (ms).
WRITTEN = 60_000
BOTH = pytest.mark.parametrize("look", [Look("light", "en", 1280), Look("dark", "zh", 390)], indirect=True, ids=str)


def policy_of(page: Page, address: str) -> str:
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == 200
    return answer.headers["content-security-policy"]


@BOTH
def test_swagger_shows_both_apis_and_calls_with_the_session(
    somebody: Visitor, page: Page, make_account: AccountMaker, look: Look
) -> None:
    somebody.be(make_account())
    policy = policy_of(page, f"{somebody.base_url}/api/docs/")
    assert "unsafe" not in policy
    expect(page.locator(".opblock-summary-path", has_text="/v1/chat/completions")).to_be_visible(timeout=WRITTEN)
    wallet = page.locator("#operations-billing-billing_wallet")
    wallet.locator(".opblock-summary-control").click()
    wallet.locator("button.try-out__btn").click()
    wallet.locator("button.execute").click()
    expect(wallet.locator(".live-responses-table tbody .response-col_status").first).to_contain_text("200")
    somebody.picture(page, "api-swagger")


@BOTH
def test_redoc_shows_the_document(somebody: Visitor, page: Page, look: Look, tmp_path: Path) -> None:
    policy = policy_of(page, f"{somebody.base_url}/api/redoc/")
    assert "unsafe" not in policy
    expect(page.locator("h1", has_text="DeepSpace").first).to_be_visible(timeout=WRITTEN)
    expect(page.locator("[data-section-id]").first).to_be_attached()
    assert page.evaluate("getComputedStyle(document.querySelector('.menu-content')).position") in ("sticky", "fixed")
    if look.width > 800:  # the menu with the search is folded away otherwise
        page.locator("input[type=text]").first.fill("wallet")
        expect(page.locator("[data-role='search:results'] li").first).to_be_attached(timeout=WRITTEN)
    page.screenshot(path=tmp_path / f"redoc-{look}.png")


def test_the_rest_of_the_site_keeps_its_policy(somebody: Visitor, page: Page) -> None:
    for address in ("/", "/api/docs/", "/api/keys/"):
        answer = page.request.get(f"{somebody.base_url}{address}")
        assert re.search(r"style-src 'self'(;|$)", answer.headers["content-security-policy"]), address
        assert "blob:" not in answer.headers["content-security-policy"]


@BOTH
def test_a_browser_browses_the_api_and_makes_a_key(
    somebody: Visitor, page: Page, make_account: AccountMaker, look: Look
) -> None:
    somebody.be(make_account())
    policy_of(page, f"{somebody.base_url}/api/keys/")
    expect(page.locator(".response-info")).to_contain_text("HTTP 200 OK")
    page.locator("#id__content").fill('{"name": "made while browsing"}')
    page.locator("form[method=POST] button.btn-primary").click()
    expect(page.locator(".response-info")).to_contain_text("HTTP 201 Created")
    expect(page.locator(".response-info")).to_contain_text("dsk_")
    somebody.picture(page, "api-browsable")


def test_a_stranger_is_led_to_the_sign_in(somebody: Visitor, page: Page) -> None:
    with somebody.expecting("401"):
        page.goto(f"{somebody.base_url}/api/keys/")
    expect(page.locator(".response-info")).to_contain_text("HTTP 401")
    link = page.locator(".navbar a[href*='/accounts/login/']")
    expect(link).to_have_attribute("href", "/accounts/login/?next=/api/keys/")
