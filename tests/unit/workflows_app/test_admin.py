"""What staff see of the engine and may do to runs."""

import uuid
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts_app.models import AuditLog
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import Tenant, operator_atomic, operator_context
from tests.factories.statistics import Attempted, Ending, Past, run_with_past
from tests.factories.workflows import acting, handlers, made_up_config, owner, run_id_of, started
from workflows_app.contracts import StepContext, StepResult
from workflows_app.models import RunStatus, WorkflowRun
from workflows_app.services.claims import run_claim
from workflows_app.services.execution import run_advance
from workflows_app.services.statistics import statistics_restart, statistics_roll_up

pytestmark = [pytest.mark.django_db, pytest.mark.odd_runs("their pasts and troubles are made up")]

ENGINE = "/admin/workflows_app/workflowrun/engine/"
DEED = "/admin/workflows_app/workflowrun/engine/deed/"


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(user_create(email=f"{uuid.uuid4().hex}@example.com", is_operator=True))
    return client


@pytest.fixture
def tenant() -> Tenant:
    return owner()


def test_staff_see_runs_and_events_but_cannot_change_them(staff: Client, tenant: Tenant) -> None:
    run = started(tenant, "first")
    for model in ("workspace", "workflowconfig", "workflowrun", "steprun", "runevent", "workflowslot"):
        assert staff.get(f"/admin/workflows_app/{model}/").status_code == 200
    assert staff.get("/admin/workflows_app/runevent/add/").status_code == 403
    page = staff.get(f"/admin/workflows_app/workflowrun/{run.id}/change/")
    assert page.status_code == 200
    assert b'name="_save"' not in page.content


def test_a_published_version_is_read_only_in_the_admin(staff: Client, tenant: Tenant) -> None:
    config = made_up_config(tenant, "first")
    page = staff.get(f"/admin/workflows_app/workflowconfig/{config.pk}/change/")
    assert b'name="_save"' not in page.content
    assert staff.get(f"/admin/workflows_app/workflowconfig/{config.pk}/delete/").status_code == 403


def test_a_deed_to_chosen_runs_is_asked_for_and_audited(staff: Client, tenant: Tenant) -> None:
    runs = [run_id_of(tenant, "first") for _number in range(2)]
    action = {"action": "cancel", "_selected_action": [str(run) for run in runs]}
    question = staff.post("/admin/workflows_app/workflowrun/?since=1h", action)
    assert "asked to end" in question.content.decode()
    assert statuses(tenant) == {RunStatus.PENDING}
    answer = staff.post(DEED, {"deed": "cancel", "run": runs, "list": "yes", "confirmed": "yes"}, follow=True)
    assert "Done to 2 runs." in answer.content.decode()
    assert statuses(tenant) == {RunStatus.CANCELLED}
    with operator_atomic("test"):
        rows = AuditLog.objects.filter(action="run.cancel", target_id__in=[str(run) for run in runs])
        assert {(row.organization_id, row.operator.startswith("admin:")) for row in rows} == {
            (tenant.organization_id, True)
        }


@pytest.mark.parametrize("deed", ["requeue", "pause", "cancel"])
def test_each_deed_leads_back_to_the_run(staff: Client, tenant: Tenant, deed: str) -> None:
    run = run_id_of(tenant, "first")
    page = staff.get(f"/admin/workflows_app/workflowrun/{run}/change/").content.decode()
    assert f'value="{deed}"' in page
    question = staff.post(DEED, {"deed": deed, "run": run, "one": run})
    assert str(run) in question.content.decode()
    done = staff.post(DEED, {"deed": deed, "run": run, "one": run, "confirmed": "yes"})
    assert done["Location"] == f"/admin/workflows_app/workflowrun/{run}/change/"


def test_a_paused_run_is_resumed(staff: Client, tenant: Tenant) -> None:
    run = run_id_of(tenant, "first")
    for deed, status in (("pause", RunStatus.PAUSED), ("resume", RunStatus.PENDING)):
        staff.post(DEED, {"deed": deed, "run": run, "confirmed": "yes"})
        assert statuses(tenant) == {status}


def test_what_one_run_refuses_is_done_to_the_others(staff: Client, tenant: Tenant) -> None:
    ended, waits = run_id_of(tenant, "first"), run_id_of(tenant, "first")
    staff.post(DEED, {"deed": "cancel", "run": ended, "confirmed": "yes"})
    answer = staff.post(DEED, {"deed": "pause", "run": [ended, waits], "confirmed": "yes"}, follow=True)
    text = answer.content.decode()
    assert "Done to 1 run." in text
    assert "The run has ended." in text


@pytest.mark.parametrize(("given", "status"), [({"deed": "delete"}, 400), ({"deed": "cancel", "run": "x"}, 400)])
def test_other_deeds_are_refused(staff: Client, given: dict[str, str], status: int) -> None:
    assert staff.post(DEED, given).status_code == status
    assert staff.get(DEED).status_code == 405


def test_without_a_run_nothing_is_done(staff: Client) -> None:
    answer = staff.post(DEED, {"deed": "cancel", "confirmed": "yes", "period": "week"}, follow=True)
    assert "Choose the runs first." in answer.content.decode()
    assert answer.redirect_chain == [(f"{ENGINE}?period=week", 302)]


class TestWhoMay:
    def test_visitors_and_members_are_sent_to_sign_in(self, client: Client) -> None:
        assert client.get(ENGINE).status_code == 302
        client.force_login(user_create(email=f"{uuid.uuid4().hex}@example.com"))
        assert client.get(ENGINE).status_code == 302
        assert client.post(DEED, {"deed": "cancel"}).status_code == 302

    def test_staff_without_the_permission_see_nothing(self, client: Client, tenant: Tenant) -> None:
        user = user_create(email=f"{uuid.uuid4().hex}@example.com", is_operator=True)
        user.is_superuser = False
        user.save()
        client.force_login(user)
        run = run_id_of(tenant, "first")
        assert client.get(ENGINE).status_code == 403
        assert client.post(DEED, {"deed": "cancel", "run": run}).status_code == 403
        assert client.post(DEED, {"deed": "cancel", "run": run, "confirmed": "yes"}).status_code == 403
        assert statuses(tenant) == {RunStatus.PENDING}


class TestTheEnginePage:
    @pytest.mark.parametrize("period", ["hour", "day", "week", "month", "quarter", "nonsense"])
    def test_it_opens_for_every_period(self, staff: Client, period: str) -> None:
        assert staff.get(f"{ENGINE}?period={period}&template=none@1").status_code == 200

    def test_it_shows_what_was(self, staff: Client, tenant: Tenant) -> None:
        config = made_up_config(tenant, "draft")
        with operator_context("test"):
            statistics_restart()
            for status, code in (("completed", ""), ("completed", ""), ("failed", "provider_down")):
                attempt = Attempted("draft", status, timedelta(0), timedelta(seconds=40), error_code=code)
                ending = Ending(status, timedelta(seconds=90), error_code=code)
                past = Past(timezone.now() - timedelta(hours=1), timedelta(seconds=1), (ending,), (attempt,))
                last = run_with_past(tenant, config, past)
            statistics_roll_up(lag=0)
        page = staff.get(f"{ENGINE}?template={config.name}@{config.version}").content.decode()
        assert "provider_down" in page
        assert str(last) in page
        assert "67%" in page
        assert "2 completed, 1 failed" in page

    def test_it_shows_what_is_stuck_who_holds_runs_and_who_waits(self, staff: Client, tenant: Tenant) -> None:
        held = run_id_of(tenant, {"action": "first", "concurrency_key": "one-at-a-time"})
        with acting(tenant):
            run_claim(held)
            WorkflowRun.objects.filter(pk=held).update(lease_until=Now() - timedelta(minutes=1), crash_attempts=2)
        waits = run_id_of(tenant, "first")
        page = staff.get(ENGINE).content.decode()
        assert "lease ran out" in page
        assert "Workers went away at its step" in page
        assert "one-at-a-time" in page
        assert reverse("admin:workflows_app_workflowrun_change", args=[waits]) in page

    def test_it_asks_a_fixed_number_of_questions(
        self, staff: Client, tenant: Tenant, django_assert_max_num_queries: pytest.FixtureRequest
    ) -> None:
        for _number in range(3):
            run_id_of(tenant, "first")
        with django_assert_max_num_queries(32):  # type: ignore[operator]
            staff.get(ENGINE)


def test_a_runs_page_shows_its_time_line_relatives_and_error(staff: Client, tenant: Tenant) -> None:
    def fails(ctx: StepContext) -> StepResult:
        raise RuntimeError

    with handlers(draft=lambda _ctx: StepResult(), review=fails):
        run = run_id_of(tenant, "draft", "review")
        with acting(tenant):
            run_advance(run_id=run)
    page = staff.get(f"/admin/workflows_app/workflowrun/{run}/change/").content.decode()
    assert "internal_error" in page
    assert "engine-bar--work-completed" in page
    assert "engine-bar--work-failed" in page
    assert "run.failed" in page


def test_lists_find_runs_by_ids_that_were_pasted(staff: Client, tenant: Tenant) -> None:
    run = run_id_of(tenant, "first")
    for model in ("workflowrun", "runevent", "steprun"):
        assert staff.get(f"/admin/workflows_app/{model}/?q={run}").status_code == 200
        assert staff.get(f"/admin/workflows_app/{model}/?q=nothing").status_code == 200
    found = staff.get(f"/admin/workflows_app/workflowrun/?q={run}").content.decode()
    assert str(run) in found


@pytest.fixture(autouse=True)
def _no_step_crashes_aloud(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level("CRITICAL", logger="workflows_app.services.attempts"):
        yield


def statuses(tenant: Tenant) -> set[str]:
    with acting(tenant):
        return set(WorkflowRun.objects.values_list("status", flat=True))
