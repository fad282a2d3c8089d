"""Who is next: fair shares between organizations, priorities, seats, slots."""

import time
import uuid
from uuid import UUID

import pytest
from django.db import transaction
from pytest_django import Settings

from accounts_app.tenancy.context import Tenant, operator_context
from tests.factories.workflows import acting, handlers, made_up_config, owner, started
from tests.support.processes import wait_until
from workflows_app.contracts import StepContext, StepResult
from workflows_app.models import WorkflowConfig, WorkflowRun, WorkflowSlot
from workflows_app.selectors import run_get
from workflows_app.services.claims import run_claim
from workflows_app.services.controls import run_cancel
from workflows_app.services.dispatch import Bell
from workflows_app.services.execution import runs_work
from workflows_app.services.records import record_completed
from workflows_app.services.runs import execution_start
from workflows_app.services.seats import Seats

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _empty_queue() -> None:
    with operator_context("test"), transaction.atomic():
        WorkflowRun.objects.filter(is_ready=True).update(is_ready=False)


def next_owner(passed_over: UUID | None = None) -> UUID | None:
    with operator_context("test"):
        claim = run_claim(passed_over=passed_over)
    return claim.run.organization_id if claim else None


def many(tenant: Tenant, number: int) -> None:
    for _number in range(number):
        started(tenant, "first")


def test_another_organizations_first_run_does_not_wait_behind_a_backlog() -> None:
    crowd, late = owner(), owner()
    many(crowd, 12)
    for _taken in range(4):
        assert next_owner() == crowd.organization_id
    many(late, 1)
    assert late.organization_id in {next_owner(), next_owner()}


def test_backlogs_are_served_in_turn() -> None:
    one, two = owner(), owner()
    many(one, 6)
    many(two, 6)
    served = [next_owner() for _turn in range(12)]
    for turn in range(0, 12, 2):
        assert set(served[turn : turn + 2]) == {one.organization_id, two.organization_id}


def test_a_higher_priority_goes_first() -> None:
    tenant = owner()
    config = named(tenant, "first")
    runs = {}
    for priority in (0, 5, -5):
        with acting(tenant):
            runs[priority] = execution_start(
                template=str(config.pk), context={}, key=uuid.uuid4().hex, priority=priority
            ).id
    with operator_context("test"):
        claims = [run_claim() for _turn in range(3)]
    assert [claim.run.pk for claim in claims if claim] == [runs[5], runs[0], runs[-5]]


def test_an_organization_may_be_passed_over() -> None:
    crowd, other = owner(), owner()
    many(crowd, 3)
    many(other, 1)
    assert next_owner(crowd.organization_id) == other.organization_id
    assert next_owner(crowd.organization_id) is None
    assert next_owner() == crowd.organization_id


def test_the_last_seat_is_left_to_others(settings: Settings) -> None:
    settings.MODEL_WORKER_THREADS = 3
    seats, crowd, other = Seats(), uuid.uuid4(), uuid.uuid4()
    assert seats.crowding() is None
    seats.add(crowd, 1)
    assert seats.crowding() is None
    seats.add(crowd, 1)
    assert seats.crowding() == crowd
    seats.add(crowd, -1)
    seats.add(other, 1)
    assert seats.crowding() is None


def test_a_single_seat_is_anybodys(settings: Settings) -> None:
    settings.MODEL_WORKER_THREADS = 1
    seats = Seats()
    seats.add(uuid.uuid4(), 1)
    assert seats.crowding() is None


def test_the_bell_rings_so_often_at_once_and_the_rest_soon() -> None:
    rung: list[float] = []
    bell = Bell(lambda: rung.append(time.monotonic()), burst=3, rate=2.0)
    for _number in range(5):
        bell.ring()
    assert len(rung) == 3
    wait_until(lambda: len(rung) == 5, 10)
    assert rung[3] - rung[0] > 0.3
    # It is silent, and then rings at once again.
    time.sleep(0.6)
    bell.ring()
    assert len(rung) == 6


def test_a_ring_that_fails_later_does_not_silence_the_bell(caplog: pytest.LogCaptureFixture) -> None:
    rung: list[int] = []

    def ring() -> None:
        rung.append(len(rung))
        if len(rung) == 2:
            raise RuntimeError

    bell = Bell(ring, burst=1, rate=50.0)
    for _number in range(3):
        bell.ring()
        wait_until(lambda: bell.is_silent, 10)
    assert len(rung) == 3
    assert [record.message for record in caplog.records] == ["workflow.ring_failed"]


def test_a_storm_of_starts_is_rung_for_no_more_than_so_often() -> None:
    rung: list[float] = []
    bell = Bell(lambda: rung.append(time.monotonic()), burst=2, rate=2.0)
    for _number in range(1000):
        bell.ring()
    wait_until(lambda: bell.is_silent, 10)
    assert 4 <= len(rung) <= 8


def named(tenant: Tenant, *steps: object, **fields: object) -> WorkflowConfig:
    config = made_up_config(tenant, *steps)  # type: ignore[arg-type]
    with acting(tenant):
        WorkflowConfig.objects.filter(pk=config.pk).update()
    return config


@pytest.mark.usefixtures("committed_db")
def test_one_ring_empties_the_queue() -> None:
    tenant = owner()

    def fine(_ctx: StepContext) -> StepResult:
        return StepResult()

    with handlers(fine=fine):
        runs = [started(tenant, "fine", "fine").id for _number in range(5)]
        with operator_context("test"):
            assert runs_work() >= 5
    with acting(tenant):
        assert {run_get(run_id).status for run_id in runs} == {"completed"}


def test_a_concurrency_key_is_held_by_so_many() -> None:
    tenant = owner()
    step = {"action": "first", "concurrency_key": "printer", "concurrency": 1}
    first, second = (started(tenant, step).id for _number in range(2))
    with acting(tenant):
        claim, waiting = run_claim(first), run_claim(second)
        assert claim is not None
        assert waiting is not None
        assert claim.attempt is not None
        assert waiting.attempt is None
        assert run_get(second).wait == {"kind": "slot", "key": "step:printer", "step": "first", "due_in": 30.0}
        assert run_claim(second) is None
        record_completed(claim, StepResult())
        assert WorkflowSlot.objects.count() == 0
        again = run_claim(second)
        assert again is not None
        assert again.attempt is not None


def test_a_cancelled_run_frees_its_slot() -> None:
    tenant = owner()
    step = {"action": "first", "concurrency_key": "printer"}
    first, second = (started(tenant, step).id for _number in range(2))
    with acting(tenant):
        run_claim(first)
        run_claim(second)
        WorkflowRun.objects.filter(pk=first).update(lease_until=None)
        run_cancel(run_id=first)
        assert WorkflowRun.objects.get(pk=second).is_ready
