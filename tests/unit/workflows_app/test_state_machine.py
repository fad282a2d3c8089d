"""Workers, messages, deaths and controls in any order: the engine keeps its promises whatever happens.

The machine drives the services themselves, step by step, as threads of many workers would interleave them: claims
are kept by imagined workers that record later, die, or come back after another has taken their run.
"""

import os
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models.functions import Now
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from accounts_app.tenancy.context import Tenant, operator_context
from tests.factories.workflows import acting, made_up_config, owner
from workflows_app.contracts import StepResult
from workflows_app.engine.state import state_rebuilt
from workflows_app.exceptions import LeaseLost, RunActive, RunStateConflict
from workflows_app.models import StepRun, WorkflowRun
from workflows_app.selectors import run_events, run_facts, run_get
from workflows_app.services import reaper
from workflows_app.services.claims import Claim, attempt_of, run_claim
from workflows_app.services.controls import run_cancel, run_pause, run_resume, run_retry, run_signal
from workflows_app.services.local_steps import Done, done_now
from workflows_app.services.records import (
    record_again,
    record_announced,
    record_completed,
    record_failed,
    record_released,
    record_row,
    record_stopped,
)
from workflows_app.services.runs import run_start
from workflows_app.services.store import machine_of, state_of

pytestmark = pytest.mark.django_db

STEPS: tuple[Any, ...] = (
    "first",
    {"action": "second", "retry": {"attempts": 2, "backoff": 3600, "jitter": 0}},
    {"action": "approve"},
    "third",
)
KEYS = ("first", "second", "approve", "third")
PAID = StepResult(output={"cost_usd": "1"})
ERROR = {"code": "no", "message": "No."}
ENDED = {"completed", "failed", "cancelled"}


class Engine(RuleBasedStateMachine):
    """The model: which effects were recorded for which run, and the runs' last known statuses."""

    runs: Bundle[UUID] = Bundle("runs")
    claims: Bundle[Claim] = Bundle("claims")
    tenant: Tenant
    config_id: UUID

    def __init__(self) -> None:
        super().__init__()
        self.sid = transaction.savepoint()
        self.effects: dict[UUID, list[str]] = {}
        self.was: dict[UUID, str] = {}
        self.tokens: dict[UUID, int] = {}
        self.keys: dict[str, UUID] = {}
        # Runs whose worker went away in the middle of an attempt, until another one takes them.
        self.left: set[UUID] = set()

    def teardown(self) -> None:
        transaction.savepoint_rollback(self.sid)

    @initialize(target=claims)
    def begin(self) -> Any:
        """Most of what may go wrong needs a run in a worker's hands."""
        return self.claim(self.start("a", streamed=True))

    @rule(target=runs, key=st.sampled_from("ab"), streamed=st.booleans())
    def start(self, key: str, streamed: bool) -> UUID:
        with acting(self.tenant):
            run = run_start(
                config_id=self.config_id,
                workspace_key="general",
                stage="A",
                key=f"{id(self)}-{key}",
                stream_id=uuid.uuid4() if streamed else None,
            )
        assert self.keys.setdefault(key, run.id) == run.id
        self.effects.setdefault(run.id, [])
        return run.id

    @rule(target=claims, run_id=runs)
    def claim(self, run_id: UUID) -> Any:
        with acting(self.tenant):
            before = WorkflowRun.objects.get(pk=run_id)
            claim = run_claim(run_id)
        if claim is None:
            assert not before.is_ready
            return multiple()
        assert claim.token > self.tokens.get(run_id, 0)
        self.tokens[run_id] = claim.token
        self.left.discard(run_id)
        self._note_approval(run_id)
        return claim

    @rule(target=claims, claim=claims, release=st.booleans())
    def complete(self, claim: Claim, release: bool) -> Any:
        if claim.attempt is None:
            return multiple()
        following = self._records(claim, lambda: record_completed(claim, PAID, release=release))
        if following is None:
            return multiple()
        if following.ended:
            self.effects[claim.run.pk].append(claim.attempt.step.key)
        self._note_approval(claim.run.pk)
        return following

    @rule(target=claims, claim=claims, release=st.booleans())
    def complete_row(self, claim: Claim, release: bool) -> Any:
        """All steps that a worker would come to were local: it did them, and writes them together."""
        if claim.attempt is None:
            return multiple()
        done, machine = [done_now(claim, PAID)], machine_of(claim.run)
        machine.completed(PAID)
        while (following := attempt_of(claim.run, machine)) is not None:
            done.append(Done(following, PAID, time.monotonic()))
            machine.completed(PAID)
        written = self._records(claim, lambda: record_row(claim, done, release=release))
        if written is None:
            return multiple()
        # A refusal that came meanwhile has ended the approval behind them: that one failed.
        self.effects[claim.run.pk] += [step.key for step in written.ended if step.status == "completed"]
        self._note_approval(claim.run.pk)
        return written

    @rule(target=claims, claim=claims, may_pass=st.booleans())
    def fail(self, claim: Claim, may_pass: bool) -> Any:
        if claim.attempt is None:
            return multiple()
        return self._records(claim, lambda: record_failed(claim, ERROR, may_pass=may_pass)) or multiple()

    @rule(target=claims, claim=claims)
    def pause_over(self, claim: Claim) -> Any:
        """The short pause before another try is over."""
        if claim.attempt is not None or not claim.pause_seconds:
            return multiple()
        return self._records(claim, lambda: record_again(claim)) or multiple()

    @rule(claim=claims)
    def leave(self, claim: Claim) -> None:
        """A step is left only when its run is to end."""
        with acting(self.tenant):
            asked = WorkflowRun.objects.get(pk=claim.run.pk).cancel_requested_at is not None
        if claim.attempt is not None and asked:
            self._records(claim, lambda: record_stopped(claim))

    @rule(claim=claims)
    def release(self, claim: Claim) -> None:
        with acting(self.tenant):
            record_released(claim)
        self.left.add(claim.run.pk)

    @rule(claim=claims)
    def announce(self, claim: Claim) -> None:
        with acting(self.tenant):
            if run_get(claim.run.pk).is_finished:
                record_announced(claim)

    @rule(run_id=runs)
    def silence(self, run_id: UUID) -> None:
        """The run's worker, if it has one, is not heard of for a lease."""
        with acting(self.tenant):
            held = WorkflowRun.objects.filter(pk=run_id, lease_until__isnull=False)
            held.update(lease_until=Now() - timedelta(seconds=1))
        self.left.add(run_id)

    @rule(target=claims, claim=claims)
    def take_over(self, claim: Claim) -> Any:
        """A worker falls silent and another takes its run; the first may still come back."""
        self.silence(claim.run.pk)
        return self.claim(claim.run.pk)

    @rule(run_id=runs)
    def time_passes(self, run_id: UUID) -> None:
        """What the run waits for by the clock has come, and a step that was asked to stop had time enough for it."""
        with acting(self.tenant):
            run = WorkflowRun.objects.filter(pk=run_id)
            run.filter(due_at__isnull=False).update(due_at=Now() - timedelta(seconds=1))
            run.filter(cancel_requested_at__isnull=False).update(cancel_requested_at=Now() - timedelta(days=1))

    @rule()
    def reap(self) -> None:
        with operator_context("test"), transaction.atomic():
            reaper.runs_reap()

    @rule(run_id=runs)
    def cancel(self, run_id: UUID) -> None:
        with acting(self.tenant):
            run_cancel(run_id=run_id)

    @rule(run_id=runs)
    def pause(self, run_id: UUID) -> None:
        with acting(self.tenant):
            ended = run_get(run_id).is_finished
            try:
                run_pause(run_id=run_id)
            except RunStateConflict:
                assert ended

    @rule(run_id=runs)
    def resume(self, run_id: UUID) -> None:
        with acting(self.tenant):
            row = WorkflowRun.objects.get(pk=run_id)
            pausing = row.status == "paused" or (row.pause_requested_at is not None and not row.is_finished)
            try:
                run_resume(run_id=run_id)
            except RunStateConflict:
                assert not pausing

    @rule(run_id=runs, approved=st.booleans())
    def answer(self, run_id: UUID, approved: bool) -> None:
        with acting(self.tenant):
            ended = run_get(run_id).is_finished
            try:
                run_signal(run_id=run_id, name="approve", data={"approved": approved})
            except RunStateConflict:
                assert ended

    @rule(run_id=runs)
    def retry_run(self, run_id: UUID) -> None:
        with acting(self.tenant):
            before = run_get(run_id).status
            try:
                run_retry(run_id=run_id)
            except (RunStateConflict, RunActive):
                assert before != "failed"
            else:
                assert before == "failed"
                self.was[run_id] = "pending"

    @invariant()
    def promises_hold(self) -> None:
        with acting(self.tenant):
            for run_id, effects in self.effects.items():
                self._check(run_id, effects)

    def _check(self, run_id: UUID, effects: list[str]) -> None:
        run, row = run_get(run_id), WorkflowRun.objects.get(pk=run_id)
        # 1. Each step's effect is there once, in order, and the cursor stands behind the last.
        assert effects == list(KEYS[: run.cursor])
        completed = StepRun.objects.filter(run_id=run_id, status="completed").order_by("position")
        assert [step.key for step in completed] == effects
        assert run.cost_usd == len([key for key in effects if key != "approve"])
        # 2. What has ended stays ended, unless somebody takes a failed run up again.
        assert self.was.get(run_id) not in ENDED or self.was[run_id] == run.status
        self.was[run_id] = run.status
        # 3. Completed means all steps; no attempt is under way in a run that has ended, rests or waits. One whose
        # worker went away is found lost by whoever takes the run next; till then somebody may pause and resume it.
        assert (run.status == "completed") == (run.cursor == len(KEYS))
        assert row.attempt == 0 or run.status == "running" or run_id in self.left
        # 4. The log has no gap and no fork, and the run can be rebuilt from it alone.
        events = run_events(run_id)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.prev_event_id for event in events] == [None, *(event.id for event in events[:-1])]
        assert state_rebuilt(run_facts(run_id)) == state_of(row)
        # 5. Tokens only grow; a run without readers needs nobody after its end.
        assert row.token >= self.tokens.get(run_id, 0)
        assert not (run.is_finished and run.stream_id is None and row.announced_at is None)
        # 6. Nothing is forgotten: what is left to do is in the queue or held, waits for something, or rests.
        assert row.announced_at is not None or row.is_ready or row.lease_until is not None or self._rests(row)

    def _rests(self, row: WorkflowRun) -> bool:
        if row.status == "paused":
            return True
        return row.status == "waiting" and (row.due_at is not None or not machine_of(row).awaits_nothing())

    def _note_approval(self, run_id: UUID) -> None:
        """An approval is an effect that no worker records: it happens when the run is taken up."""
        with acting(self.tenant):
            approved = StepRun.objects.filter(run_id=run_id, key="approve", status="completed").exists()
        if approved and "approve" not in self.effects[run_id]:
            self.effects[run_id].append("approve")

    def _records(self, claim: Claim, record: Callable[[], Claim]) -> Claim | None:
        """What was recorded; it must be refused exactly when the claim is not the newest any more."""
        with acting(self.tenant):
            row = WorkflowRun.objects.get(pk=claim.run.pk)
            is_newest = row.token == claim.token and not row.is_finished
            moved_on = attempt_of(row, machine_of(row)) != claim.attempt
            try:
                following = record()
            except LeaseLost:
                assert not is_newest
                return None
            assert is_newest
            # A worker that repeats itself changes nothing.
            assert not (moved_on and following.ended)
            return following


def test_promises_hold_in_any_interleaving(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WORKFLOW_MAX_CRASHES = 2
    # Time passes where a rule says so: what happens must not depend on how slow the machine is.
    settings.WORKFLOW_LEASE_SECONDS = 3600
    monkeypatch.setattr(reaper, "_CANCEL_PATIENCE", timedelta(hours=1))
    tenant = owner()
    config = made_up_config(tenant, *STEPS)
    machine = type("Machine", (Engine,), {"tenant": tenant, "config_id": config.pk})
    run_state_machine_as_test(machine, settings=_settings())


def _settings() -> settings:
    return settings(
        # make chaos asks for many more.
        max_examples=int(os.environ.get("ENGINE_EXAMPLES", "25")),
        stateful_step_count=40,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
