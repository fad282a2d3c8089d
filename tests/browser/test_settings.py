"""Projects, keys, addresses and invitations, as people go through them, in every look."""

import re
import uuid

import pytest
from playwright.sync_api import Page, expect

from tests.support.accounts import Account
from tests.support.browser import LOOKS, Look, Visitor

pytestmark = pytest.mark.browser
EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)


@EVERY_LOOK
def test_a_project_with_a_key_and_its_addresses(
    somebody: Visitor, page: Page, tenant_with_money: Account, look: Look
) -> None:
    somebody.be(tenant_with_money)
    name = f"Search {uuid.uuid4().hex[:6]}"
    page.goto(f"{somebody.base_url}/settings/projects/")
    page.locator("#id_name").fill(name)
    page.locator("#id_description").fill("Finds what people look for, in every language")
    page.locator("form:has(#id_description) button.btn-primary").click()
    page.get_by_role("link", name=name, exact=True).click()
    page.locator("#id_network").fill("203.0.113.0/24")
    page.locator("form:has(#id_network) button").click()
    expect(page.locator("code", has_text="203.0.113.0/24")).to_be_visible()
    broken = somebody.broken(page, "project")

    page.goto(f"{somebody.base_url}/settings/keys/")
    page.locator("#id_name").fill("nightly report")
    page.locator("#id_project").select_option(label=name)
    page.locator("#id_models").fill("gpt-5*")
    page.locator("form:has(#id_models) button.btn-primary").click()
    secret = page.locator("#new-key").inner_text()
    assert re.fullmatch(r"dsk_[0-9a-f]{8}_[\w-]{43}", secret)
    broken += somebody.broken(page, "key-new")

    page.get_by_role("link", name="nightly report").first.click()
    expect(page.locator("#id_models")).to_have_value("gpt-5*")
    page.locator("#id_grace_hours").select_option("1")
    page.locator("form:has(#id_grace_hours) button").click()
    expect(page.locator("#new-key")).not_to_have_text(secret)
    broken += somebody.broken(page, "key-rotated")

    page.goto(f"{somebody.base_url}/settings/projects/")
    broken += somebody.broken(page, "projects-with-one")
    row = page.locator("tr", has_text=name)
    row.locator("a.btn").click()
    broken += somebody.broken(page, "project-archive")
    page.locator("main .btn-danger").click()
    broken += somebody.broken(page, "project-archived")
    page.locator(".notice form button").click()
    expect(page.locator("td a", has_text=name).first).to_be_visible()
    assert not broken, "\n".join(broken)


@EVERY_LOOK
def test_an_invitation_from_the_form_to_the_page_behind_its_link(
    somebody: Visitor, page: Page, tenant_with_money: Account, look: Look
) -> None:
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/settings/organization/")
    page.locator("form[action$='/new/'] #id_name").fill(f"Team {uuid.uuid4().hex[:6]}")
    page.locator("form[action$='/new/'] button").click()
    page.locator("#id_email").fill("a.person.with.a.long.address@example.com")
    page.locator("form[action$='/invitations/'] button.btn-primary").click()
    link = page.locator("#invitation-link").inner_text()
    broken = somebody.broken(page, "invitation-sent")

    page.goto(link)
    assert "token" not in page.url
    broken += somebody.broken(page, "invitation-wrong-account")
    page.locator("main form[action*=logout] button").click()
    page.wait_for_url(re.compile("/invitation/$"))
    broken += somebody.broken(page, "invitation-signed-out")
    with somebody.expecting("404"):
        page.goto(f"{somebody.base_url}/invitation/?token=nonsense")
    broken += somebody.broken(page, "invitation-nonsense")
    assert not broken, "\n".join(broken)
