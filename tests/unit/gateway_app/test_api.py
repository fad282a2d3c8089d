"""GET /api/models, and one call's detail."""

from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import tenant_atomic, tenant_context
from gateway_app import selectors
from gateway_app.services.chat import chat
from tests.factories.accounts import person
from tests.factories.billing import organization_with
from tests.factories.gateway import chat_request
from tests.support.upstream import Behaviour, ScriptedUpstream


@pytest.mark.django_db
def test_the_catalogue_for_users(settings: Settings) -> None:
    settings.LOCAL_MODEL_URL, settings.OPENAI_API_KEY, settings.OPENAI_MODEL = "http://127.0.0.1:9/v1", "", ""
    settings.OPENAI_BASE_URL = ""
    answer = person().api().get("/api/models")
    assert answer.status_code == 200
    body = answer.json()
    local = next(model for model in body["models"] if model["key"] == "smollm2-135m-instruct")
    assert (local["active"], local["local"], local["prices"]["input"]) == (True, True, "0.02")
    big = next(model for model in body["models"] if model["key"] == "gpt-4o")
    assert (big["active"], big["context_window"], big["prices"]["output"]) == (False, 128_000, "10")
    assert big["source_date"]
    assert [model["active"] for model in body["models"]] == sorted(
        [model["active"] for model in body["models"]], reverse=True
    )


@pytest.mark.django_db
def test_the_catalogue_is_for_people_who_are_signed_in(client: Client) -> None:
    answer = client.get("/api/models")
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "not_authenticated"


@pytest.mark.django_db
def test_the_catalogue_takes_few_queries(settings: Settings, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    settings.OPENAI_API_KEY = "sk-x"
    with django_assert_num_queries(3):
        assert len(selectors.catalogue().models) > 20


@pytest.mark.usefixtures("committed_db")
def test_a_call_tells_what_it_took(upstream: ScriptedUpstream) -> None:
    organization_id, task_id = organization_with("1"), uuid4()
    upstream.behave(Behaviour(status=500))
    with tenant_context(organization_id):
        result = chat(chat_request(purpose="draft", task_id=task_id))
    with tenant_atomic(organization_id):
        detail = selectors.call_detail(result.call_id)
    assert (detail.purpose, detail.task_id, detail.ending, detail.model) == ("draft", task_id, "completed", "scripted")
    assert (detail.tokens, detail.cost_usd, detail.charged_usd) == (result.tokens, result.cost_usd, result.cost_usd)
    assert [(attempt.status, attempt.http_status) for attempt in detail.attempts] == [
        ("failed", 500),
        ("answered", 200),
    ]
    with tenant_atomic(organization_with()), pytest.raises(NotFound):
        selectors.call_detail(result.call_id)
