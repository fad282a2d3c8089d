"""Workers, messages, deaths and controls in any order: the engine keeps its promises whatever happens.

The machine drives the services themselves, step by step, as threads of many workers would interleave them: claims
are kept by imagined workers that record later, die, or come back after another has taken their run.
"""

import uuid
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
from workflows_app.exceptions import LeaseLost, RunActive, RunStateConflict
from workflows_app.models import StepRun, WorkflowRun
from workflows_app.selectors import run_events, run_get
from workflows_app.services.claims import Claim, run_claim, unheld
from workflows_app.services.reaper import runs_reap
from workflows_app.services.records import (
    record_announced,
    record_cancelled,
    record_completed,
    record_failed,
    record_released,
    record_retry,
)
from workflows_app.services.controls import run_cancel, run_retry
from workflows_app.services.runs import run_start

pytestmark = pytest.mark.django_db

STEPS = ("first", "second", "third")
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
            claim = run_claim(run_id)
        if claim is None:
            return multiple()
        assert claim.token > self.tokens.get(run_id, 0)
        self.tokens[run_id] = claim.token
        return claim

    @rule(claim=claims, release=st.booleans())
    def complete(self, claim: Claim, release: bool) -> None:
        if self._records(claim, lambda: record_completed(claim, StepResult(output={"cost_usd": "1"}), release=release)):
            self.effects[claim.run.pk].append(claim.step.key)

    @rule(claim=claims)
    def fail(self, claim: Claim) -> None:
        self._records(claim, lambda: record_failed(claim, ERROR))

    @rule(claim=claims)
    def retry_step(self, claim: Claim) -> None:
        self._records(claim, lambda: record_retry(claim, ERROR))

    @rule(claim=claims)
    def leave(self, claim: Claim) -> None:
        self._records(claim, lambda: record_cancelled(claim))

    @rule(claim=claims)
    def release(self, claim: Claim) -> None:
        with acting(self.tenant):
            record_released(claim)

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

    @rule(target=claims, claim=claims)
    def take_over(self, claim: Claim) -> Any:
        """A worker falls silent and another takes its run; the first may still come back."""
        self.silence(claim.run.pk)
        return self.claim(claim.run.pk)

    @rule()
    def reap(self) -> None:
        with operator_context("test"), transaction.atomic():
            runs_reap()

    @rule(run_id=runs)
    def cancel(self, run_id: UUID) -> None:
        with acting(self.tenant):
            run_cancel(run_id=run_id)

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
        assert effects == list(STEPS[: run.cursor])
        completed = StepRun.objects.filter(run_id=run_id, status="completed").order_by("position")
        assert [step.key for step in completed] == effects
        assert run.cost_usd == len(effects)
        # 2. What has ended stays ended, unless somebody takes a failed run up again.
        assert self.was.get(run_id) not in ENDED or self.was[run_id] == run.status
        self.was[run_id] = run.status
        # 3. Completed means all steps; at most one attempt runs, and none of an ended run.
        assert (run.status == "completed") == (run.cursor == len(STEPS))
        assert StepRun.objects.filter(run_id=run_id, status="running").count() <= (0 if run.is_finished else 1)
        # 4. The log has no gap and no fork.
        events = run_events(run_id)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.prev_event_id for event in events] == [None, *(event.id for event in events[:-1])]
        # 5. Tokens only grow; a run without readers needs nobody after its end.
        assert row.token >= self.tokens.get(run_id, 0)
        assert not (run.is_finished and run.stream_id is None and row.announced_at is None)
        # 6. Nothing is forgotten: what is left to do is held, or the reaper finds it.
        found = WorkflowRun.objects.filter(unheld(), pk=run_id).exists()
        assert row.announced_at is not None or row.lease_until is not None or found

    def _records(self, claim: Claim, record: Any) -> bool:
        """Whether the record was accepted; it must be refused exactly when the claim is not the newest any more."""
        if claim.step_run is None:
            return False
        with acting(self.tenant):
            row = WorkflowRun.objects.get(pk=claim.run.pk)
            current = (row.token, row.cursor, row.status) == (claim.token, claim.run.cursor, claim.run.status)
            attempt = StepRun.objects.get(pk=claim.step_run.pk)
            if current and attempt.status != "running":
                return False  # the same worker has begun the next attempt: it does not come back to this one
            try:
                record()
            except LeaseLost:
                assert not current
                return False
        assert current
        return True


def test_promises_hold_in_any_interleaving(settings: Any) -> None:
    settings.WORKFLOW_MAX_CRASHES = 2
    tenant = owner()
    config = made_up_config(tenant, *STEPS)
    machine = type("Machine", (Engine,), {"tenant": tenant, "config_id": config.pk})
    run_state_machine_as_test(machine, settings=_settings())


def _settings() -> settings:
    return settings(
        max_examples=25,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
