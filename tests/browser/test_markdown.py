"""static/tasks_app/markdown.js in a real browser: text that is still being written."""

import pytest
from playwright.sync_api import Page

from tests.support.accounts import Account
from tests.support.browser import Visitor

pytestmark = pytest.mark.browser

TEXT = "# Tea\n\nDrink it.\n\n## Why\n- warm\n* mild\n\n1. boil\n2) pour\n\n> At 5-6 #tags\n\n-"
# Every beginning of the text, as if no more had come yet: which of them shows an element with nothing in it?
EMPTY = """async (text) => {
    const { renderMarkdown } = await import("/static/tasks_app/markdown.js");
    const place = document.createElement("div");
    const empty = [];
    for (let end = 1; end <= text.length; end += 1) {
        renderMarkdown(place, text.slice(0, end));
        for (const found of place.querySelectorAll("h1, h2, h3, li, blockquote")) {
            if (!found.textContent.trim()) empty.push([text.slice(0, end), found.outerHTML]);
        }
    }
    return [empty, place.querySelectorAll("h1, h2, li, blockquote").length];
}"""


def test_half_a_line_is_never_an_empty_element(somebody: Visitor, page: Page, tenant_with_money: Account) -> None:
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/wallet/")
    assert page.evaluate(EMPTY, TEXT) == [[], 7]
