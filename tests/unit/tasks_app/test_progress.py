"""What the engine and the books tell a task."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from billing_app.contracts import TokenBuckets
from tasks_app.models import Task, TaskEvent
from tests.factories.accounts import Person
from tests.factories.billing import price_of, usage_of
from tests.factories.tasks import funded, make_task, start
from tests.factories.workflows import run_ended
from workflows_app.contracts import StepDetail, StepResult
from workflows_app.selectors import run_get
from workflows_app.signals import step_finished

pytestmark = pytest.mark.django_db
USED = {"tokens": TokenBuckets(input=7, cached_input=3, output=4, reasoning=1), "cost_usd": Decimal("0.5")}


@pytest.fixture
def ada() -> Person:
    return funded()


def running(ada: Person) -> tuple[Task, UUID]:
    with ada.at_work():
        task = make_task()
        run_id = start(task).run_id
    assert run_id is not None
    return task, run_id


def used(ada: Person, task_id: UUID | None, run_id: UUID | None, charged: str = "0.4") -> None:
    with ada.at_work():
        usage_of(ada.organization_id, price_of(), task_id=task_id, run_id=run_id, charged_usd=Decimal(charged), **USED)


def stepped(ada: Person, run_id: UUID, output: dict[str, Any] | None = None) -> None:
    step = StepDetail(
        key="generate",
        action="generate",
        via="apply",
        attempt=1,
        status="completed",
        output=output or {},
        error=None,
        model="m",
        tokens=15,
        cost_usd=Decimal("0.4"),
        duration_ms=12,
    )
    with ada.at_work():
        step_finished.send(sender=None, run=run_get(run_id), step=step, result=StepResult(output=output or {}))


def ended(ada: Person, run_id: UUID, status: str, error: dict[str, Any] | None = None) -> None:
    with ada.at_work():
        run_ended(run_id, status, error=error, context={"text": "done", "brief": "b"})


def stored(ada: Person, task: Task) -> tuple[Task, list[TaskEvent]]:
    with ada.at_work():
        return Task.objects.get(pk=task.pk), list(TaskEvent.objects.filter(task=task).order_by("seq"))


def test_usage_is_borne_by_the_event_that_follows(ada: Person) -> None:
    task, run_id = running(ada)
    used(ada, task.id, run_id)
    used(ada, task.id, run_id, charged="0.1")
    now, events = stored(ada, task)
    assert (now.cost_usd, now.pending_cost_usd, len(events)) == (Decimal("0.5"), Decimal("0.5"), 2)
    stepped(ada, run_id, {"version_id": str(uuid4())})
    now, events = stored(ada, task)
    assert (now.cost_usd, now.pending_cost_usd, now.model) == (Decimal("0.5"), Decimal(0), "m")
    last = events[-1]
    assert (last.event_key, last.cost_usd, last.input_tokens, last.output_tokens) == ("apply", Decimal("0.5"), 20, 10)
    assert last.output["duration_ms"] == 12
    stepped(ada, run_id)
    assert stored(ada, task)[1][-1].cost_usd == 0


def test_call_settled_after_its_run_has_an_event_of_its_own(ada: Person) -> None:
    task, run_id = running(ada)
    ended(ada, run_id, "cancelled")
    used(ada, task.id, run_id)
    now, events = stored(ada, task)
    assert (events[-1].event_key, events[-1].cost_usd) == ("usage", Decimal("0.4"))
    assert (now.cost_usd, now.input_tokens, now.output_tokens) == (Decimal("0.4"), 10, 5)
    assert sum(event.cost_usd for event in events) == now.cost_usd


def test_usage_of_nothing_here_changes_nothing(ada: Person) -> None:
    task, run_id = running(ada)
    bob = funded()
    used(bob, task.id, run_id)
    used(ada, None, None)
    used(ada, uuid4(), uuid4())
    now, events = stored(ada, task)
    assert (now.cost_usd, len(events)) == (Decimal(0), 2)


def test_run_that_is_no_longer_the_tasks_changes_nothing(ada: Person) -> None:
    task, run_id = running(ada)
    ended(ada, run_id, "cancelled")
    before, events = stored(ada, task)
    stepped(ada, run_id)
    after, same = stored(ada, task)
    assert (after.updated_at, len(same)) == (before.updated_at, len(events))
    assert after.finished_stage == ""


def test_poison_run_marks_the_task_failed_until_it_is_tried_again(ada: Person) -> None:
    task, run_id = running(ada)
    ended(ada, run_id, "failed", {"code": "worker_lost", "message": "Worker after worker went away."})
    now, events = stored(ada, task)
    assert (now.status, now.current_stage, now.active_run_id) == ("failed", "A", None)
    assert events[-1].event_key == "failed"
    with ada.at_work():
        start(task, "A", "apply")
    assert stored(ada, task)[0].status == "active"


def test_completed_run_keeps_its_context_but_not_its_parameters(ada: Person) -> None:
    task, run_id = running(ada)
    ended(ada, run_id, "completed")
    now, _events = stored(ada, task)
    assert (now.text, now.metadata["brief"], now.current_stage, now.finished_stage) == ("done", "b", "D", "A")
    assert "params" not in now.metadata
