"""How many statements each address may take: pinned, so that a loop of queries is noticed."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from tasks_app.models import Task
from tasks_app.selectors import task_list
from tests.factories.accounts import Person
from tests.factories.tasks import BRIEF, funded, make_task
from workflows_app.services.configs import config_for
from workflows_app.services.store import config_of

pytestmark = pytest.mark.django_db

# Savepoints and the recognition of the caller are not counted.
_NOT_COUNTED = ("SAVEPOINT", "RELEASE", '"api_keys"', '"memberships"', '"ip_rules"')
PINNED = {
    # The workflow; task, event, audit row.
    ("post", "/api/tasks"): 4,
    # The page, and the workflow of each workspace on it.
    ("get", "/api/tasks"): 2,
    ("get", "/api/tasks/{id}"): 2,
    # Whether the task is there, and the page.
    ("get", "/api/tasks/{id}/events"): 2,
    # Task, workflow, wallet; stream; the engine's start; event, task, audit row.
    ("post", "/api/tasks/{id}/advance"): 8,
}
BODIES = {"/api/tasks": {"inputText": BRIEF}, "/api/tasks/{id}/advance": {"stage": "A", "action": "generate"}}


@pytest.mark.parametrize(("method", "path"), PINNED)
def test_statements_of_an_address(method: str, path: str) -> None:
    ada = funded()
    with ada.at_work():
        task = make_task()
        # A process keeps the documents of versions.
        config_of(config_for("article").id)
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


def plan(ada: Person, tasks: QuerySet[Task]) -> str:
    """How PostgreSQL reads ``tasks`` among 20,000 others."""
    with connection.cursor() as cursor:
        cursor.execute(_MANY, [Task.objects.get(organization_id=ada.organization_id).id])
        # Without fresh statistics the planner takes 20,000 rows for 20 and sorts them.
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    return tasks.explain()


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "task_newest"),
        ({"status": "completed"}, "task_newest_by_status"),
        ({"workspace_key": "prompt"}, "task_newest_by_workspace"),
    ],
)
def test_lists_are_read_in_the_order_of_an_index(filters: dict[str, str], index: str) -> None:
    ada = funded()
    with ada.at_work():
        make_task()
        said = plan(ada, task_list().filter(**filters)[:51])
    assert f"using {index} on tasks" in said
    assert "Sort" not in said


def test_tasks_of_a_prompt_are_read_by_their_index() -> None:
    ada = funded()
    with ada.at_work():
        prompt_id = make_task(prompt_id=uuid4()).prompt_id
        tasks = Task.objects.filter(organization_id=ada.organization_id, prompt_id=prompt_id)
        assert "using task_of_prompt on tasks" in plan(ada, tasks.order_by("-updated_at")[:8])


# Copies of one task, a second apart, of every status and workspace.
_MANY = """
    INSERT INTO tasks (id, organization_id, user_id, created_at, updated_at, workspace_key, title, input_text, status,
        current_stage, finished_stage, prompt_id, metadata, cost_usd, input_tokens, output_tokens, pending_cost_usd,
        pending_input_tokens, pending_output_tokens, model, active_action, active_stage, stages_count, events_count)
    SELECT gen_random_uuid(), organization_id, user_id, created_at - n * interval '1 second', updated_at,
        (ARRAY['article', 'prompt', 'general'])[1 + n %% 3], title, input_text,
        (ARRAY['active', 'completed', 'archived'])[1 + n %% 3], current_stage, finished_stage, gen_random_uuid(),
        '{}', 0, 0, 0, 0, 0, 0, '', '', '', 0, 0
    FROM tasks, generate_series(1, 20000) AS n WHERE tasks.id = %s
"""
