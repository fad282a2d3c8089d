"""The pages of schedules: in every look, and the next times that follow what is typed."""

import pytest
from playwright.sync_api import Page, expect

from accounts_app.tenancy.context import operator_atomic
from tests.factories.schedules import scheduled
from tests.support.accounts import Account
from tests.support.browser import LOOKS, Look, Visitor
from workflows_app.models import WorkflowSchedule

pytestmark = pytest.mark.browser
EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)


@EVERY_LOOK
def test_pages_of_schedules_keep_their_promises(
    somebody: Visitor, page: Page, tenant_with_money: Account, look: Look
) -> None:
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/schedules/")
    broken = somebody.broken(page, "schedules-none")
    schedule = scheduled(tenant_with_money.tenant, name="Weekly letter", cron="0 9 * * mon")
    refused = scheduled(tenant_with_money.tenant, name="Numbers of the month for those who pay", cron="30 7 1 * *")
    error = {"code": "schedule_refused", "message": "Earlier runs had not finished: 1.", "at": "2026-11-22T09:00:00Z"}
    with operator_atomic("test"):
        WorkflowSchedule.objects.filter(pk=refused.pk).update(is_active=False, next_run_at=None, last_error=error)
    pages = {"schedules": "", "schedule": f"{schedule.pk}/", "schedule-new": "new/"}
    pages |= {"schedule-refused": f"{refused.pk}/", "schedule-remove": f"{schedule.pk}/remove/"}
    for name, path in pages.items():
        page.goto(f"{somebody.base_url}/schedules/{path}")
        broken += somebody.broken(page, name)
    assert not broken, "\n".join(broken)


def test_the_next_times_follow_what_is_typed(somebody: Visitor, page: Page, tenant_with_money: Account) -> None:
    somebody.be(tenant_with_money)
    page.goto(f"{somebody.base_url}/schedules/new/")
    preview = page.locator("#schedule-preview")
    expect(preview.locator("li")).to_have_count(5)
    page.get_by_label("Times", exact=True).fill("0 25 * * *")
    expect(preview).to_contain_text("“25” is no hour")
    page.get_by_label("Times", exact=True).fill("15 6 * * *")
    expect(preview.locator("li").first).to_contain_text("06:15")
    page.get_by_label("Time zone").select_option("Asia/Shanghai")
    expect(preview.locator("li").first).to_contain_text("+0800")
    page.get_by_label("Name", exact=True).fill("Before breakfast")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("table")).to_contain_text("Before breakfast")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("table")).to_contain_text("Paused")
