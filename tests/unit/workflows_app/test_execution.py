"""The engine with handlers of the test's own."""

import threading
import time
import uuid
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.conf import settings as project
from django.db import OperationalError, connection, transaction
from django.utils import timezone
from django.utils.translation import get_language, override

from accounts_app.exceptions import DependencyDown, InvalidInput
from accounts_app.services.trace import bind_trace, current_trace_id
from accounts_app.tenancy.context import Tenant, bound, operator_atomic
from gateway_app.exceptions import CallInProgress
from gateway_app.models import LiveStream
from gateway_app.services.streams import StreamPublisher, stream_open
from tests.factories.workflows import acting, handlers, owner, started
from tests.support.services import APP, database_url
from workflows_app.contracts import RunDetail, StepContext, StepResult
from workflows_app.exceptions import RunActive, RunStateConflict, StepFailed, StepStopped
from workflows_app.models import WorkflowRun
from workflows_app.selectors import run_events, run_get, run_steps
from workflows_app.services import execution
from workflows_app.services.claims import Claim, run_claim
from workflows_app.services.controls import run_cancel, run_retry
from workflows_app.services.execution import DRAINING, run_advance
from workflows_app.services.records import record_completed, record_row
from workflows_app.signals import run_finished, step_finished

pytestmark = pytest.mark.usefixtures("committed_db")


def note(ctx: StepContext) -> StepResult:
    return StepResult(output={"model": "m", "tokens": 3, "cost_usd": "0.5"}, set={ctx.step_key: ctx.attempt})


def refuse(ctx: StepContext) -> StepResult:
    raise StepFailed("No.")


def advanced(tenant: Tenant, run_id: UUID) -> RunDetail:
    with bound(tenant):
        run_advance(run_id=run_id)
    with acting(tenant):
        return run_get(run_id)


def events_of(tenant: Tenant, run_id: UUID) -> list[str]:
    with acting(tenant):
        return [f"{event.type}:{event.step_key}".rstrip(":") for event in run_events(run_id)]


def test_steps_run_in_order_and_their_results_add_up() -> None:
    tenant = owner()
    with handlers(first=note, second=note):
        run = started(tenant, "first", "second", "first", context={"brief": "b"})
        detail = advanced(tenant, run.id)
    assert (detail.status, detail.cursor, str(detail.cost_usd)) == ("completed", 3, "1.5000000000")
    assert detail.context == {"brief": "b", "first": 1, "second": 1, "first-2": 1}
    with acting(tenant):
        steps = run_steps(run.id)
    assert [(step.key, step.model, step.tokens) for step in steps] == [
        ("first", "m", 3),
        ("second", "m", 3),
        ("first-2", "m", 3),
    ]


def test_the_log_tells_everything_and_is_chained() -> None:
    tenant = owner()
    with handlers(first=note, second=note):
        run = started(tenant, "first", "second")
        advanced(tenant, run.id)
    assert events_of(tenant, run.id) == [
        "run.created",
        "run.started",
        "step.started:first",
        "step.completed:first",
        "step.started:second",
        "step.completed:second",
        "run.completed",
    ]
    with acting(tenant):
        events = run_events(run.id)
    assert [event.seq for event in events] == list(range(1, 8))
    assert [event.prev_event_id for event in events] == [None, *(event.id for event in events[:-1])]
    assert events[3].data["cost_usd"] == "0.5"
    assert events[3].data["model"] == "m"


def test_a_handler_sees_what_the_run_has_gathered() -> None:
    seen: list[StepContext] = []

    def look(ctx: StepContext) -> StepResult:
        seen.append(ctx)
        return StepResult()

    tenant, subject = owner(), uuid.uuid4()
    with handlers(first=note, look=look):
        run = started(tenant, "first", {"action": "look", "with": "t", "params": {"n": 1}}, subject_id=subject)
        advanced(tenant, run.id)
    (ctx,) = seen
    assert (ctx.run_id, ctx.step_key, ctx.template, ctx.params, ctx.task_id) == (run.id, "look", "t", {"n": 1}, subject)
    assert dict(ctx.context) == {"first": 1}
    assert ctx.workspace_key == "general"


def test_the_effect_key_is_stable_across_attempts_and_differs_between_steps() -> None:
    keys: list[str] = []

    def flaky(ctx: StepContext) -> StepResult:
        keys.append(ctx.idempotency_key)
        if len(keys) == 1:
            raise DependencyDown
        return StepResult()

    tenant = owner()
    with handlers(flaky=flaky):
        advanced(tenant, started(tenant, "flaky", "flaky").id)
    assert keys[0] == keys[1] != keys[2]


def test_a_failure_that_may_pass_is_tried_again_and_logged() -> None:
    calls: list[int] = []

    def flaky(ctx: StepContext) -> StepResult:
        calls.append(ctx.attempt)
        if len(calls) < 3:
            raise DependencyDown
        return StepResult()

    tenant = owner()
    with handlers(flaky=flaky):
        run = started(tenant, "flaky")
        assert advanced(tenant, run.id).status == "completed"
    assert calls == [1, 2, 3]
    assert events_of(tenant, run.id).count("step.retried:flaky") == 2
    with acting(tenant):
        assert [step.status for step in run_steps(run.id)] == ["failed", "failed", "completed"]


def test_a_step_may_limit_its_attempts() -> None:
    calls: list[int] = []

    def down(ctx: StepContext) -> StepResult:
        calls.append(ctx.attempt)
        raise DependencyDown

    tenant = owner()
    with handlers(down=down):
        detail = advanced(tenant, started(tenant, {"action": "down", "retry": {"attempts": 1}}).id)
    assert (calls, detail.status) == ([1], "failed")
    assert detail.error is not None
    assert detail.error["code"] == "unavailable"


def test_a_typed_failure_ends_the_run_and_leaves_the_cursor_where_it_stood() -> None:
    tenant = owner()
    with handlers(first=note, refuse=refuse):
        run = started(tenant, "first", "refuse")
        detail = advanced(tenant, run.id)
    assert (detail.status, detail.cursor, detail.error) == ("failed", 1, {"code": "step_failed", "message": "No."})
    assert events_of(tenant, run.id)[-2:] == ["step.failed:refuse", "run.failed"]


def test_a_bug_in_a_handler_ends_the_run_without_its_words() -> None:
    def bug(ctx: StepContext) -> StepResult:
        raise KeyError("secret")

    tenant = owner()
    with handlers(bug=bug):
        detail = advanced(tenant, started(tenant, "bug").id)
    assert detail.error is not None
    assert detail.error["code"] == "internal_error"
    assert "secret" not in detail.error["message"]


def test_an_output_that_breaks_the_handlers_schema_fails_the_step() -> None:
    def listing(ctx: StepContext) -> StepResult:
        return StepResult(output=[])  # type: ignore[arg-type]

    tenant = owner()
    with handlers(listing=listing):
        detail = advanced(tenant, started(tenant, "listing").id)
    assert detail.error is not None
    assert detail.error["code"] == "internal_error"


def test_a_step_that_nothing_runs_fails_with_its_name() -> None:
    tenant = owner()
    detail = advanced(tenant, started(tenant, "no_such_thing").id)
    assert detail.error is not None
    assert "no_such_thing" in detail.error["message"]


def test_retry_goes_on_at_the_failed_step() -> None:
    calls: list[str] = []

    def count(ctx: StepContext) -> StepResult:
        calls.append(ctx.step_key)
        if calls.count("late") == 1 and ctx.step_key == "late":
            raise StepFailed("Not yet.")
        return StepResult(output={"cost_usd": "1"})

    tenant = owner()
    with handlers(early=count, late=count):
        run = started(tenant, "early", "late")
        assert advanced(tenant, run.id).status == "failed"
        with acting(tenant):
            assert run_retry(run_id=run.id).status == "pending"
        detail = advanced(tenant, run.id)
    assert (calls, detail.status, str(detail.cost_usd)) == (["early", "late", "late"], "completed", "2.0000000000")
    assert "run.retried" in events_of(tenant, run.id)


def test_only_a_failed_run_can_be_taken_up_again() -> None:
    tenant = owner()
    run = started(tenant, "first")
    with acting(tenant), pytest.raises(RunStateConflict):
        run_retry(run_id=run.id)


def test_retry_waits_for_the_subjects_other_run() -> None:
    tenant, subject = owner(), uuid.uuid4()
    with handlers(refuse=refuse):
        run = started(tenant, "refuse", subject_id=subject)
        advanced(tenant, run.id)
        started(tenant, "refuse", subject_id=subject)
    with acting(tenant), pytest.raises(RunActive):
        run_retry(run_id=run.id)


def test_a_pending_run_is_cancelled_at_once() -> None:
    tenant = owner()
    run = started(tenant, "first")
    with acting(tenant):
        assert run_cancel(run_id=run.id).status == "cancelled"
        assert run_cancel(run_id=run.id).status == "cancelled"
    assert advanced(tenant, run.id).status == "cancelled"
    assert events_of(tenant, run.id)[-1] == "run.cancelled"


def test_a_running_step_hears_of_the_cancellation() -> None:
    entered = threading.Event()

    def wait(ctx: StepContext) -> StepResult:
        entered.set()
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if ctx.should_stop():
                raise StepStopped
            time.sleep(0.01)
        return StepResult()

    tenant = owner()
    with handlers(dawdle=wait):
        run = started(tenant, "dawdle", "dawdle")
        worker = threading.Thread(target=_in_thread, args=(tenant, run.id))
        worker.start()
        assert entered.wait(60)
        with acting(tenant):
            assert run_cancel(run_id=run.id).status == "running"
        worker.join(60)
    with acting(tenant):
        assert run_get(run.id).status == "cancelled"
        assert [step.status for step in run_steps(run.id)] == ["cancelled"]


def test_a_step_that_takes_too_long_is_stopped(settings: pytest.FixtureRequest) -> None:
    settings.WORKFLOW_STEP_TIMEOUT_SECONDS = 0.2  # type: ignore[attr-defined]

    def slow(ctx: StepContext) -> StepResult:
        while not ctx.should_stop():
            time.sleep(0.01)
        raise StepStopped

    tenant = owner()
    with handlers(slow=slow):
        detail = advanced(tenant, started(tenant, "slow").id)
    assert detail.error is not None
    assert (detail.status, detail.error["code"]) == ("failed", "step_timeout")


def test_a_step_that_outlasts_the_lease_keeps_it() -> None:
    rivals: list[object] = []

    def long(ctx: StepContext) -> StepResult:
        until = time.monotonic() + 5  # more than two leases of the tests' length
        while time.monotonic() < until:
            if ctx.should_stop():
                raise StepStopped
            time.sleep(0.05)
        with acting(tenant):
            rivals.append(run_claim(ctx.run_id))
        return StepResult()

    tenant = owner()
    with handlers(long=long):
        detail = advanced(tenant, started(tenant, "long").id)
    assert (detail.status, rivals) == ("completed", [None])


def test_a_draining_worker_gives_the_run_back_after_its_step() -> None:
    tenant = owner()
    with handlers(first=note, second=note):
        run = started(tenant, "first", "second")
        DRAINING.set()
        try:
            detail = advanced(tenant, run.id)
        finally:
            DRAINING.clear()
        assert (detail.status, detail.cursor) == ("pending", 1)
        assert advanced(tenant, run.id).status == "completed"


def test_a_second_message_finds_nothing_to_do() -> None:
    calls: list[int] = []

    def once(ctx: StepContext) -> StepResult:
        calls.append(1)
        return StepResult()

    tenant = owner()
    with handlers(once=once):
        run = started(tenant, "once")
        advanced(tenant, run.id)
        advanced(tenant, run.id)
    assert calls == [1]


def test_steps_speak_the_starters_language_and_bear_its_trace() -> None:
    seen: list[tuple[str | None, str]] = []

    def speak(ctx: StepContext) -> StepResult:
        seen.append((get_language(), current_trace_id()))
        return StepResult()

    tenant = owner()
    with handlers(speak=speak):
        with override("zh-hans"), bind_trace("a" * 32):
            run = started(tenant, "speak")
        advanced(tenant, run.id)
    assert seen == [("zh-hans", "a" * 32)]


def test_signals_are_part_of_the_recording_transaction() -> None:
    tenant = owner()

    def explode(**kwargs: object) -> None:
        raise RuntimeError("a receiver's bug")

    with handlers(first=note):
        run = started(tenant, "first")
        step_finished.connect(explode)
        try:
            with pytest.raises(RuntimeError):
                advanced(tenant, run.id)
        finally:
            step_finished.disconnect(explode)
    with acting(tenant):
        assert [step.status for step in run_steps(run.id)] == ["running"]
        assert "step.completed" not in [event.type for event in run_events(run.id)]


def test_the_end_is_signalled_with_context_and_error() -> None:
    heard: list[tuple[str, object, object]] = []

    def listen(run: RunDetail, status: str, context: object, error: object, **_rest: object) -> None:
        heard.append((status, context, error))

    tenant = owner()
    run_finished.connect(listen)
    try:
        with handlers(first=note, refuse=refuse):
            advanced(tenant, started(tenant, "first").id)
            advanced(tenant, started(tenant, "refuse").id)
    finally:
        run_finished.disconnect(listen)
    assert heard == [("completed", {"first": 1}, None), ("failed", {}, {"code": "step_failed", "message": "No."})]


def test_another_tenants_worker_cannot_claim_a_run() -> None:
    tenant, stranger = owner(), owner()
    with handlers(first=note):
        run = started(tenant, "first")
        with bound(stranger):
            run_advance(run_id=run.id)
    with acting(tenant):
        assert run_get(run.id).status == "pending"


def test_an_expired_lease_is_taken_over_and_the_old_attempt_counted_as_lost() -> None:
    tenant = owner()
    with handlers(first=note):
        run = started(tenant, "first")
        _die_in_the_first_step(tenant, run.id)
        detail = advanced(tenant, run.id)
    assert detail.status == "completed"
    with acting(tenant):
        assert [step.status for step in run_steps(run.id)] == ["lost", "completed"]


def _die_in_the_first_step(tenant: Tenant, run_id: UUID) -> None:
    with bound(tenant):
        assert run_claim(run_id) is not None
    with operator_atomic("test"):
        WorkflowRun.objects.filter(pk=run_id).update(lease_until=timezone.now() - timedelta(seconds=1))


def _in_thread(tenant: Tenant, run_id: UUID) -> None:
    from django.db import connection

    try:
        advanced(tenant, run_id)
    finally:
        connection.close()


def test_no_transaction_is_open_while_a_step_runs() -> None:
    seen: list[bool] = []

    def look(ctx: StepContext) -> StepResult:
        seen.append(transaction.get_connection().in_atomic_block)
        return StepResult()

    tenant = owner()
    with handlers(look=look):
        advanced(tenant, started(tenant, "look").id)
    assert seen == [False]


def test_a_result_survives_that_the_database_drops_its_connections() -> None:
    calls: list[int] = []

    def cut(ctx: StepContext) -> StepResult:
        calls.append(1)
        with psycopg.connect(database_url("postgres", "postgres"), autocommit=True) as admin:
            # Only those of this test run's database: other xdist workers have theirs.
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s AND datname = %s",
                [APP, connection.settings_dict["NAME"]],
            )
        return StepResult()

    tenant = owner()
    with handlers(cut=cut, first=note):
        detail = advanced(tenant, started(tenant, "cut", "first").id)
    assert (calls, detail.status) == ([1], "completed")


def test_a_result_survives_a_database_that_fails_after_a_whole_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement may hang until its connection is cut, for longer than whoever waits for it would be patient."""
    failed: list[float] = []

    def failing(*given: Any, **options: Any) -> Claim:
        if not failed:
            failed.append(time.monotonic())
            time.sleep(1.2 * project.WORKFLOW_LEASE_SECONDS)
            raise OperationalError
        return record_row(*given, **options)

    monkeypatch.setattr(execution, "record_row", failing)
    tenant = owner()
    with handlers(first=note):
        assert advanced(tenant, started(tenant, "first").id).status == "completed"
    assert failed


def test_an_interrupted_service_is_a_failure_that_may_pass() -> None:
    calls: list[int] = []

    def interrupted(ctx: StepContext) -> StepResult:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionResetError
        return StepResult()

    tenant = owner()
    with handlers(interrupted=interrupted):
        assert advanced(tenant, started(tenant, "interrupted").id).status == "completed"
    assert calls == [1, 1]


def test_an_earlier_call_that_still_runs_is_waited_for() -> None:
    calls: list[int] = []

    def busy(ctx: StepContext) -> StepResult:
        calls.append(ctx.attempt)
        if len(calls) < 3:
            raise CallInProgress
        return StepResult()

    tenant = owner()
    with handlers(busy=busy):
        assert advanced(tenant, started(tenant, "busy").id).status == "completed"
    assert calls == [1, 1, 1]


def test_details_of_an_error_are_kept() -> None:
    def wrong(ctx: StepContext) -> StepResult:
        raise InvalidInput.for_field("params.tone", "Too loud.")

    tenant = owner()
    with handlers(wrong=wrong):
        detail = advanced(tenant, started(tenant, "wrong").id)
    assert detail.error is not None
    assert detail.error["details"] == [{"field": "params.tone", "message": "Too loud."}]


def test_a_run_whose_stream_was_ended_by_somebody_is_told_no_more_but_goes_on() -> None:
    tenant = owner()
    with acting(tenant):
        stream_id = stream_open(kind="run", subject_id=uuid.uuid4())
    with bound(tenant):
        StreamPublisher(stream_id).close()
    with handlers(first=note):
        run = started(tenant, "first", stream_id=stream_id)
        assert advanced(tenant, run.id).status == "completed"
    with acting(tenant):
        assert WorkflowRun.objects.get(pk=run.id).announced_at is not None


def test_a_run_with_an_unknown_stream_goes_on_unheard() -> None:
    tenant = owner()
    with handlers(first=note):
        run = started(tenant, "first", stream_id=uuid.uuid4())
        assert advanced(tenant, run.id).status == "completed"


def test_the_stream_tells_the_run_from_its_start_to_its_end() -> None:
    tenant = owner()
    failures = iter([DependencyDown(), None])

    def say(ctx: StepContext) -> StepResult:
        ctx.publisher.delta(ctx.step_key, "hel")
        error = next(failures)
        if error is not None:
            raise error
        ctx.publisher.delta(ctx.step_key, "lo")
        return StepResult(output={"model": "m", "tokens": 2, "cost_usd": "0.1"})

    with acting(tenant):
        stream_id = stream_open(kind="run", subject_id=uuid.uuid4())
    with handlers(say=say, refuse=refuse):
        run = started(tenant, "say", "refuse", stream_id=stream_id)
        advanced(tenant, run.id)
    with acting(tenant):
        stream = LiveStream.objects.get(pk=stream_id)
    told = [(event["type"], event["data"].get("step", "")) for event in stream.events]
    assert told == [
        ("run.started", ""),
        ("step.started", "say"),
        ("delta", "say"),
        ("step.retried", "say"),
        ("restart", "say"),
        ("step.started", "say"),
        ("delta", "say"),
        ("step.completed", "say"),
        ("step.started", "refuse"),
        ("step.failed", "refuse"),
        ("run.failed", ""),
        ("end", ""),
    ]
    overview, completed, failed = (stream.events[index]["data"] for index in (0, 7, 10))
    assert [step["key"] for step in overview["steps"]] == ["say", "refuse"]
    assert (completed["model"], completed["tokens"], completed["cost_usd"]) == ("m", 2, "0.1")
    assert failed["error"] == {"code": "step_failed", "message": "No."}


def test_after_a_take_over_readers_learn_what_the_dead_worker_may_not_have_said() -> None:
    tenant = owner()
    with acting(tenant):
        stream_id = stream_open(kind="run", subject_id=uuid.uuid4())
    with handlers(first=note, second=note):
        run = started(tenant, "first", "second", stream_id=stream_id)
        with acting(tenant):
            claim = run_claim(run.id)
            assert claim is not None
            record_completed(claim, StepResult())
        with operator_atomic("test"):
            WorkflowRun.objects.filter(pk=run.id).update(lease_until=timezone.now() - timedelta(seconds=1))
        advanced(tenant, run.id)
    with acting(tenant):
        told = [event["type"] for event in LiveStream.objects.get(pk=stream_id).events]
    assert told[:3] == ["step.completed", "restart", "step.started"]
