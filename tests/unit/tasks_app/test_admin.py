"""Operators look at tasks; nobody edits them past their services."""

import pytest
from django.urls import reverse

from tests.factories.accounts import person
from tests.factories.tasks import make_task

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", ["task", "taskevent", "taskrequest"])
def test_admin_lists_and_shows_but_changes_nothing(model: str) -> None:
    ada = person()
    with ada.at_work():
        task = make_task()
    operator = person(is_operator=True).client()
    assert operator.get(reverse(f"admin:tasks_app_{model}_changelist")).status_code == 200
    assert operator.get(reverse(f"admin:tasks_app_{model}_add")).status_code == 403
    if model == "task":
        address = reverse("admin:tasks_app_task_change", args=[task.pk])
        assert operator.get(address).status_code == 200
        assert operator.post(address, {"title": "changed"}).status_code == 403
