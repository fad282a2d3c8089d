"""The operators' page of the engine, with a past and a present made up, in every look."""

import random
import uuid
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts_app.models import User
from accounts_app.tenancy.context import Tenant, operator_atomic, operator_context
from tests.factories.statistics import Attempted, Ending, Past, run_with_past
from tests.factories.workflows import made_up_config, owner
from tests.fixtures.stack import AccountMaker
from tests.support.accounts import Account
from tests.support.browser import LOOKS, Look, Visitor, axe_violations
from tests.support.stack import Stack
from workflows_app.models import WorkflowConfig, WorkflowRun, WorkflowSlot
from workflows_app.services.statistics import statistics_roll_up

pytestmark = [pytest.mark.browser, pytest.mark.odd_runs("their pasts and troubles are made up")]
EVERY_LOOK = pytest.mark.parametrize("look", LOOKS, indirect=True, ids=str)
ENGINE = "/admin/workflows_app/workflowrun/engine/"


@pytest.fixture(scope="module")
def past(running_stack: object, django_db_blocker: pytest.FixtureRequest) -> UUID:
    """A template's runs of the last two days, most of them well, and some that are stuck. Returns its id."""
    chance, now = random.Random(4), timezone.now()
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        tenant = owner()
        config = made_up_config(tenant, "draft", "review")
        with operator_atomic("test"):
            for _number in range(160):
                begun = now - timedelta(hours=48 * chance.random() ** 2, minutes=12)
                took = timedelta(seconds=chance.lognormvariate(3, 0.8))
                status = chance.choices(["completed", "failed", "cancelled"], [12, 3, 1])[0]
                code = chance.choice(["provider_down", "step_timeout", "budget_exceeded"]) if status == "failed" else ""
                ending = Ending(status, took, Decimal(chance.randrange(900)) / 10_000, code)
                steps = (
                    Attempted("draft", "completed", timedelta(0), took * 0.6, Decimal("0.01"), 900),
                    Attempted("review", "failed" if code else "completed", took * 0.6, took * 0.4, error_code=code),
                )
                run_with_past(tenant, config, Past(begun, timedelta(milliseconds=20), (ending,), steps))
        with operator_context("test"):
            statistics_roll_up(lag=0)
    return config.pk


@pytest.fixture
def operator(make_account: AccountMaker, past: UUID) -> Account:
    account = make_account(email=f"{uuid.uuid4().hex}@example.com")
    User.objects.filter(pk=account.user.pk).update(is_staff=True, is_superuser=True)
    return account


@pytest.fixture
def held(past: UUID, stack: Stack) -> list[UUID]:
    """Runs that a worker of another machine holds, after others went away at their step."""
    now = timezone.now()
    with operator_atomic("test"):
        config = WorkflowConfig.objects.get(pk=past)
        assert config.organization_id is not None
        tenant = Tenant(organization_id=config.organization_id)
        runs = [
            run_with_past(tenant, config, Past(now - timedelta(minutes=9), timedelta(0), fields={
                "status": "running", "wait": None, "attempt": 1, "attempts_made": 1, "crash_attempts": number + 1,
                "worker": f"worker-{number}:77", "lease_until": now + timedelta(minutes=5),
                "step_started_at": now - timedelta(minutes=3),
            }))
            for number in range(3)
        ]  # fmt: skip
        for run_id in runs:
            WorkflowSlot.objects.create(organization_id=config.organization_id, key="provider:example", run_id=run_id)
    return runs


@EVERY_LOOK
def test_operators_see_the_engine(
    somebody: Visitor, page: Page, operator: Account, held: list[UUID], look: Look
) -> None:
    somebody.be(operator)
    page.goto(f"{somebody.base_url}{ENGINE}?period=day")
    for chart in ("runs", "steps", "durations", "slow"):
        expect(page.locator(f'[data-engine-chart="{chart}"][data-drawn="true"] canvas')).to_be_visible()
    expect(page.get_by_text("provider_down").first).to_be_visible()
    somebody.picture(page, "engine")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    ours = [line for line in axe_violations(page) if "engine" in line]
    assert not ours, ours


@EVERY_LOOK
def test_a_run_in_the_admin(somebody: Visitor, page: Page, operator: Account, look: Look) -> None:
    with operator_atomic("test"):
        run = WorkflowRun.objects.filter(status="failed").latest("created_at")
    somebody.be(operator)
    page.goto(f"{somebody.base_url}/admin/workflows_app/workflowrun/{run.pk}/change/")
    expect(page.locator("#engine-timeline-title")).to_be_visible()
    somebody.picture(page, "engine-run")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


def test_a_stuck_run_is_cancelled_after_a_question(
    somebody: Visitor, page: Page, operator: Account, held: list[UUID]
) -> None:
    somebody.be(operator)
    page.goto(f"{somebody.base_url}{ENGINE}?period=week")
    page.locator(f'input[name="run"][value="{held[0]}"]').check()
    page.locator('button[name="deed"][value="cancel"]').click()
    expect(page.get_by_text(str(held[0]))).to_be_visible()
    somebody.picture(page, "engine-deed")
    page.locator(".engine-submit input[type=submit]").click()
    expect(page.locator(".messagelist .success")).to_be_visible()
    expect(page).to_have_url(f"{somebody.base_url}{ENGINE}?period=week")
    with operator_atomic("test"):
        assert WorkflowRun.objects.get(pk=held[0]).cancel_requested_at is not None


def test_the_list_of_runs(somebody: Visitor, page: Page, operator: Account) -> None:
    somebody.be(operator)
    page.goto(f"{somebody.base_url}/admin/workflows_app/workflowrun/")
    expect(page.get_by_role("link", name="Workflow engine")).to_be_visible()
    somebody.picture(page, "engine-runs")
