"""Steps that leave nothing behind but their result: done in a row, written together."""

import logging
import time
import uuid
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts_app.tenancy.context import Tenant, bound
from gateway_app.models import LiveStream
from gateway_app.services.streams import stream_open
from tests.factories.workflows import acting, handlers, local_handlers, owner, started
from workflows_app.contracts import RunDetail, StepContext, StepResult
from workflows_app.exceptions import StepFailed
from workflows_app.models import RunLog, StepRun, WorkflowRun
from workflows_app.registry import handler_get
from workflows_app.selectors import run_events, run_get
from workflows_app.services.claims import attempt_of, run_claim
from workflows_app.services.controls import run_cancel, run_pause, run_resume
from workflows_app.services.execution import DRAINING, run_advance
from workflows_app.services.local_steps import Done, done_now
from workflows_app.services.records import record_row
from workflows_app.services.statistics import LAG
from workflows_app.services.store import machine_of

pytestmark = pytest.mark.usefixtures("committed_db")


def count(ctx: StepContext) -> StepResult:
    return StepResult(output={"seen": len(ctx.context)}, set={ctx.step_key: ctx.attempt})


def rest(ctx: StepContext) -> StepResult:
    time.sleep(0.06)
    return count(ctx)


def refuse(ctx: StepContext) -> StepResult:
    logging.getLogger("test").warning("I refuse.")
    raise StepFailed("No.")


def advanced(tenant: Tenant, run_id: UUID) -> tuple[RunDetail, int]:
    """Carry the run on; how often was it written to?"""
    with bound(tenant), CaptureQueriesContext(connection) as queries:
        run_advance(run_id=run_id)
    writes = sum("workflow_write" in query["sql"] for query in queries)
    with acting(tenant):
        return run_get(run_id), writes


def completed(tenant: Tenant, run_id: UUID) -> list[StepRun]:
    with acting(tenant):
        return list(StepRun.objects.filter(run_id=run_id, status="completed").order_by("position"))


def history(tenant: Tenant, run_id: UUID) -> list[str]:
    with acting(tenant):
        return [f"{event.type}:{event.step_key}" for event in run_events(run_id)]


def test_a_row_of_local_steps_is_written_once_and_told_as_if_each_were() -> None:
    tenant = owner()
    with handlers(first=count, second=count, third=count):
        apart = started(tenant, "first", "second", "third")
        alone, written_alone = advanced(tenant, apart.id)
    with local_handlers(first=count, second=count, third=count):
        together = started(tenant, "first", "second", "third")
        detail, written = advanced(tenant, together.id)
    assert (written_alone, written) == (4, 1)  # of steps that are not local, the claim is one
    assert history(tenant, together.id) == history(tenant, apart.id)
    assert (detail.status, detail.context) == (alone.status, alone.context) == ("completed", alone.context)
    columns = ("key", "path", "stage", "position", "attempt", "output")
    rows = [[getattr(step, name) for name in columns] for step in completed(tenant, together.id)]
    assert rows == [[getattr(step, name) for name in columns] for step in completed(tenant, apart.id)]


def test_each_step_has_its_own_time() -> None:
    tenant = owner()
    with local_handlers(first=rest, second=rest):
        run = started(tenant, "first", "second")
        assert advanced(tenant, run.id)[1] == 1
    steps = completed(tenant, run.id)
    assert all(step.finished_at - step.started_at >= timedelta(seconds=0.06) for step in steps)
    with acting(tenant):
        moments = [event.at for event in run_events(run.id)]
    assert moments == sorted(moments)
    assert all(one.finished_at <= next_.started_at for one, next_ in pairwise(steps))


def test_what_the_database_kept_waiting_does_not_lie_far_back() -> None:
    """The roll-ups count by time, and look back no further than their lag."""
    tenant = owner()
    with local_handlers(first=count, second=count):
        run = started(tenant, "first", "second")
        with bound(tenant):
            claim = run_claim(run.id)
            assert claim is not None
            long_ago = replace(done_now(claim, StepResult()), at=time.monotonic() - 60)
            machine = machine_of(claim.run)
            machine.completed(StepResult())
            second = attempt_of(claim.run, machine)
            assert second is not None
            record_row(claim, [long_ago, Done(second, StepResult(), time.monotonic())])
    first, last = completed(tenant, run.id)
    assert timedelta(seconds=1) < last.finished_at - first.finished_at < timedelta(seconds=LAG)


def test_a_row_is_not_kept_back_for_long() -> None:
    tenant = owner()
    with local_handlers(slow=rest):
        run = started(tenant, "slow", "slow", "slow", "slow")
        assert advanced(tenant, run.id)[1] == 2


def test_what_comes_before_a_step_with_effects_is_written_before_it_begins() -> None:
    seen: list[list[str]] = []
    tenant = owner()

    def effect(ctx: StepContext) -> StepResult:
        seen.append([step.key for step in completed(tenant, ctx.run_id)])
        return StepResult()

    with local_handlers(first=count, second=count, look=effect), handlers(effect=effect):
        run = started(tenant, "first", "second", "effect", "look")
        assert advanced(tenant, run.id)[0].status == "completed"
    # And what it gave is written before anything else is done.
    assert seen == [["first", "second"], ["first", "second", "effect"]]


def test_a_pause_that_comes_meanwhile_undoes_what_is_not_written() -> None:
    tenant = owner()
    calls: list[str] = []

    def pausing(ctx: StepContext) -> StepResult:
        calls.append(ctx.step_key)
        if len(calls) == 1:
            with acting(tenant):
                run_pause(run_id=ctx.run_id)
        return StepResult()

    with local_handlers(first=count, second=pausing, third=count):
        run = started(tenant, "first", "second", "third")
        detail, _writes = advanced(tenant, run.id)
        assert (detail.status, detail.cursor) == ("paused", 1)
        with acting(tenant):
            run_resume(run_id=run.id)
        assert advanced(tenant, run.id)[0].status == "completed"
    assert calls == ["second", "second"]
    assert [step.key for step in completed(tenant, run.id)] == ["first", "second", "third"]


def test_a_local_step_that_fails_is_carried_out_and_logged_once() -> None:
    tenant = owner()
    with local_handlers(first=count, no=refuse):
        run = started(tenant, "first", "no", "first")
        detail, _writes = advanced(tenant, run.id)
    assert detail.error is not None
    assert (detail.status, detail.cursor, detail.error["code"]) == ("failed", 1, "step_failed")
    with acting(tenant):
        lines = RunLog.objects.filter(run_id=run.id)
        assert [(line.message, line.path) for line in lines] == [("I refuse.", "A/no")]


def test_a_step_with_a_slot_is_written_by_itself() -> None:
    tenant = owner()
    keyed = {"action": "second", "concurrency_key": "one", "concurrency": 1}
    with local_handlers(first=count, second=count):
        run = started(tenant, "first", keyed, "first")
        detail, writes = advanced(tenant, run.id)
    assert (detail.status, writes) == ("completed", 3)


def test_a_run_that_lost_a_worker_goes_step_by_step_once() -> None:
    tenant = owner()
    with local_handlers(first=count, second=count, third=count):
        run = started(tenant, "first", "second", "third")
        with bound(tenant):
            assert run_claim(run.id) is not None
        with acting(tenant):
            silent = timezone.now() - timedelta(seconds=1)
            WorkflowRun.objects.filter(pk=run.id).update(lease_until=silent)
        detail, writes = advanced(tenant, run.id)
    assert (detail.status, writes) == ("completed", 3)
    assert history(tenant, run.id).count("run.started:") == 1


def test_a_run_has_begun_when_its_first_step_did_though_that_is_written_later() -> None:
    tenant = owner()
    with local_handlers(first=rest, second=count):
        run = started(tenant, "first", "second", limits={"max_duration": 3600})
        assert advanced(tenant, run.id)[1] == 1
    first, _second = completed(tenant, run.id)
    with acting(tenant):
        row = WorkflowRun.objects.get(pk=run.id)
        begun = next(event.at for event in run_events(run.id) if event.type == "run.started")
    assert row.started_at is not None
    assert row.deadline_at is not None
    assert row.started_at.isoformat() == begun == first.started_at.isoformat()
    assert row.created_at < row.started_at <= first.finished_at - timedelta(seconds=0.06)
    assert abs(row.deadline_at - row.started_at - timedelta(hours=1)) < timedelta(milliseconds=1)


def test_a_run_that_is_cancelled_in_its_first_step_has_done_that_step() -> None:
    tenant = owner()

    def cancelling(ctx: StepContext) -> StepResult:
        with acting(tenant):
            run_cancel(run_id=ctx.run_id)
        return StepResult()

    with local_handlers(first=cancelling, second=count):
        run = started(tenant, "first", "second")
        detail, _writes = advanced(tenant, run.id)
    assert detail.status == "cancelled"
    assert history(tenant, run.id) == [
        "run.created:",
        "run.cancel_requested:",
        "run.started:",
        "step.started:first",
        "step.completed:first",
        "run.cancelled:",
    ]


def test_a_beginning_whose_commit_was_not_answered_is_written_once() -> None:
    tenant = owner()
    with local_handlers(first=count), handlers(second=count):
        run = started(tenant, "first", "second")
        with bound(tenant):
            claim = run_claim(run.id)
            assert claim is not None
            assert claim.begun_at is not None
            done = [done_now(claim, StepResult())]
            one, again = record_row(claim, done), record_row(claim, done)
        assert one.attempt == again.attempt
        assert one.attempt is not None
        assert one.attempt.step.key == "second"
    assert history(tenant, run.id) == [
        "run.created:",
        "run.started:",
        "step.started:first",
        "step.completed:first",
        "step.started:second",
    ]


def test_a_worker_that_shuts_down_begins_no_further_step() -> None:
    tenant = owner()

    def draining(ctx: StepContext) -> StepResult:
        DRAINING.set()
        return StepResult()

    with local_handlers(first=count, second=draining, third=count):
        run = started(tenant, "first", "second", "third")
        try:
            detail, _writes = advanced(tenant, run.id)
        finally:
            DRAINING.clear()
        assert (detail.status, detail.cursor) == ("pending", 2)
        assert advanced(tenant, run.id)[0].status == "completed"


def test_readers_hear_of_each_step_after_it_was_written() -> None:
    tenant = owner()
    with acting(tenant):
        stream_id = stream_open(kind="run", subject_id=uuid.uuid4())
    with local_handlers(first=count, second=count):
        advanced(tenant, started(tenant, "first", "second", stream_id=stream_id).id)
    with acting(tenant):
        told = [(event["type"], event["data"].get("step", "")) for event in LiveStream.objects.get(pk=stream_id).events]
    assert told == [
        ("run.started", ""),
        ("step.started", "first"),
        ("step.completed", "first"),
        ("step.started", "second"),
        ("step.completed", "second"),
        ("run.completed", ""),
        ("end", ""),
    ]


@pytest.mark.parametrize("name", ["save_brief", "save_original", "finish", "linter"])
def test_what_the_shipped_workflows_do_without_a_model_is_local(name: str) -> None:
    handler = handler_get(name)
    assert handler is not None
    assert handler.local


@pytest.mark.parametrize("name", ["apply", "bootstrap/rewrite", "eval/run", "save_version"])
def test_what_leaves_something_behind_is_not(name: str) -> None:
    handler = handler_get(name)
    assert handler is not None
    assert not handler.local
