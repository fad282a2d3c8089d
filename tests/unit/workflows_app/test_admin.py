"""What staff see and may do."""

import uuid

import pytest
from django.test import Client

from accounts_app.services.users import user_create
from tests.factories.workflows import made_up_config, owner, started

pytestmark = pytest.mark.usefixtures("committed_db")


def test_staff_see_runs_and_events_but_cannot_change_them() -> None:
    run = started(owner(), "first")
    staff = user_create(email=f"{uuid.uuid4().hex}@example.com", is_operator=True)
    client = Client()
    client.force_login(staff)
    for model in ("workspace", "workflowconfig", "workflowrun", "steprun", "runevent"):
        assert client.get(f"/admin/workflows_app/{model}/").status_code == 200
    assert client.get("/admin/workflows_app/runevent/add/").status_code == 403
    page = client.get(f"/admin/workflows_app/workflowrun/{run.id}/change/")
    assert page.status_code == 200
    assert b'name="_save"' not in page.content
    action = {"action": "requeue", "_selected_action": [str(run.id)]}
    answer = client.post("/admin/workflows_app/workflowrun/", action, follow=True)
    assert "1 run was sent again." in answer.content.decode()


def test_a_published_version_is_read_only_in_the_admin() -> None:
    config = made_up_config(owner(), "first")
    client = Client()
    client.force_login(user_create(email=f"{uuid.uuid4().hex}@example.com", is_operator=True))
    page = client.get(f"/admin/workflows_app/workflowconfig/{config.pk}/change/")
    assert b'name="_save"' not in page.content
    assert client.get(f"/admin/workflows_app/workflowconfig/{config.pk}/delete/").status_code == 403
