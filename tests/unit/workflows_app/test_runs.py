"""Starting runs, and what the database itself refuses."""

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts_app.exceptions import Conflict, InvalidInput, NotFound
from accounts_app.models import AuditLog
from accounts_app.tenancy.context import Tenant, operator_atomic
from tests.factories.workflows import acting, made_up_config, owner, started
from workflows_app.contracts import StepSpec
from workflows_app.exceptions import RunActive
from workflows_app.models import RunEvent, StepRun, WorkflowRun
from workflows_app.selectors import run_events, run_get, run_steps, runs_for_subject
from workflows_app.services.configs import config_draft_create, config_for
from workflows_app.services.controls import run_cancel, run_retry
from workflows_app.services.runs import run_start
from workflows_app.services.seeds import seed_documents

pytestmark = pytest.mark.django_db


@pytest.fixture
def tenant() -> Tenant:
    return owner()


def article(tenant: Tenant, **fields: Any) -> Any:
    with acting(tenant):
        values: dict[str, Any] = {"workspace_key": "article", "stage": "A", "key": uuid.uuid4().hex}
        values["config_id"] = config_for("article").id
        return run_start(**(values | fields))


def test_a_run_keeps_a_snapshot_of_its_steps(tenant: Tenant) -> None:
    run = article(tenant, context={"brief": "b"})
    with acting(tenant):
        detail = run_get(run.id)
    assert (run.status, run.stage, detail.next_stage, detail.context) == ("pending", "A", "D", {"brief": "b"})
    assert [(step.key, step.handler, step.template) for step in detail.steps] == [
        ("save_brief", "save_brief", ""),
        ("topic_select", "linter", ""),
        ("generate", "apply", "draft_template"),
        ("review", "linter", ""),
        ("optimize", "bootstrap/rewrite", ""),
    ]
    assert not detail.is_finished


def test_a_run_is_begun_with_its_events(tenant: Tenant) -> None:
    run = article(tenant)
    with acting(tenant):
        assert [event.type for event in run_events(run.id)] == ["run.created"]
        assert run_events(run.id, after=1) == ()
        assert run_steps(run.id) == ()


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("linter", ["topic_select", "review"]),
        ("apply", ["generate"]),
        ("rewrite", ["optimize"]),
        ("bootstrap/rewrite", ["optimize"]),
        ("generate", ["generate"]),
        ("save_brief", ["save_brief"]),
    ],
)
def test_a_filter_picks_steps_by_key_action_or_via(tenant: Tenant, name: str, keys: list[str]) -> None:
    run = article(tenant, step_filter=name)
    with acting(tenant):
        assert [step.key for step in run_get(run.id).steps] == keys


def test_other_steps_may_be_given_instead(tenant: Tenant) -> None:
    step = StepSpec(key="eval", action="eval", via="eval/run", template="article_basics")
    run = article(tenant, steps=(step,))
    with acting(tenant):
        assert run_get(run.id).steps == (step,)
    with pytest.raises(InvalidInput):
        article(tenant, steps=(step, step))


@pytest.mark.parametrize(("fields", "field"), [({"stage": "Z"}, "stage"), ({"step_filter": "dance"}, "action")])
def test_what_the_workflow_does_not_have_is_named(tenant: Tenant, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        article(tenant, **fields)
    assert [item.field for item in caught.value.details] == [field]


def test_the_same_key_starts_once(tenant: Tenant) -> None:
    first, second = article(tenant, key="once"), article(tenant, key="once")
    assert first == second
    with pytest.raises(Conflict):
        article(tenant, key="once", stage="B")
    assert article(owner(), key="once").id != first.id


def test_a_subject_has_one_active_run(tenant: Tenant) -> None:
    subject = uuid.uuid4()
    first = article(tenant, subject_id=subject)
    with pytest.raises(RunActive):
        article(tenant, subject_id=subject)
    with acting(tenant):
        run_cancel(run_id=first.id)
    article(tenant, subject_id=subject)
    with acting(tenant):
        assert [run.status for run in runs_for_subject(subject)] == ["pending", "cancelled"]


def test_only_published_versions_run(tenant: Tenant) -> None:
    with acting(tenant):
        draft = config_draft_create(workspace_key="article", document=seed_documents()[0] | {"version": "2.0.0"})
    with pytest.raises(NotFound):
        article(tenant, config_id=draft.pk)
    with pytest.raises(NotFound):
        article(tenant, workspace_key="general")


def test_another_organizations_runs_are_not_there(tenant: Tenant) -> None:
    run, config = started(tenant, "first"), made_up_config(tenant, "first")
    stranger = owner()
    with acting(stranger):
        assert run_events(run.id) == ()
        assert run_steps(run.id) == ()
        for call in (run_get, lambda run_id: run_cancel(run_id=run_id), lambda run_id: run_retry(run_id=run_id)):
            with pytest.raises(NotFound):
                call(run.id)
    with pytest.raises(NotFound):
        article(stranger, config_id=config.pk, workspace_key="general")


def test_cancelling_is_audited(tenant: Tenant) -> None:
    run = started(tenant, "first")
    with acting(tenant):
        run_cancel(run_id=run.id)
        assert AuditLog.objects.filter(action="run.cancel", target_id=str(run.id)).count() == 1


def test_events_cannot_be_changed_or_removed(tenant: Tenant) -> None:
    run = started(tenant, "first")
    with acting(tenant):
        events = RunEvent.objects.filter(run_id=run.id)
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            events.update(type="x")
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            events.delete()


def row(tenant: Tenant, **fields: Any) -> WorkflowRun:
    config = made_up_config(tenant, "first")
    values: dict[str, Any] = {"config": config, "workspace_key": "general", "stage": "A", "steps": []}
    values |= {"organization_id": tenant.organization_id, "idempotency_key": uuid.uuid4()}
    with acting(tenant):
        return WorkflowRun.objects.create(**(values | fields))


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"idempotency_key": "once"}, "run_key_once"),
        ({"subject_id": uuid.UUID(int=1)}, "run_one_active_per_subject"),
        ({"status": "lost"}, "run_status_known"),
        ({"status": "completed"}, "run_finished_at_paired"),
        ({"finished_at": timezone.now()}, "run_finished_at_paired"),
        ({"status": "failed", "finished_at": timezone.now()}, "run_error_paired"),
        ({"error": {"code": "x"}}, "run_error_paired"),
        ({"status": "waiting", "is_ready": False}, "run_wait_paired"),
        ({"status": "paused"}, "run_ready_is_free"),
        ({"lease_until": timezone.now()}, "run_ready_is_free"),
    ],
)
@pytest.mark.odd_runs("rows made by hand")
def test_constraints_of_runs(tenant: Tenant, fields: dict[str, Any], constraint: str) -> None:
    row(tenant, idempotency_key="once", subject_id=uuid.UUID(int=1))
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        row(tenant, **fields)


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"attempt": 1}, "step_attempt_once"),
        ({}, "step_completed_once"),
        ({"status": "odd"}, "step_status_ended"),
        ({"status": "running"}, "step_status_ended"),
        ({"finished_at": None}, "finished_at"),
    ],
)
@pytest.mark.odd_runs("rows made by hand")
def test_constraints_of_steps(tenant: Tenant, fields: dict[str, Any], constraint: str) -> None:
    run, now = row(tenant), timezone.now()

    def step(**values: Any) -> StepRun:
        given: dict[str, Any] = {
            "key": "k",
            "path": "A/k",
            "position": 0,
            "action": "k",
            "attempt": 2,
            "status": "completed",
        }
        given |= {"run": run, "organization_id": tenant.organization_id, "started_at": now, "finished_at": now}
        with acting(tenant):
            return StepRun.objects.create(**(given | values))

    step(attempt=1)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        step(**fields)


@pytest.mark.odd_runs("rows made by hand")
def test_constraints_of_events(tenant: Tenant) -> None:
    run = row(tenant)
    with acting(tenant):
        common = {"organization_id": tenant.organization_id, "run": run, "type": "x"}
        first = RunEvent.objects.create(**common, seq=1)
        RunEvent.objects.create(**common, seq=2, prev_event_id=first.pk)
        with pytest.raises(IntegrityError, match=r"seq_key|event_seq_once"), transaction.atomic():
            RunEvent.objects.create(**common, seq=2, prev_event_id=uuid.uuid4())
        for previous in (first.pk, None):
            with pytest.raises(IntegrityError, match=r"prev_event_id_key|event_chain_unforked"), transaction.atomic():
                RunEvent.objects.create(**common, seq=3, prev_event_id=previous)


def test_operators_see_all_runs(tenant: Tenant) -> None:
    run = started(tenant, "first")
    with operator_atomic("test"):
        assert WorkflowRun.objects.filter(pk=run.id).exists()
