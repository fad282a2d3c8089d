"""A prompt from the shared one to a published version of one's own, in every look."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.accounts import Account
from tests.support.browser import LOOKS, Look, Visitor
from tests.support.upstream import ScriptedUpstream

pytestmark = pytest.mark.browser
EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
BLOCKS = (
    '<message role="system">\nAnswer with one sentence.\n</message>\n\n'
    '<message role="user">\n<question>{{ question }}</question>\n</message>'
)


@EVERY_LOOK
def test_a_prompt_is_written_tried_published_rewritten_and_compared(
    somebody: Visitor, page: Page, tenant_with_money: Account, look: Look, upstream_server: ScriptedUpstream
) -> None:
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/prompts/new/")
    somebody.check(page, "prompt-new")
    page.locator("#id_name").fill("Question")
    page.locator("#id_messages-0-role").select_option("system")
    page.locator("#id_messages-0-content").fill("Answer in a suitable way, etc.")
    page.locator("button[value=messages]").click()
    page.locator("#id_messages-1-content").fill("<question>{{ question }}</question>")
    page.locator("button[value=check]").click()
    expect(page.locator(".promptfinding").first).to_be_visible()
    somebody.check(page, "prompt-checked")
    page.locator("button[value=save]").click()
    page.wait_for_url(re.compile(r"/prompts/[0-9a-f-]{36}/"))

    upstream_server.script("A drink made of leaves.")
    page.locator("textarea[name=value-question]").fill("What is tea?")
    page.locator("form[hx-target='#output'] button").click()
    expect(page.locator("#output pre")).to_have_text("A drink made of leaves.")
    somebody.check(page, "prompt-run")

    page.locator("a[href$='/publish/']").click()
    somebody.check(page, "prompt-publish")
    page.locator("main form button.btn-primary").click()
    expect(page.locator(".notice--success")).to_be_visible()

    upstream_server.script(BLOCKS)
    page.locator("form[action$='/rewrite/'] button").click()
    page.wait_for_url(re.compile("/compare/"))
    expect(page.locator(".promptdiff__changed").first).to_be_visible()
    somebody.check(page, "prompt-compare")


@EVERY_LOOK
def test_a_shared_prompt_is_copied(somebody: Visitor, page: Page, tenant_with_money: Account, look: Look) -> None:
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/prompts/?owner=shared&q=draft_template")
    page.locator("main table a").first.click()
    page.locator("form[action$='/copy/'] button").click()
    expect(page.locator(".notice--success")).to_be_visible()
    page.locator("a[href*='/settings/']").last.click()
    page.wait_for_load_state("networkidle")
    somebody.check(page, "prompt-settings")
