"""The pages of runs: waterfalls in every look, and what a person does with a run that waits, rests and is replayed."""

import uuid
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from tasks_app.models import Task
from tests.factories.accounts import Person
from tests.factories.runs import Record, record, recorded, run_of, workflow
from tests.factories.tasks import make_task, start
from tests.factories.workflows import acting
from tests.support.accounts import Account
from tests.support.browser import LOOKS, TWO_LOOKS, Look, Visitor
from workflows_app.contracts import StepSpec
from workflows_app.models import WorkflowConfig
from workflows_app.selectors import run_get

pytestmark = [pytest.mark.browser, pytest.mark.odd_runs("histories made by hand: nobody did their steps")]
EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
# The width between a phone's and a desk's, where the navigation is the longest.
AND_BETWEEN = pytest.mark.parametrize("look", [*LOOKS, Look("light", "en", 900)], indirect=True, ids=str)

TIMEOUT = {"code": "upstream_timeout", "message": "The model did not answer in 60 seconds."}
REFUSED = {"code": "rejected", "message": "Not before the lawyers have seen it."}


def of(account: Account) -> Person:
    return Person(user=account.user, organization_id=account.organization_id)


def _work(history: Record, at: int, until: int, key: str, *, cost: str, rate: str = "") -> None:
    output = {"model": "gpt-5-mini", "pass_rate": rate} if rate else {"model": "gpt-5-mini"}
    history.at(at, "step.started", key, 1)
    history.at(until, "step.completed", key, 1, output=output, set={}, model="gpt-5-mini", tokens=1840, cost_usd=cost)


def rich_history() -> Record:
    """Retries with their pauses, a lost worker, branches, an approval that was refused in the end."""
    history = record("save_brief", "generate", "review", "optimize", ago=timedelta(minutes=4))
    _work(history, 40, 90, "save_brief", cost="0")
    history.at(90, "step.started", "generate", 1).at(9_500, "step.retried", "generate", 1, error=TIMEOUT, delay=4)
    history.at(9_500, "run.waiting", kind="retry", step="generate", due_in=4).at(13_500, "wait.over")
    history.at(13_500, "step.started", "generate", 2).at(21_000, "step.lost", "generate", 2)
    history.at(21_000, "step.started", "generate", 3)
    history.at(38_000, "step.completed", "generate", 3, output={"model": "gpt-5-mini"}, set={"text": "Green tea…"},
               model="gpt-5-mini", tokens=3120, cost_usd="0.0184")  # fmt: skip
    _work(history, 38_000, 45_000, "review", cost="0.0021", rate="0.6")
    history.at(45_000, "step.skipped", "optimize", when="visits.A > 1")
    steps = [StepSpec(key=key, action=key).as_json() for key in ("translate", "approve", "publish")]
    history.at(45_000, "stage.entered", stage="B", name="Translate and publish", visit=1, next_stage="", steps=steps)
    return history


def branches(history: Record) -> None:
    wait: dict[str, Any] = {
        "items": ["de", "fr", "it"],
        "total": 3,
        "into": "results",
        "name": "language",
        "round": "r",
        "path": "B",
    }
    history.at(45_000, "run.waiting", kind="children", step="translate", **wait)
    for branch, (began, ended, status) in enumerate(
        [(45_100, 62_000, "completed"), (45_100, 58_000, "completed"), (58_000, 71_000, "cancelled")]
    ):
        history.at(began, "child.started", branch=branch)
        child: dict[str, Any] = {"run_id": str(uuid.uuid4()), "status": status, "result": {}, "cost_usd": "0.0012"}
        history.at(ended, "child.ended", branch=branch, **child)


@pytest.fixture
def failed_run(tenant_with_money: Account) -> UUID:
    history = rich_history()
    history.at(45_000, "run.waiting", kind="approval", step="approve", signal="approve", message="Send it?")
    history.at(60_000, "run.paused").at(75_000, "run.resumed")
    history.at(90_000, "step.failed", "approve", error=REFUSED, handled="fail", signal="approve")
    history.at(90_000, "run.failed", stage="B", cost_usd="0.0205", error=REFUSED)
    return recorded(of(tenant_with_money), history)


@pytest.fixture
def waiting_run(tenant_with_money: Account) -> UUID:
    history = rich_history()
    message = "The translations are there. Publish them to all 1,200 readers?"
    history.at(46_000, "run.waiting", kind="approval", step="approve", signal="approve", message=message)
    return recorded(of(tenant_with_money), history)


@pytest.fixture
def branching_run(tenant_with_money: Account) -> UUID:
    history = rich_history()
    branches(history)
    history.at(71_000, "run.cancelled", stage="B", cost_usd="0.0241")
    return recorded(of(tenant_with_money), history)


@AND_BETWEEN
def test_pages_of_runs_keep_their_promises(
    somebody: Visitor,
    page: Page,
    tenant_with_money: Account,
    failed_run: UUID,
    waiting_run: UUID,
    branching_run: UUID,
    look: Look,
) -> None:
    somebody.be(tenant_with_money)
    broken = []
    paths = {
        "runs": "/runs/",
        "runs-none": "/runs/?q=nothing-like-it",
        "run-failed": f"/runs/{failed_run}/",
        "run-waiting": f"/runs/{waiting_run}/",
        "run-branches": f"/runs/{branching_run}/",
        "run-events": f"/runs/{failed_run}/events/",
        "run-event": f"/runs/{failed_run}/events/5/",
        "run-replay": f"/runs/{failed_run}/replay/?seq=4",
    }
    for name, path in paths.items():
        answer = page.goto(somebody.base_url + path)
        assert answer
        assert answer.status == 200, path
        broken += somebody.broken(page, name)
    assert not broken, "\n".join(broken)


@EVERY_LOOK
def test_an_event_opens_at_the_side_and_closes_again(
    somebody: Visitor, page: Page, tenant_with_money: Account, failed_run: UUID, look: Look
) -> None:
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/runs/{failed_run}/")
    link = page.locator(".wf__row--step .wf__name a").nth(1)
    link.focus()
    page.keyboard.press("Enter")
    dialog = page.locator("#run-dialog")
    expect(dialog).to_be_visible()
    expect(dialog.locator("h2")).to_be_focused()
    expect(dialog.locator("#event-output")).to_contain_text("gpt-5-mini")
    somebody.check(page, "run-dialog")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(link).to_be_focused()


def test_a_run_is_followed_live_approved_and_replayed(
    somebody: Visitor, page: Page, tenant_with_money: Account
) -> None:
    approval = {"action": "approve", "params": {"message": "Go on?"}}
    someone = of(tenant_with_money)
    run_id = run_of(someone, {"action": "finish", "key": "first"}, approval, "finish", context={"text": "Tea."})
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/runs/{run_id}/")
    expect(page.get_by_text("Go on?")).to_be_visible(timeout=30_000)
    page.locator("input[name=note]").fill("With pleasure.")
    page.wait_for_timeout(6_000)
    expect(page.locator("input[name=note]")).to_have_value("With pleasure.")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".run-state__status .tag--good")).to_be_visible(timeout=30_000)
    expect(page.locator("[data-run-panel][hx-get]")).to_have_count(0)
    page.locator(".wf__actions a").last.click()
    page.locator("#run-dialog").get_by_role("button", name="Start the replay").click()
    page.wait_for_url(lambda url: str(run_id) not in url)
    expect(page.locator(".wf__row--shared")).to_have_count(2)
    expect(page.locator(".run-state__status .tag--good")).to_be_visible(timeout=30_000)


@AND_BETWEEN
def test_the_signal_that_a_run_waits_for_is_sent(
    somebody: Visitor, page: Page, tenant_with_money: Account, look: Look
) -> None:
    someone = of(tenant_with_money)
    run_id = run_of(someone, {"action": "wait", "params": {"signal": "payment"}}, "finish", context={"text": "Tea."})
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/runs/{run_id}/")
    field = page.locator("input[name=data]")
    expect(field).to_be_visible(timeout=30_000)
    somebody.check(page, "run-signal")
    field.fill("[1]")
    field.press("Enter")
    expect(page.locator("[role=alert]")).to_be_visible()
    expect(field).to_have_value("[1]")
    somebody.check(page, "run-signal-refused")
    page.locator("input[name=data]").fill('{"amount": 3}')
    page.locator("input[name=data]").press("Enter")
    expect(page.locator(".run-state__status .tag--good")).to_be_visible(timeout=30_000)


def test_a_run_is_paused_resumed_and_cancelled_by_its_buttons(
    somebody: Visitor, page: Page, tenant_with_money: Account
) -> None:
    someone = of(tenant_with_money)
    run_id = run_of(someone, {"action": "wait", "params": {"seconds": 3600}})
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/runs/{run_id}/")
    expect(page.locator(".run-wait")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("The run is paused.")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("The run is paused.")).to_be_hidden()
    page.once("dialog", lambda question: question.dismiss())
    page.get_by_role("button", name="Cancel").click()
    page.once("dialog", lambda question: question.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    with acting(tenant_with_money.tenant):
        assert run_get(run_id).status == "cancelled"


def test_pages_of_runs_work_without_a_script(somebody: Visitor, tenant_with_money: Account, waiting_run: UUID) -> None:
    browser = somebody.context.browser
    assert browser
    plain = browser.new_context(java_script_enabled=False)
    name, _equals, value = tenant_with_money.cookie.partition("=")
    plain.add_cookies([{"name": name, "value": value, "url": somebody.base_url}])
    page = plain.new_page()
    page.goto(f"{somebody.base_url}/runs/{waiting_run}/")
    page.locator(".wf__row--step .wf__name a").nth(1).click()
    expect(page.locator("#event-output")).to_contain_text("gpt-5-mini")
    page.goto(f"{somebody.base_url}/runs/{waiting_run}/")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("The run is paused.")).to_be_visible()
    plain.close()


@pytest.mark.parametrize("look", TWO_LOOKS, indirect=True, ids=str)
def test_a_task_shows_its_run_asks_what_it_asks_and_goes_back(
    somebody: Visitor, page: Page, tenant_with_money: Account, look: Look
) -> None:
    someone = of(tenant_with_money)
    approval = {"action": "approve", "params": {"message": "Shall this be finished?"}}
    config = workflow(someone, {"action": "finish", "key": "first"}, approval, "finish")
    with acting(tenant_with_money.tenant):
        WorkflowConfig.objects.filter(pk=config.pk).update(is_default=True)
        task = make_task("what is tea?")
        Task.objects.filter(pk=task.pk).update(metadata={**task.metadata, "text": "Tea is a drink."})
        start(task)
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/tasks/{task.id}/")
    expect(page.get_by_text("Shall this be finished?")).to_be_visible(timeout=30_000)
    expect(page.locator(".wf-bar--approval")).to_be_visible()
    somebody.check(page, "task-waiting")
    page.locator("button[name=answer][value=approve]").click()
    expect(page.locator(".timeline__event--completea")).to_be_visible(timeout=30_000)
    expect(page.locator(".run-state__status .tag--good")).to_be_visible()
    somebody.check(page, "task-completed")
    page.locator(".timeline__event--approve a").last.click()
    dialog = page.locator("#run-dialog")
    expect(dialog.locator("h2")).to_be_focused()
    dialog.locator(".run-replay .btn-primary").click()
    expect(page.get_by_text("Shall this be finished?")).to_be_visible(timeout=30_000)
    expect(page.locator(".timeline__event--replay")).to_be_visible()
    expect(page.locator(".wf__row--shared")).to_have_count(1)
    expect(page.locator(".run-earlier")).to_have_count(1)
    page.locator(".run-earlier summary").click()
    expect(page.locator(".run-earlier .wf")).to_be_visible()
    somebody.check(page, "task-replayed")
