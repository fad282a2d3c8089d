"""What a person does with DeepSpace, from the first word to the last cent."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from accounts_app.tenancy.context import tenant_atomic
from billing_app.selectors import wallet_summary
from tests.support.accounts import Account
from tests.support.browser import LOOKS, Look, Visitor, eventually
from tests.support.stack import Stack
from tests.support.upstream import Behaviour

pytestmark = pytest.mark.browser

WISHES = {"en": "I want an article about green tea", "zh": "我想要一篇关于绿茶的文章"}
DRAFTS = {
    "en": "# Green tea\n\nTODO: say where it grows. " + "It is picked by hand in the cool of a spring morning. " * 4,
    "zh": "# 绿茶\n\n待补充：产地。" + "春天的早晨，人们趁着凉意用手采茶。" * 6,
}
POLISHED = {
    "en": "# Green tea, at last\n\nIt grows on hills under mist.\n\n- Pick it early.\n- Steep it briefly. 🍵",
    "zh": "# 绿茶，终于写好\n\n它长在云雾缭绕的山上。\n\n- 清晨采摘。\n- 短时冲泡。🍵",
}
STORY = [Look("light", "en", 1280), Look("dark", "zh", 390)]
EACH_STORY = pytest.mark.parametrize("look", STORY, indirect=True, ids=str)
LIVE = """() => [
    document.querySelector("[data-run-output]")?.innerText.length ?? -1,
    document.querySelector("[data-run-steps]")?.innerText ?? "",
]"""


def _script(stack: Stack, draft: str, polished: str) -> None:
    """Have the model write ``draft``, and ``polished`` when it is shown the draft; also when a busy machine retries."""
    shown_draft = Behaviour(text=polished, first_delay=200, delay=25, match=draft.splitlines()[2][:12])
    stack.upstream.behave(*[shown_draft] * 3)
    stack.upstream.always = Behaviour(text=draft, first_delay=200, delay=25)


def _balance(account: Account) -> Decimal:
    with tenant_atomic(account.organization_id, account.user.pk):
        return wallet_summary(account.organization_id).balance


def _wish(somebody: Visitor, page: Page, wish: str) -> None:
    """Type the wish on the home page and press Enter: the dashboard opens with the new task in focus."""
    page.goto(f"{somebody.base_url}/")
    page.locator("textarea[name=inputText]").press_sequentially(wish)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/dashboard/" in url)
    expect(page.locator(".task-card--focus")).to_be_visible()


class Watched:
    """What a person saw of a run: ``lengths`` of the text as it grew, ``steps`` as they were last listed."""

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self.steps = ""

    def watch(self, page: Page, until: Callable[[int], bool] = lambda length: length < 0) -> "Watched":
        """Watch until the run is over, or ``until`` a length of the text."""

        def done() -> bool:
            length, steps = page.evaluate(LIVE)
            self.steps = steps or self.steps
            if length > 0 and length not in self.lengths[-1:]:
                self.lengths.append(length)
            return until(length)

        eventually(done, page, timeout=60)
        return self


def _task(account: Account, page: Page) -> dict[str, Any]:
    """Return the task whose page is open, as the API has it."""
    with account.api() as api:
        task: dict[str, Any] = api.get(f"/api/tasks/{page.url.split('/tasks/')[1].split('/')[0]}").json()
    return task


@pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
def test_a_sentence_becomes_a_streamed_and_billed_article(
    stack: Stack, somebody: Visitor, page: Page, tenant_with_money: Account, look: Look
) -> None:
    draft, polished = DRAFTS[look.language], POLISHED[look.language]
    _script(stack, draft, polished)
    somebody.sign_in(page, tenant_with_money)
    before = _balance(tenant_with_money)
    _wish(somebody, page, WISHES[look.language])
    somebody.check(page, "dashboard-new")

    page.locator(".task-card--focus [data-advance]").click()
    run = Watched().watch(page, until=lambda length: length > 100)
    somebody.picture(page, "dashboard-running")
    run.watch(page)
    assert len(set(run.lengths)) >= 5, run.lengths
    assert "(1 " in run.steps, "the review's finding"
    expect(page.locator(".task-card--focus [data-advance]")).to_be_visible()
    expect(page.locator("#week .metric__value").first).not_to_have_text("$0.0000")
    somebody.check(page, "dashboard-written")

    page.locator(".task-card--focus .task-card__title a").click()
    page.wait_for_url(lambda url: "/tasks/" in url)
    expect(page.locator(".versions__text--after h1")).to_have_text(polished.splitlines()[0].removeprefix("# "))
    page.locator("label[for=version-before]").click()
    expect(page.locator(".versions__text--before h1")).to_have_text(draft.splitlines()[0].removeprefix("# "))
    expect(page.locator(".timeline")).to_contain_text('"604"')
    somebody.check(page, "task-written")

    # Stage, next step, tokens, cost and model stand on the page; the wallet is lower by exactly that cost.
    expect(page.locator(".stepper [aria-current=step]")).to_contain_text("D")
    figures = page.locator(".figures dd")
    cost = Decimal((figures.first.get_attribute("title") or "").removesuffix(" USD"))
    assert cost > 0
    assert before - _balance(tenant_with_money) == cost
    served = [one for one in stack.upstream.served if one.outcome == "completed"]
    tokens = f"{sum(one.prompt_tokens for one in served)} + {sum(one.completion_tokens for one in served)}"
    expect(figures.nth(1)).to_contain_text(tokens)
    expect(figures.nth(2)).to_have_text("scripted")

    # The rest of the way: review and polish, then finish. So slowly that a busy browser sees it grow, too.
    stack.upstream.always = Behaviour(text=polished, first_delay=200, delay=100)
    page.locator(".page-head [data-advance]").click()
    expect(page.locator("[data-run]")).to_be_visible()
    assert len(set(Watched().watch(page).lengths)) >= 3
    page.locator(".page-head [data-advance]").click()
    expect(page.locator(".page-head .tag--good")).to_be_visible()
    expect(page.locator("[data-run]")).to_have_count(0)
    somebody.check(page, "task-finished")
    _check_timeline(tenant_with_money, page)

    page.goto(f"{somebody.base_url}/wallet/")
    somebody.check(page, "wallet-spent")


def _check_timeline(account: Account, page: Page) -> None:
    task = _task(account, page)
    with account.api() as api:
        events = api.get(f"/api/tasks/{task['id']}/events", params={"limit": 200}).json()["results"]
    events.sort(key=lambda event: event["seq"])
    assert [event["prev_event_id"] for event in events[1:]] == [event["id"] for event in events[:-1]]
    assert sum(Decimal(event["cost_usd"] or 0) for event in events) == Decimal(task["cost_usd"])
    expect(page.locator(".timeline__event")).to_have_count(len(events))


@EACH_STORY
def test_a_tab_closed_in_the_middle_loses_nothing(
    stack: Stack, somebody: Visitor, page: Page, tenant_with_money: Account, look: Look
) -> None:
    draft, polished = DRAFTS[look.language], POLISHED[look.language]
    _script(stack, draft * 2, polished)
    somebody.be(tenant_with_money)
    _wish(somebody, page, WISHES[look.language])
    page.locator(".task-card--focus .task-card__title a").click()
    page.wait_for_url(lambda url: "/tasks/" in url)
    address = page.url
    page.locator(".page-head [data-advance]").click()
    seen = Watched().watch(page, until=lambda length: length > 60).lengths
    page.close()

    again = somebody.new_page()
    again.goto(address)
    # The whole is there at once, not only what is written from now on.
    run = Watched().watch(again, until=lambda length: length >= seen[-1])
    somebody.check(again, "task-running")
    assert len(set(run.watch(again).lengths)) >= 2
    expect(again.locator(".versions__text--after h1")).to_have_text(polished.splitlines()[0].removeprefix("# "))
    assert _task(tenant_with_money, again)["text"] == polished
