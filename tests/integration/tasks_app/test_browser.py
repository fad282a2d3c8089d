"""The Task Hub, the dashboard and the task's page in a real browser, with real workers; only the model is scripted."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.support.accounts import Account
from tests.support.browser import LOOKS, Visitor, eventually
from tests.support.stack import Stack
from tests.support.upstream import Behaviour

pytestmark = pytest.mark.browser

DRAFT = "# Tea\n\nTea is a **drink** that is made from leaves.\n\n" + "Every cup tells a story. " * 12
BETTER = DRAFT + "\n\nEnjoy it slowly."
SENTENCE = {"en": "I want an article about the history of tea", "zh": "我想要一篇关于茶的历史的文章"}


@pytest.fixture
def ada(somebody: Visitor, tenant_with_money: Account) -> Visitor:
    somebody.be(tenant_with_money)
    return somebody


def ask(ada: Visitor, page: Page) -> None:
    """Type the sentence on the home page and press Enter; the new task waits for another one."""
    page.goto(f"{ada.base_url}/")
    field = page.locator("textarea[name=inputText]")
    expect(field).to_be_focused()
    field.fill(SENTENCE[ada.look.language])
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/dashboard/\?focus="))
    expect(page.locator(".task-card--focus [data-advance]")).to_be_focused()


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_a_sentence_becomes_an_article_before_your_eyes(ada: Visitor, page: Page, stack: Stack) -> None:
    stack.upstream.behave(Behaviour(text=DRAFT, delay=15), Behaviour(text=BETTER, delay=15))
    page.goto(f"{ada.base_url}/")
    ada.check(page, "hub")
    ask(ada, page)
    card = page.locator(".task-card--focus")
    ada.check(page, "dashboard")
    page.keyboard.press("Enter")
    output = card.locator("[data-run-output]")
    expect(output.locator("strong")).to_have_text("drink")
    seen = len(output.inner_text())
    eventually(lambda: len(output.inner_text()) > seen, page)
    ada.picture(page, "dashboard-running")
    card.locator(".task-card__title a").click()
    page.wait_for_url(re.compile(r"/tasks/"))
    # The page that is opened in the middle shows everything from the beginning.
    expect(page.locator("[data-run-output] h1")).to_have_text("Tea")
    expect(page.locator(".run__step")).to_have_count(5)
    ada.check(page, "task-running")
    expect(page.locator("[data-run]")).to_have_count(0, timeout=60_000)
    text = page.locator(".versions__text--after")
    expect(text).to_contain_text("Enjoy it slowly.")
    page.locator("label[for=version-before]").click()
    expect(page.locator(".versions__text--before")).to_be_visible()
    expect(text).to_be_hidden()
    expect(page.locator(".timeline__event")).to_have_count(8)
    page.locator(".timeline__event details summary").first.click()
    ada.check(page, "task-done")
    page.goto(f"{ada.base_url}/dashboard/?tab=prompts")
    ada.check(page, "dashboard-prompts")


def test_reload_in_the_middle_shows_everything(ada: Visitor, page: Page, stack: Stack) -> None:
    words = " ".join(f"word{number}" for number in range(200))
    stack.upstream.behave(*[Behaviour(text=words, delay=25)] * 2)
    ask(ada, page)
    page.locator(".task-card--focus [data-advance]").click()
    output = page.locator("[data-run-output]")
    eventually(lambda: "word20" in output.inner_text(), page)
    page.reload()
    eventually(lambda: output.inner_text().startswith("word0 word1 "), page)
    page.locator(".task-card__title a").first.click()
    eventually(lambda: page.locator("[data-run-output]").inner_text().startswith("word0 word1 "), page)
    expect(page.locator("[data-run]")).to_have_count(0, timeout=60_000)
    expect(page.locator("#text-title ~ *").first).to_be_visible()
    assert "word199" in page.locator("main").inner_text()


def test_cancel_and_finish_with_the_keyboard(ada: Visitor, page: Page, stack: Stack) -> None:
    words = " ".join(f"word{number}" for number in range(500))
    stack.upstream.behave(Behaviour(text=words, delay=30))
    ask(ada, page)
    page.keyboard.press("Enter")
    eventually(lambda: "word3" in page.locator("[data-run-output]").inner_text(), page)
    page.locator("[data-run] button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("[data-run]")).to_have_count(0, timeout=30_000)
    expect(page.locator(".task-card [data-advance]")).to_be_visible()
    page.locator(".task-card__title a").first.click()
    page.locator(".page-head__actions summary").focus()
    page.keyboard.press("Enter")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.locator("button[name=action][value=finish]").click()
    expect(page.locator("[data-advance]")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("button[name=action][value=finish]").click()
    expect(page.locator(".page-head .tag--good")).to_be_visible()


def test_example_counter_and_newline(ada: Visitor, page: Page) -> None:
    page.goto(f"{ada.base_url}/")
    field = page.locator("textarea[name=inputText]")
    page.locator(".chip").first.click()
    expect(field).to_be_focused()
    assert "bees" in field.input_value()
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("and wasps")
    assert field.input_value().endswith("\nand wasps")
    expect(page.locator("[data-count-value]")).to_have_text(str(len(field.input_value())))
    field.fill("x" * 100_001)
    expect(page.locator(".hub__count--over")).to_be_visible()
    page.keyboard.press("Enter")
    assert page.url == f"{ada.base_url}/"


def test_filters_and_archive_with_undo(ada: Visitor, page: Page) -> None:
    ask(ada, page)
    page.goto(f"{ada.base_url}/dashboard/")
    page.locator("select[name=status]").select_option("completed")
    expect(page.locator("#task-list .empty")).to_be_visible()
    page.wait_for_url(re.compile("status=completed"))
    page.locator("select[name=status]").select_option("")
    page.locator(".task-card__title a").click()
    page.locator(".page-head__actions summary").click()
    page.locator("form[action$='/archive/'] button").click()
    page.locator("form[action$='/unarchive/'] button").click()
    expect(page.locator("form[action$='/unarchive/']")).to_have_count(0)
