"""Branches, called workflows, controls and replays with the database and real handlers of the test's own."""

import uuid
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from accounts_app.exceptions import Conflict, InvalidInput, NotFound
from accounts_app.tenancy.context import Tenant, bound, operator_context
from tests.factories.workflows import acting, handlers, owner
from workflows_app.contracts import Json, RunDetail, StepContext, StepResult
from workflows_app.engine.state import state_rebuilt
from workflows_app.exceptions import RunStateConflict, StepFailed
from workflows_app.models import ConfigStatus, WorkflowConfig, WorkflowRun
from workflows_app.selectors import run_events, run_facts, run_get, run_steps
from workflows_app.services.controls import run_cancel, run_pause, run_resume, run_retry, run_signal
from workflows_app.services.execution import run_advance
from workflows_app.services.reaper import runs_reap
from workflows_app.services.replays import run_replay
from workflows_app.services.runs import execution_start
from workflows_app.services.store import state_of

pytestmark = pytest.mark.usefixtures("committed_db")


def template(tenant: Tenant, stages: Json, *, name: str = "", **fields: object) -> str:
    """Publish a workflow without validation: its handlers may come later. Returns its name."""
    name = name or f"t-{uuid.uuid4().hex[:12]}"
    document = {"workspace": "general", "version": "1.0.0", "stages": stages, "defaults": {"start": next(iter(stages))}}
    with acting(tenant):
        WorkflowConfig.objects.create(
            organization_id=tenant.organization_id,
            workspace_id="general",
            version="1.0.0",
            name=name,
            status=ConfigStatus.PUBLISHED,
            published_at=timezone.now(),
            config=document | fields,
        )
    return name


def stage(*steps: Json | str, **fields: object) -> Json:
    return {"name": "S", "steps": [{"action": step} if isinstance(step, str) else step for step in steps]} | fields


def begun(tenant: Tenant, name: str, context: Json | None = None) -> UUID:
    with acting(tenant):
        return execution_start(template=name, context=context or {}, key=uuid.uuid4().hex).id


def played(tenant: Tenant, run_id: UUID) -> RunDetail:
    """Carry on the organization's runs until none is ready."""
    while ready := _ready(tenant):
        for ready_id in ready:
            with bound(tenant):
                run_advance(run_id=ready_id)
    with acting(tenant):
        row = WorkflowRun.objects.get(pk=run_id)
        assert state_rebuilt(run_facts(run_id)) == state_of(row)
        return run_get(run_id)


def _ready(tenant: Tenant) -> list[UUID]:
    with acting(tenant):
        own = WorkflowRun.objects.filter(organization__pk__in=[tenant.organization_id], is_ready=True)
        return list(own.values_list("id", flat=True))


def double(ctx: StepContext) -> StepResult:
    if ctx.context["item"] == 13:
        raise StepFailed("Unlucky.")
    return StepResult(output={"cost_usd": "0.25"}, set={"twice": ctx.context["item"] * 2})


def fine(ctx: StepContext) -> StepResult:
    return StepResult(output={"cost_usd": "1"}, set={ctx.step_key: ctx.attempt})


def test_branches_are_carried_out_by_themselves_and_gathered_in_order() -> None:
    tenant = owner()
    parallel = {"over": "context.numbers", "max": 2}
    name = template(tenant, {"A": stage("double", parallel=parallel, next="B"), "B": stage("fine")})
    with handlers(double=double, fine=fine):
        run = played(tenant, begun(tenant, name, {"numbers": [3, 1, 2]}))
    assert (run.status, run.stage) == ("completed", "B")
    assert [item["twice"] for item in run.context["results"]] == [6, 2, 4]
    assert str(run.cost_usd) == "1.7500000000"
    with acting(tenant):
        children = WorkflowRun.objects.filter(parent_id=run.id).order_by("branch")
        assert [(child.branch, child.status) for child in children] == [
            (0, "completed"),
            (1, "completed"),
            (2, "completed"),
        ]


def test_a_failed_branch_fails_its_parent_and_a_retry_does_the_stage_again() -> None:
    tenant = owner()
    name = template(tenant, {"A": stage("double", parallel={"over": "context.numbers"})})
    with handlers(double=double):
        run = played(tenant, begun(tenant, name, {"numbers": [1, 13]}))
        assert run.error is not None
        assert (run.status, run.error["message"]) == ("failed", "Unlucky.")
        with acting(tenant):
            child = WorkflowRun.objects.filter(parent_id=run.id, status="failed").get()
            with pytest.raises(RunStateConflict):
                run_retry(run_id=child.pk)
            run_retry(run_id=run.id)
        assert played(tenant, run.id).status == "failed"
    with acting(tenant):
        assert WorkflowRun.objects.filter(parent_id=run.id).count() == 4


def test_a_cancelled_parent_takes_its_children_along() -> None:
    tenant = owner()
    name = template(tenant, {"A": stage("double", parallel={"over": "context.numbers"})})
    with handlers(double=double):
        run_id = begun(tenant, name, {"numbers": [1, 2]})
        with bound(tenant):
            run_advance(run_id=run_id)
        with acting(tenant):
            assert run_cancel(run_id=run_id).status == "cancelled"
        with operator_context("test"):
            runs_reap()
    with acting(tenant):
        assert {child.status for child in WorkflowRun.objects.filter(parent_id=run_id)} == {"cancelled"}


def test_a_workflow_calls_another_and_takes_its_result() -> None:
    tenant = owner()
    inner = template(tenant, {"A": stage("fine")})
    call = {"action": "run", "via": "workflow/run", "with": inner, "params": {"input": {"x": 1}, "into": "answer"}}
    outer = template(tenant, {"A": stage(call, "fine")})
    with handlers(fine=fine):
        run = played(tenant, begun(tenant, outer))
    assert (run.status, run.context["answer"]) == ("completed", {"fine": 1, "x": 1})


def test_a_workflow_that_calls_what_is_not_there_fails_with_that() -> None:
    tenant = owner()
    outer = template(tenant, {"A": stage({"action": "run", "via": "workflow/run", "with": "nowhere"})})
    run = played(tenant, begun(tenant, outer))
    assert run.error is not None
    assert (run.status, run.error["code"]) == ("failed", "not_found")


def test_a_workflow_that_calls_itself_ends() -> None:
    tenant = owner()
    name = f"t-{uuid.uuid4().hex[:12]}"
    template(tenant, {"A": stage({"action": "run", "via": "workflow/run", "with": name})}, name=name)
    run = played(tenant, begun(tenant, name))
    assert run.status == "failed"
    with acting(tenant):
        assert WorkflowRun.objects.filter(organization__pk__in=[tenant.organization_id]).count() < 12


def test_a_paused_run_rests_until_it_is_resumed() -> None:
    tenant = owner()
    name = template(tenant, {"A": stage("fine")})
    with handlers(fine=fine):
        run_id = begun(tenant, name)
        with acting(tenant):
            assert run_pause(run_id=run_id).status == "paused"
            assert run_pause(run_id=run_id).status == "paused"
        assert played(tenant, run_id).status == "paused"
        with acting(tenant):
            assert run_resume(run_id=run_id).status == "pending"
            with pytest.raises(RunStateConflict):
                run_resume(run_id=run_id)
        assert played(tenant, run_id).status == "completed"
    with acting(tenant):
        for call in (run_pause, run_resume):
            with pytest.raises(RunStateConflict):
                call(run_id=run_id)


def test_a_run_pauses_after_the_step_that_is_under_way() -> None:
    tenant = owner()
    ids: list[UUID] = []

    def pausing(ctx: StepContext) -> StepResult:
        with acting(tenant):
            assert run_pause(run_id=ids[0]).status == "running"
        return StepResult()

    name = template(tenant, {"A": stage("pausing", "fine")})
    with handlers(pausing=pausing, fine=fine):
        ids.append(begun(tenant, name))
        run = played(tenant, ids[0])
        assert (run.status, run.cursor) == ("paused", 1)
        with acting(tenant):
            run_resume(run_id=run.id)
        assert played(tenant, run.id).status == "completed"


def test_a_signal_that_comes_while_a_step_is_done_is_not_lost() -> None:
    tenant = owner()
    ids: list[UUID] = []

    def signalling(ctx: StepContext) -> StepResult:
        with acting(tenant):
            run_signal(run_id=ids[0], name="approve", data={"approved": True})
        return StepResult(output={"cost_usd": "1"})

    name = template(tenant, {"A": stage("signalling", "approve", "fine")})
    with handlers(signalling=signalling, fine=fine):
        ids.append(begun(tenant, name))
        run = played(tenant, ids[0])
    assert (run.status, str(run.cost_usd)) == ("completed", "2.0000000000")


def test_approval_wakes_the_run_and_names_who_gave_it() -> None:
    tenant = owner()
    name = template(tenant, {"A": stage("approve", "fine")})
    with handlers(fine=fine):
        run = played(tenant, begun(tenant, name))
        assert (run.status, (run.wait or {})["kind"]) == ("waiting", "approval")
        with acting(tenant):
            run_signal(run_id=run.id, name="approve", data={"approved": True, "note": "Good."})
        run = played(tenant, run.id)
    assert run.status == "completed"
    assert run.context["approval"] == {"approved": True, "note": "Good.", "user_id": str(tenant.user_id)}


def test_a_replay_shares_the_history_and_pays_only_for_the_rest() -> None:
    calls: list[str] = []

    def count(ctx: StepContext) -> StepResult:
        calls.append(ctx.step_key)
        return StepResult(output={"cost_usd": "1"}, set={ctx.step_key: str(ctx.run_id)})

    tenant = owner()
    name = template(tenant, {"A": stage("one", "two", "three")})
    with handlers(one=count, two=count, three=count):
        first = played(tenant, begun(tenant, name))
        with acting(tenant):
            after_one = next(event.seq for event in run_events(first.id) if event.type == "step.completed")
            again = run_replay(run_id=first.id, seq=after_one, key="k", params={"tone": "dry"})
            assert run_replay(run_id=first.id, seq=after_one, key="k", params={"tone": "dry"}) == again
            with pytest.raises(Conflict):
                run_replay(run_id=first.id, seq=after_one + 1, key="k")
        second = played(tenant, again.id)
    assert calls == ["one", "two", "three", "two", "three"]
    assert (second.status, second.origin_id, second.origin_seq) == ("completed", first.id, after_one)
    assert (second.context["one"], second.context["two"]) == (str(first.id), str(second.id))
    assert second.context["params"] == {"tone": "dry"}
    with acting(tenant):
        shared = [event.type for event in run_events(second.id)][: after_one + 1]
        assert shared == [*[event.type for event in run_events(first.id)][:after_one], "run.forked"]
        assert [step.key for step in run_steps(second.id)] == ["two", "three"]


def test_a_replay_needs_an_event_with_something_after_it() -> None:
    tenant = owner()
    name = template(tenant, {"A": stage("fine")})
    with handlers(fine=fine):
        run = played(tenant, begun(tenant, name))
    with acting(tenant):
        with pytest.raises(InvalidInput):
            run_replay(run_id=run.id, seq=99, key="k")
        with pytest.raises(RunStateConflict):
            run_replay(run_id=run.id, seq=len(run_events(run.id)), key="k")
        with pytest.raises(NotFound):
            run_replay(run_id=uuid.uuid4(), seq=1, key="k")
    with acting(owner()), pytest.raises(NotFound):
        run_replay(run_id=run.id, seq=1, key="k")


def test_a_timer_wakes_by_the_databases_clock() -> None:
    tenant = owner()
    wait = {"action": "wait", "params": {"seconds": 0.2}}
    name = template(tenant, {"A": stage(wait, "fine")})
    with handlers(fine=fine):
        run = played(tenant, begun(tenant, name))
        assert run.status == "waiting"
        with acting(tenant):
            WorkflowRun.objects.filter(pk=run.id).update(due_at=timezone.now())
        with operator_context("test"), transaction.atomic():
            runs_reap()
        assert played(tenant, run.id).status == "completed"
