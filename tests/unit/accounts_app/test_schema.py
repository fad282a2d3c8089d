"""The OpenAPI document: how callers sign in, and this room's addresses."""

from typing import Any

import pytest
import yaml
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(client.get("/api/schema/").content)
    return loaded


def test_all_ways_in_are_described(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    assert schemes["apiKey"]["scheme"] == "bearer"
    assert schemes["accessToken"]["bearerFormat"] == "JWT"
    assert schemes["session"] == {"type": "apiKey", "in": "cookie", "name": "sessionid"}


def test_keys_are_described_with_the_secret_only_where_it_is_made(document: dict[str, Any]) -> None:
    assert set(document["paths"]["/api/keys/"]) == {"get", "post"}
    assert set(document["paths"]["/api/keys/{key_id}/"]) == {"get", "patch", "delete"}
    schemas = document["components"]["schemas"]
    assert "key" in schemas["NewApiKeyOutput"]["properties"]
    assert "key" not in schemas["ApiKeyOutput"]["properties"]
