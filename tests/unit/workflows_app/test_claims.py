"""Who may write: leases, tokens, take-overs; and the reaper that brings back what got lost."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.db.models.functions import Now
from pytest_django import Settings

from accounts_app.models import AuditLog
from accounts_app.tenancy.context import Tenant, bound, operator_context
from tests.factories.workflows import acting, handlers, owner, run_id_of, started
from tests.fixtures.stack import forget_runs
from workflows_app.contracts import RunDetail, StepContext, StepResult
from workflows_app.exceptions import LeaseLost
from workflows_app.models import WorkflowRun
from workflows_app.selectors import run_events, run_get, run_steps
from workflows_app.services.claims import Claim, run_claim, worker_name
from workflows_app.services.controls import run_cancel, run_retry
from workflows_app.services.reaper import runs_reap
from workflows_app.services.records import (
    record_announced,
    record_completed,
    record_failed,
    record_released,
    record_stopped,
)
from workflows_app.services.requeue import runs_requeue
from workflows_app.signals import run_finished

pytestmark = pytest.mark.django_db

DONE = StepResult(output={"cost_usd": "1"})
ERROR = {"code": "no", "message": "No."}


@pytest.fixture(autouse=True)
def _own_bell(settings: Settings) -> None:
    """Other tests' rings lie in the queue that all share: from some number on the reaper rings no more."""
    settings.WORKFLOW_QUEUE = f"test-{uuid4()}"


@pytest.fixture
def tenant() -> Tenant:
    return owner()


def claim_of(tenant: Tenant, run_id: UUID) -> Claim:
    claim = try_claim(tenant, run_id)
    assert claim is not None
    return claim


def try_claim(tenant: Tenant, run_id: UUID) -> Claim | None:
    with acting(tenant):
        return run_claim(run_id)


def put(tenant: Tenant, run_id: UUID, **fields: Any) -> None:
    with acting(tenant):
        WorkflowRun.objects.filter(pk=run_id).update(**fields)


def expire(tenant: Tenant, run_id: UUID) -> None:
    put(tenant, run_id, lease_until=Now() - timedelta(seconds=1))


def get(tenant: Tenant, run_id: UUID) -> RunDetail:
    with acting(tenant):
        return run_get(run_id)


def row(tenant: Tenant, run_id: UUID) -> WorkflowRun:
    with acting(tenant):
        return WorkflowRun.objects.get(pk=run_id)


def reap(tenant: Tenant) -> int:
    with operator_context("test"), transaction.atomic():
        others = WorkflowRun.objects.exclude(organization__pk__in=[tenant.organization_id])
        others.update(announced_at=Now(), is_ready=False, lease_until=None)
        return runs_reap()


def test_a_claimed_run_is_nobody_elses(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first")
    claim = claim_of(tenant, run_id)
    assert (claim.token, claim.run.status, claim.taken_over) == (1, "running", False)
    assert try_claim(tenant, run_id) is None


def test_a_claimed_run_leaves_the_queue(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first")
    assert row(tenant, run_id).is_ready
    claim_of(tenant, run_id)
    after = row(tenant, run_id)
    assert (after.is_ready, after.worker) == (False, worker_name())


def test_an_expired_lease_is_taken_over_with_a_new_token(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first")
    claim_of(tenant, run_id)
    expire(tenant, run_id)
    claim = claim_of(tenant, run_id)
    assert (claim.token, claim.taken_over, row(tenant, run_id).crash_attempts) == (2, True, 1)


@pytest.mark.parametrize(
    "record",
    [
        lambda claim: record_completed(claim, DONE),
        lambda claim: record_failed(claim, ERROR),
        lambda claim: record_failed(claim, ERROR, may_pass=True),
        record_stopped,
    ],
)
def test_a_stale_token_records_nothing(tenant: Tenant, record: Any) -> None:
    run_id = run_id_of(tenant, "first", "second")
    stale = claim_of(tenant, run_id)
    expire(tenant, run_id)
    claim_of(tenant, run_id)
    with acting(tenant):
        before = (run_get(run_id), run_steps(run_id), run_events(run_id))
        with pytest.raises(LeaseLost):
            record(stale)
        assert (run_get(run_id), run_steps(run_id), run_events(run_id)) == before


def test_a_stale_token_neither_releases_nor_announces(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first", stream_id=UUID(int=1))
    stale = claim_of(tenant, run_id)
    expire(tenant, run_id)
    claim_of(tenant, run_id)
    with acting(tenant):
        record_released(stale)
        record_announced(stale)
    after = row(tenant, run_id)
    assert after.lease_until is not None
    assert after.announced_at is None


def test_the_same_step_is_not_recorded_twice_by_its_own_worker(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first", "second")
    claim = claim_of(tenant, run_id)
    with acting(tenant):
        following = record_completed(claim, DONE)
        # As after a commit whose answer was lost: the worker learns what is under way now.
        again = record_completed(claim, DONE)
    assert again.attempt == following.attempt
    assert again.ended == ()
    assert get(tenant, run_id).cursor == 1


def test_progress_forgives_take_overs(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first", "second")
    claim_of(tenant, run_id)
    expire(tenant, run_id)
    with acting(tenant):
        record_completed(claim_of(tenant, run_id), DONE)
    assert row(tenant, run_id).crash_attempts == 0


def test_a_released_run_is_free_at_once_and_its_step_begins_again(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first")
    with acting(tenant):
        record_released(claim_of(tenant, run_id))
    again = claim_of(tenant, run_id)
    assert (again.token, again.taken_over, row(tenant, run_id).crash_attempts) == (3, True, 0)


def test_who_released_a_run_records_nothing_more(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first")
    claim = claim_of(tenant, run_id)
    with acting(tenant):
        record_released(claim)
        with pytest.raises(LeaseLost):
            record_completed(claim, DONE)


def test_a_cancellation_is_seen_by_the_next_worker(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first", stream_id=UUID(int=1))
    claim_of(tenant, run_id)
    with acting(tenant):
        assert run_cancel(run_id=run_id).status == "running"
    expire(tenant, run_id)
    claim = claim_of(tenant, run_id)
    assert (claim.attempt, claim.run.status) == (None, "cancelled")
    with acting(tenant):
        assert [step.status for step in run_steps(run_id)] == ["lost"]


def test_a_cancellation_is_seen_between_two_steps(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first", "second")
    claim = claim_of(tenant, run_id)
    with acting(tenant):
        run_cancel(run_id=run_id)
        ended = record_completed(claim, DONE)
    assert (ended.attempt, ended.run.status) == (None, "cancelled")
    assert str(get(tenant, run_id).cost_usd) == "1.0000000000"


def test_cancelling_a_released_run_fences_and_ends_it(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first")
    claim = claim_of(tenant, run_id)
    with acting(tenant):
        record_released(claim)
        assert run_cancel(run_id=run_id).status == "cancelled"
        with pytest.raises(LeaseLost):
            record_completed(claim, DONE)
        assert [step.status for step in run_steps(run_id)] == ["lost"]


def test_an_ended_run_waits_until_its_readers_are_told(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first", stream_id=UUID(int=1))
    with acting(tenant):
        record_completed(claim_of(tenant, run_id), DONE)
    expire(tenant, run_id)
    claim = claim_of(tenant, run_id)
    assert (claim.attempt, claim.run.status) == (None, "completed")
    with acting(tenant):
        record_announced(claim)
    assert try_claim(tenant, run_id) is None


def test_a_run_without_stream_has_nobody_to_tell(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first")
    with acting(tenant):
        record_completed(claim_of(tenant, run_id), DONE)
    after = row(tenant, run_id)
    assert after.announced_at == after.finished_at
    assert after.lease_until is None


def test_the_reaper_rings_for_what_nobody_came_for(tenant: Tenant) -> None:
    run_id_of(tenant, "first")
    run_id_of(tenant, "first")
    assert reap(tenant) == 2


def test_the_reaper_leaves_held_and_ended_runs_alone(tenant: Tenant) -> None:
    claim_of(tenant, run_id_of(tenant, "first"))
    with acting(tenant):
        record_completed(claim_of(tenant, run_id_of(tenant, "first")), DONE)
    assert reap(tenant) == 0


def test_the_reaper_brings_back_a_run_whose_worker_is_silent(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first")
    claim_of(tenant, run_id)
    expire(tenant, run_id)
    assert reap(tenant) == 1
    after = row(tenant, run_id)
    assert (after.is_ready, after.crash_attempts, after.lease_until) == (True, 1, None)


def test_a_step_that_takes_every_worker_down_is_given_up(tenant: Tenant, settings: Settings) -> None:
    settings.WORKFLOW_MAX_CRASHES = 2
    heard: list[str] = []

    def listen(status: str, **_rest: object) -> None:
        heard.append(status)

    run_id = run_id_of(tenant, "first")
    run_finished.connect(listen)
    try:
        for _worker in range(3):
            claim_of(tenant, run_id)
            expire(tenant, run_id)
        assert try_claim(tenant, run_id) is None
        reap(tenant)
    finally:
        run_finished.disconnect(listen)
    run = get(tenant, run_id)
    assert run.error is not None
    assert (run.status, run.error["code"], heard) == ("failed", "worker_lost", ["failed"])
    with acting(tenant):
        assert [step.status for step in run_steps(run_id)] == ["lost", "lost", "failed"]
        assert run_retry(run_id=run_id).status == "pending"
    again = claim_of(tenant, run_id).attempt
    assert again is not None
    assert again.step.key == "first"


def test_a_cancelled_run_whose_step_does_not_listen_is_ended(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first", stream_id=UUID(int=1))
    deaf = claim_of(tenant, run_id)
    with acting(tenant):
        run_cancel(run_id=run_id)
    reap(tenant)
    assert get(tenant, run_id).status == "running"
    put(tenant, run_id, cancel_requested_at=Now() - timedelta(seconds=4))
    reap(tenant)
    assert get(tenant, run_id).status == "cancelled"
    with acting(tenant), pytest.raises(LeaseLost):
        record_completed(deaf, DONE)
    assert claim_of(tenant, run_id).attempt is None


def test_one_poison_run_whose_end_cannot_be_recorded_does_not_hold_up_the_others(
    tenant: Tenant, settings: Settings
) -> None:
    settings.WORKFLOW_MAX_CRASHES = 1
    bad, good = run_id_of(tenant, "first"), run_id_of(tenant, "first")
    for run_id in (bad, good):
        claim_of(tenant, run_id)
        put(tenant, run_id, crash_attempts=1)
        expire(tenant, run_id)

    def explode(run: RunDetail, **_rest: object) -> None:
        if run.id == bad:
            raise RuntimeError("a receiver's bug")

    run_finished.connect(explode)
    try:
        reap(tenant)
    finally:
        run_finished.disconnect(explode)
    assert (get(tenant, bad).status, get(tenant, good).status) == ("running", "failed")


def test_an_operator_sends_a_stuck_run_again(tenant: Tenant, settings: Settings) -> None:
    settings.WORKFLOW_MAX_CRASHES = 1
    stuck, held = run_id_of(tenant, "first"), run_id_of(tenant, "first")
    for run_id in (stuck, held):
        claim_of(tenant, run_id)
    put(tenant, stuck, crash_attempts=1)
    expire(tenant, stuck)
    with operator_context("test"), transaction.atomic():
        assert runs_requeue(run_ids=[stuck, held]) == 1
        assert AuditLog.objects.filter(action="run.requeue", target_id=str(stuck)).count() == 1
    assert claim_of(tenant, stuck).taken_over
    assert try_claim(tenant, held) is None


def test_a_run_is_claimed_only_in_its_own_tenant(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first")
    assert try_claim(owner(), run_id) is None
    with bound(tenant), transaction.atomic():
        assert run_claim(run_id) is not None


@pytest.mark.odd_runs("parked by hand")
def test_a_run_that_is_parked_is_not_claimed(tenant: Tenant) -> None:
    run_id = run_id_of(tenant, "first")
    for status in ("paused", "waiting"):
        put(tenant, run_id, status=status, is_ready=False, wait={"kind": "signal", "signal": "go"})
        assert try_claim(tenant, run_id) is None
        assert reap(tenant) == 0


def test_the_first_claim_says_so_to_the_rooms_above(tenant: Tenant) -> None:
    def fine(ctx: StepContext) -> StepResult:
        return StepResult()

    with handlers(fine=fine):
        run = started(tenant, "fine")
        claim_of(tenant, run.id)
    with acting(tenant):
        assert [event.type for event in run_events(run.id)][1:3] == ["run.started", "step.started"]


def test_a_run_that_cannot_be_begun_is_out_of_the_others_way_and_given_up(tenant: Tenant, settings: Settings) -> None:
    forget_runs()
    settings.WORKFLOW_MAX_CRASHES = 1
    # No validation would let it through: a pause without its length.
    broken = run_id_of(tenant, {"action": "wait"})
    other = run_id_of(tenant, "finish")
    with operator_context("test"):
        assert run_claim(broken) is None
        following = run_claim()
    assert following
    assert following.run.pk == other
    for _time in range(2):
        expire(tenant, broken)
        with operator_context("test"):
            runs_reap()
            run_claim(broken)
    with acting(tenant):
        run = run_get(broken)
    assert (run.status, run.error and run.error["code"]) == ("failed", "worker_lost")
