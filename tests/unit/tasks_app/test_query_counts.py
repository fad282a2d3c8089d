"""How many statements each address may take: pinned, so that a loop of queries is noticed."""

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.factories.tasks import BRIEF, funded, make_task

pytestmark = pytest.mark.django_db

# Savepoints and the recognition of the caller are not counted.
_NOT_COUNTED = ("SAVEPOINT", "RELEASE", '"api_keys"', '"memberships"')
PINNED = {
    # The workflow; task, event, audit row.
    ("post", "/api/tasks"): 4,
    # The page, and the workflow of each workspace on it.
    ("get", "/api/tasks"): 2,
    ("get", "/api/tasks/{id}"): 2,
    # Whether the task is there, and the page.
    ("get", "/api/tasks/{id}/events"): 2,
    # Task, workflow, wallet; stream; the engine's two looks and three writes; event, task, audit row.
    ("post", "/api/tasks/{id}/advance"): 12,
}
BODIES = {"/api/tasks": {"inputText": BRIEF}, "/api/tasks/{id}/advance": {"stage": "A", "action": "generate"}}


@pytest.mark.parametrize(("method", "path"), PINNED)
def test_statements_of_an_address(method: str, path: str) -> None:
    ada = funded()
    with ada.at_work():
        task = make_task()
    api: Any = ada.api()
    with CaptureQueriesContext(
        connection,
    ) as captured:
        if method == "get":
            response = api.get(path.format(id=task.id))
        else:
            body = json.dumps(BODIES[path])
            response = api.post(path.format(id=task.id), body, content_type="application/json")
    assert response.status_code in (200, 201, 202)
    said = [query["sql"] for query in captured if not any(word in query["sql"] for word in _NOT_COUNTED)]
    assert len(said) == PINNED[method, path], "\n".join(said)
