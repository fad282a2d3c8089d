"""Schedules: what they keep, what a due time starts, and what they say when it starts nothing."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django_celery_beat.models import PeriodicTask

from accounts_app.exceptions import Conflict, InvalidInput, NotFound
from accounts_app.models import AuditLog, Membership, User
from accounts_app.tenancy.context import Tenant, current_organization_id, operator_atomic, operator_context
from tests.factories.schedules import scheduled, template_of
from tests.factories.workflows import acting, owner, run_ended
from workflows_app.models import ConfigStatus, WorkflowConfig, WorkflowRun, WorkflowSchedule
from workflows_app.services.schedule_ticks import schedule_tick, schedules_sweep
from workflows_app.services.schedules import (
    ScheduleFields,
    schedule_change,
    schedule_create,
    schedule_pause,
    schedule_remove,
    schedule_resume,
    schedule_start_now,
)

pytestmark = pytest.mark.django_db

MOMENT = datetime(2026, 11, 23, 8, 0, 0, tzinfo=UTC)  # 9:00 in Berlin


@pytest.fixture
def tenant() -> Tenant:
    return owner()


def due(schedule: WorkflowSchedule, at: datetime = MOMENT) -> None:
    """Let the schedule's next time be this."""
    with operator_atomic("test"):
        WorkflowSchedule.objects.filter(pk=schedule.pk).update(next_run_at=at)


def tick(schedule: WorkflowSchedule, now: datetime = MOMENT) -> uuid.UUID | None:
    with operator_context("test"):
        return schedule_tick(schedule_id=schedule.pk, now=now)


def again(schedule: WorkflowSchedule) -> WorkflowSchedule:
    with operator_atomic("test"):
        return WorkflowSchedule.objects.get(pk=schedule.pk)


def runs(tenant: Tenant) -> list[WorkflowRun]:
    with acting(tenant):
        own = WorkflowRun.objects.filter(organization_id=current_organization_id())
        return list(own.order_by("created_at"))


def alarm(schedule: WorkflowSchedule) -> PeriodicTask:
    with transaction.atomic():
        return PeriodicTask.objects.select_related("crontab").get(name=f"schedule:{schedule.pk}")


def error_of(schedule: WorkflowSchedule) -> Any:
    return again(schedule).last_error


def test_a_due_time_starts_the_workflow_with_its_input_for_its_person(tenant: Tenant) -> None:
    schedule = scheduled(tenant, input={"brief": "tea"})
    due(schedule)
    run_id = tick(schedule)
    (run,) = runs(tenant)
    assert (run.id, run.user_id, run.context["brief"]) == (run_id, tenant.user_id, "tea")
    assert run.idempotency_key == f"schedule:{schedule.pk}:2026-11-23T08:00:00+00:00"
    after = again(schedule)
    assert (after.last_run_at, after.last_run_id, after.last_error) == (MOMENT, run.id, None)
    assert after.next_run_at == MOMENT + timedelta(days=1)


def test_rung_twice_it_starts_once(tenant: Tenant) -> None:
    schedule = scheduled(tenant, max_overlap=5)
    due(schedule)
    assert tick(schedule)
    assert tick(schedule) is None
    due(schedule)  # as if the first tick's note of it had been lost
    assert tick(schedule) == runs(tenant)[0].id
    assert len(runs(tenant)) == 1


def test_rung_early_it_waits(tenant: Tenant) -> None:
    schedule = scheduled(tenant)
    due(schedule)
    assert tick(schedule, MOMENT - timedelta(seconds=1)) is None
    assert runs(tenant) == []


def test_a_paused_schedule_starts_nothing_and_forgets_what_passed(tenant: Tenant) -> None:
    schedule = scheduled(tenant)
    with acting(tenant):
        paused = schedule_pause(schedule_id=schedule.pk)
    assert (paused.next_run_at, alarm(schedule).enabled) == (None, False)
    assert tick(schedule, MOMENT + timedelta(days=400)) is None
    with acting(tenant):
        resumed = schedule_resume(schedule_id=schedule.pk)
    assert resumed.next_run_at
    assert resumed.next_run_at > datetime.now(UTC)
    assert alarm(schedule).enabled
    assert runs(tenant) == []


@pytest.mark.parametrize(("misfire", "started"), [("once", 1), ("skip", 0)])
def test_missed_times_are_made_up_once_or_left_out(tenant: Tenant, misfire: str, started: int) -> None:
    schedule = scheduled(tenant, cron="*/10 * * * *", misfire=misfire)
    due(schedule)
    tick(schedule, MOMENT + timedelta(minutes=45))
    assert len(runs(tenant)) == started
    assert again(schedule).next_run_at == MOMENT + timedelta(minutes=50)
    assert (error_of(schedule) is None) is bool(started)


def test_the_newest_of_missed_times_still_starts_when_it_is_fresh(tenant: Tenant) -> None:
    schedule = scheduled(tenant, cron="*/10 * * * *", misfire="skip")
    due(schedule)
    tick(schedule, MOMENT + timedelta(minutes=40, seconds=3))
    assert again(schedule).last_run_at == MOMENT + timedelta(minutes=40)


def test_a_run_that_has_not_finished_keeps_the_next_from_starting(tenant: Tenant) -> None:
    schedule = scheduled(tenant, cron="*/10 * * * *")
    due(schedule)
    first = tick(schedule)
    assert first
    assert tick(schedule, MOMENT + timedelta(minutes=10)) is None
    assert error_of(schedule)["message"] == "Earlier runs had not finished: 1."
    with acting(tenant):
        run_ended(first, "completed")
    assert tick(schedule, MOMENT + timedelta(minutes=20))
    assert error_of(schedule) is None


def test_a_template_that_was_taken_out_of_use_is_said(tenant: Tenant) -> None:
    template = template_of(tenant)
    schedule = scheduled(tenant, template=template)
    version = template.partition("@")[2]
    with acting(tenant):
        WorkflowConfig.objects.filter(version=version).update(status=ConfigStatus.INACTIVE)
    due(schedule)
    assert tick(schedule) is None
    assert error_of(schedule)["code"] == "schedule_refused"
    assert template in error_of(schedule)["message"]
    assert again(schedule).next_run_at == MOMENT + timedelta(days=1)
    with acting(tenant):
        WorkflowConfig.objects.filter(version=version).update(status=ConfigStatus.ACTIVE)
    due(schedule)
    assert tick(schedule)


def test_a_person_who_may_start_nothing_any_more_is_said(tenant: Tenant) -> None:
    schedule = scheduled(tenant)
    with operator_atomic("test"):
        Membership.objects.filter(user_id=str(tenant.user_id)).update(role="viewer")
    due(schedule)
    assert tick(schedule) is None
    assert "Save it again" in error_of(schedule)["message"]


def test_the_schedules_of_an_account_that_was_closed_start_nothing(tenant: Tenant) -> None:
    schedule = scheduled(tenant)
    with operator_atomic("test"):
        User.objects.filter(pk=str(tenant.user_id)).update(is_active=False)
    due(schedule)
    assert tick(schedule) is None
    assert error_of(schedule)["code"] == "schedule_refused"


def test_the_sweep_starts_what_no_alarm_rang_for(tenant: Tenant) -> None:
    waiting, overdue = scheduled(tenant), scheduled(tenant)
    due(overdue)
    due(waiting, MOMENT + timedelta(hours=1))
    with operator_context("test"):
        assert schedules_sweep(now=MOMENT + timedelta(seconds=6)) >= 1
    assert again(overdue).last_run_id
    assert again(waiting).last_run_id is None


def test_beats_row_says_nothing_but_which_schedule(tenant: Tenant) -> None:
    schedule = scheduled(tenant, name="Secret plans", input={"brief": "secret"}, cron="5,35 8-10 * * mon-fri")
    row = alarm(schedule)
    assert json.loads(row.kwargs) == {"schedule_id": str(schedule.pk)}
    assert (row.task, row.queue, row.expire_seconds, row.enabled) == ("workflows.schedule_tick", "work", 60, True)
    clock = row.crontab
    assert (clock.minute, clock.hour, clock.day_of_week, str(clock.timezone)) == (
        "5,35",
        "8,9,10",
        "1,2,3,4,5",
        "Europe/Berlin",
    )
    assert "ecret" not in json.dumps({field.name: str(getattr(row, field.name)) for field in row._meta.fields})


def test_a_change_moves_the_alarm_and_the_person(tenant: Tenant) -> None:
    schedule = scheduled(tenant)
    with acting(tenant):
        schedule_change(schedule_id=schedule.pk, changes={"cron": "30 7 * * *", "timezone": "Asia/Shanghai"})
    clock = alarm(schedule).crontab
    assert (clock.hour, clock.minute, str(clock.timezone)) == ("7", "30", "Asia/Shanghai")
    following = again(schedule).next_run_at
    assert following
    assert (following.hour, following.minute) == (23, 30)


def test_a_removed_schedule_takes_its_alarm_along(tenant: Tenant) -> None:
    schedule = scheduled(tenant)
    with acting(tenant):
        schedule_remove(schedule_id=schedule.pk)
        actions = AuditLog.objects.filter(target_id=str(schedule.pk)).order_by("created_at")
        assert [row.action for row in actions] == ["schedule.create", "schedule.remove"]
    assert not PeriodicTask.objects.filter(name=f"schedule:{schedule.pk}").exists()
    assert tick(schedule) is None


def test_it_can_be_started_by_hand_besides_its_times(tenant: Tenant) -> None:
    schedule = scheduled(tenant)
    before = again(schedule).next_run_at
    with acting(tenant):
        first = schedule_start_now(schedule_id=schedule.pk, key="now")
        assert schedule_start_now(schedule_id=schedule.pk, key="now").id == first.id
        other = schedule_start_now(schedule_id=schedule.pk)
    assert other.id != first.id
    assert (again(schedule).last_run_id, again(schedule).next_run_at) == (other.id, before)


def test_what_makes_no_schedule_is_refused(tenant: Tenant) -> None:
    template = template_of(tenant)
    wrong = [{"cron": "0 25 * * *"}, {"timezone": "Mars/Olympus"}, {"template": "nothing of this name"}]
    for fields in wrong:
        given: dict[str, Any] = {"name": "x", "cron": "0 9 * * *", "template": template} | fields
        with acting(tenant), pytest.raises(InvalidInput):
            schedule_create(fields=ScheduleFields(**given))
    schedule = scheduled(tenant, name="x")
    with acting(tenant), pytest.raises(Conflict):
        schedule_create(fields=ScheduleFields(name="x", cron="0 9 * * *", template=template))
    assert again(schedule).name == "x"


def test_someone_elses_schedule_is_not_there(tenant: Tenant) -> None:
    schedule, stranger = scheduled(tenant), owner()
    changes: dict[str, Any] = {"name": "mine"}
    for attempt in (
        lambda: schedule_change(schedule_id=schedule.pk, changes=changes),
        lambda: schedule_pause(schedule_id=schedule.pk),
        lambda: schedule_remove(schedule_id=schedule.pk),
        lambda: schedule_start_now(schedule_id=schedule.pk),
    ):
        with acting(stranger), pytest.raises(NotFound):
            attempt()


@pytest.mark.parametrize(
    ("constraint", "values"),
    [
        ("schedule_misfire_known", {"misfire": "panic"}),
        ("schedule_overlap_bounded", {"max_overlap": 0}),
        ("schedule_overlap_bounded", {"max_overlap": 101}),
        ("schedule_active_is_due", {"next_run_at": None}),
    ],
)
def test_constraints_hold(tenant: Tenant, constraint: str, values: dict[str, Any]) -> None:
    schedule = scheduled(tenant)
    with acting(tenant), pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        WorkflowSchedule.objects.filter(pk=schedule.pk).update(**values)


def test_a_name_is_there_once(tenant: Tenant) -> None:
    one, other = scheduled(tenant), scheduled(tenant)
    with acting(tenant), pytest.raises(IntegrityError, match="schedule_name_once"), transaction.atomic():
        WorkflowSchedule.objects.filter(pk=one.pk).update(name=other.name)
