"""The trace page, an organization's own and the operators', in every look."""

import uuid

import pytest
from playwright.sync_api import Page, expect

from accounts_app.models import User
from tests.fixtures.stack import AccountMaker
from tests.integration.gateway_app.test_observed_calls import ask
from tests.support.accounts import Account
from tests.support.browser import LOOKS, Look, Visitor, axe_violations

pytestmark = pytest.mark.browser
EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)


@pytest.fixture
def traced(make_account: AccountMaker) -> tuple[Account, str]:
    """Somebody, and the trace of a call that they made."""
    account = make_account()
    return account, ask(account, "hello").headers["x-deepspace-trace-id"]


@EVERY_LOOK
def test_people_find_what_their_request_caused(
    somebody: Visitor, page: Page, traced: tuple[Account, str], look: Look
) -> None:
    account, trace_id = traced
    somebody.be(account)
    page.goto(f"{somebody.base_url}/traces/")
    page.locator("#trace-input").fill(f" {trace_id.upper()} ")
    page.locator(".trace-form button").click()
    expect(page.locator(".trace-row--call")).to_be_visible()
    expect(page.locator(".trace-row--usage .trace-amount")).to_contain_text("$")
    somebody.check(page, "trace")


@EVERY_LOOK
def test_operators_see_all_of_it_in_the_admin(
    somebody: Visitor, page: Page, traced: tuple[Account, str], make_account: AccountMaker, look: Look
) -> None:
    _account, trace_id = traced
    operator = make_account(email=f"{uuid.uuid4().hex}@example.com")
    User.objects.filter(pk=operator.user.pk).update(is_staff=True, is_superuser=True)
    somebody.be(operator)
    page.goto(f"{somebody.base_url}/admin/trace/{trace_id}/")
    expect(page.locator(".trace-row--attempt")).to_be_visible()
    somebody.picture(page, "admin-trace")
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    ours = [line for line in axe_violations(page) if "trace" in line]
    assert not ours, ours
    page.locator(".trace-row--hold a").click()
    expect(page).to_have_url(f"{somebody.base_url}/admin/billing_app/hold/{page.url.split('/')[-3]}/change/")
