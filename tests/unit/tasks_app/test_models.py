"""What the database itself refuses, whoever asks."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from tasks_app.contracts import EventDraft
from tasks_app.models import Task, TaskEvent, TaskRequest
from tasks_app.services.events import event_append
from tests.factories.accounts import Person, person
from tests.factories.tasks import make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> Person:
    return person()


def refused(name: str, **changes: Any) -> None:
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        Task.objects.update(**changes)


def event_of(task: Task, **fields: Any) -> TaskEvent:
    values: dict[str, Any] = {
        "organization_id": task.organization_id,
        "task": task,
        "seq": 2,
        "event_key": "test",
        "prev_event_id": task.last_event_id,
    }
    return TaskEvent(**(values | fields))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("task_status_known", {"status": "running"}),
        ("task_running_fields_together", {"active_run_id": uuid4()}),
        ("task_running_fields_together", {"active_stream_id": uuid4()}),
        ("task_running_fields_together", {"active_action": "generate"}),
        ("task_totals_not_negative", {"cost_usd": -1}),
        ("task_totals_not_negative", {"pending_cost_usd": -1}),
        ("task_totals_not_negative", {"input_tokens": -1}),
        ("task_totals_not_negative", {"output_tokens": -1}),
        (
            "task_only_active_runs",
            {"status": "archived", "active_run_id": uuid4(), "active_stream_id": uuid4(), "active_action": "apply"},
        ),
    ],
)
def test_task_constraint(ada: Person, name: str, changes: dict[str, Any]) -> None:
    with ada.at_work():
        make_task()
        refused(name, **changes)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("task_event_number_once", {"seq": 1, "prev_event_id": None}),
        ("task_event_first_has_no_previous", {"seq": 2, "prev_event_id": None}),
        ("task_event_first_has_no_previous", {"seq": 1}),
        ("task_event_usage_not_negative", {"cost_usd": -1}),
        ("task_event_usage_not_negative", {"input_tokens": -1}),
        ("task_event_usage_not_negative", {"output_tokens": -1}),
    ],
)
def test_event_constraint(ada: Person, name: str, fields: dict[str, Any]) -> None:
    with ada.at_work():
        task = make_task()
        if name == "task_event_number_once":
            # Another chain constraint would be first in line: leave only the number in question.
            event_append(task=task, draft=EventDraft("a"))
            event_append(task=task, draft=EventDraft("b"))
            fields = {"seq": 2, "prev_event_id": task.last_event_id}
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            event_of(task, **fields).save(force_insert=True)


def test_chain_cannot_fork(ada: Person) -> None:
    with ada.at_work():
        task = make_task()
        first = task.last_event_id
        event_append(task=task, draft=EventDraft("a"))
        with pytest.raises(IntegrityError, match="task_event_chain_unforked"), transaction.atomic():
            event_of(task, seq=3, prev_event_id=first).save(force_insert=True)


def test_chain_cannot_begin_twice(ada: Person) -> None:
    with ada.at_work():
        task = make_task()
        with pytest.raises(IntegrityError, match=r"task_event_(chain_unforked|number_once)"), transaction.atomic():
            event_of(task, seq=1, prev_event_id=None).save(force_insert=True)


def test_chain_stays_in_its_task(ada: Person) -> None:
    with ada.at_work():
        task, other = make_task(), make_task()
        with pytest.raises(IntegrityError, match="task_event_chain_in_task"), transaction.atomic():
            event_of(task, prev_event_id=other.last_event_id).save(force_insert=True)


@pytest.mark.parametrize("statement", ["UPDATE task_events SET event_key = 'x'", "DELETE FROM task_events"])
def test_events_are_append_only(ada: Person, statement: str) -> None:
    with ada.at_work():
        make_task()
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_request_constraints(ada: Person) -> None:
    with ada.at_work():
        values = {"organization_id": ada.organization_id, "fingerprint": "f"}
        TaskRequest.objects.create(key="k", **values)
        with pytest.raises(IntegrityError, match="task_request_key_once"), transaction.atomic():
            TaskRequest.objects.create(key="k", **values)
        with pytest.raises(IntegrityError, match="task_request_key_not_empty"), transaction.atomic():
            TaskRequest.objects.create(key="", **values)


def test_another_organization_sees_and_changes_nothing(ada: Person) -> None:
    with ada.at_work():
        task = make_task()
    bob = person()
    with bob.at_work():
        assert not Task.objects.exists()
        assert not TaskEvent.objects.exists()
        assert Task.objects.filter(pk=task.pk).update(title="mine") == 0
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            event_of(task).save(force_insert=True)
