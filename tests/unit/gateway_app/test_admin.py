"""Operators manage providers and models, and look at calls."""

from decimal import Decimal
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts_app.tenancy.context import operator_atomic, tenant_context
from billing_app.services.prices import price_set
from gateway_app.models import GatewayCall, ModelEntry, Provider
from gateway_app.services.chat import chat
from tests.factories.accounts import person
from tests.factories.billing import organization_with
from tests.factories.gateway import chat_request
from tests.support.upstream import ScriptedUpstream


@pytest.fixture
def operator(db: None) -> Client:
    return person(is_operator=True).client()


def _form(entry: ModelEntry, **fields: object) -> dict[str, object]:
    names = ("key", "name", "kind", "context_window", "max_output_tokens")
    inline = {"routes-TOTAL_FORMS": 0, "routes-INITIAL_FORMS": 0}
    return {name: getattr(entry, name) for name in names} | inline | fields


@pytest.mark.parametrize("name", ["provider", "modelentry", "modelroute", "ratelimit", "gatewaycall", "gatewayattempt"])
def test_every_list_opens(operator: Client, name: str) -> None:
    assert operator.get(f"/admin/gateway_app/{name}/").status_code == 200


def test_a_model_is_switched_on_only_when_it_has_a_price(operator: Client) -> None:
    with operator_atomic("test"):
        entry = ModelEntry.objects.create(key=uuid4().hex, name="m")
    url = f"/admin/gateway_app/modelentry/{entry.pk}/change/"
    refused = operator.post(url, _form(entry, is_active="on"))
    assert refused.status_code == 200
    assert "Give the model a price first" in refused.content.decode()
    with operator_atomic("test"):
        price_set(
            model_key=entry.key, input=Decimal(1), output=Decimal(1), effective_from=timezone.now(), source="a list"
        )
    assert operator.post(url, _form(entry, is_active="on")).status_code == 302
    entry.refresh_from_db()
    assert entry.is_active


def test_a_secret_is_never_shown(operator: Client, settings: Settings) -> None:
    settings.OPENAI_API_KEY = "sk-very-secret"
    provider = Provider.objects.get(key="openai")
    page = operator.get(f"/admin/gateway_app/provider/{provider.pk}/change/").content.decode()
    assert "OPENAI_API_KEY" in page
    assert "sk-very-secret" not in page


@pytest.mark.usefixtures("committed_db")
def test_calls_are_looked_at_without_their_texts_and_never_changed(upstream: ScriptedUpstream) -> None:
    upstream.script("a private answer")
    with tenant_context(organization_with("1")):
        call_id = chat(chat_request()).call_id
    client = person(is_operator=True).client()
    page = client.get(f"/admin/gateway_app/gatewaycall/{call_id}/change/").content.decode()
    assert "scripted" in page
    assert "answered" in page.lower()
    assert "a private answer" not in page
    assert client.post(f"/admin/gateway_app/gatewaycall/{call_id}/change/", {"model": "x"}).status_code == 403
    assert client.post(f"/admin/gateway_app/gatewaycall/{call_id}/delete/", {"post": "yes"}).status_code == 403
    with operator_atomic("test"):
        assert GatewayCall.objects.get(pk=call_id).model == "scripted"
