"""The OpenAPI document: whole, without a warning, and with an example for each body that its own schema accepts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from jsonschema import Draft202012Validator

from gateway_app.wire import WIRES
from tests.support.routes import Route, all_routes

Document = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
# Addresses below /api/ that describe the API instead of being a part of it.
ABOUT = {"schema", "api-docs", "api-redoc", "template-schema", "pack-schema"}
# What one can ask for without being signed in: it is how one signs in, or out.
OPEN_TO_ALL = {"auth_token", "auth_token_refresh", "auth_token_revoke"}


@pytest.fixture(scope="module")
def document(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Document:
    """The document as `manage.py spectacular` writes it, with no warning."""
    file: Path = tmp_path_factory.mktemp("openapi") / "schema.yml"
    with django_db_blocker.unblock():
        call_command("spectacular", file=str(file), validate=True, fail_on_warn=True)
    loaded: Document = yaml.safe_load(file.read_text())
    return loaded


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    """Each operation with its name for messages: ``GET /api/tasks/``."""
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                yield f"{method.upper()} {path}", methods[method]


def plain(schema: Any) -> Any:
    """OpenAPI 3.0's ``nullable`` in JSON Schema's words."""
    if isinstance(schema, list):
        return [plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: plain(value) for key, value in schema.items() if key != "nullable"}
    return {"anyOf": [changed, {"type": "null"}]} if schema.get("nullable") is True else changed


def faults(document: Document, schema: Document, example: Any) -> list[str]:
    root = {**plain(schema), "components": plain(document["components"])}
    return [error.message for error in Draft202012Validator(root).iter_errors(example)]


def test_every_route_is_described(document: Document) -> None:
    def shape(path: str) -> str:
        return "/".join("{}" if part.startswith(("{", "<")) else part for part in path.strip("/").split("/"))

    described = {shape(path) for path in document["paths"]}

    def is_missing(route: Route) -> bool:
        return route.pattern.startswith("api/") and route.name not in ABOUT and shape(route.pattern) not in described

    assert not [str(route) for route in all_routes() if is_missing(route)]
    assert {f"v1/{path}" for path in WIRES} | {"v1/models", "v1/models/{}"} <= described


def test_every_operation_says_what_it_does_who_may_and_how_it_fails(document: Document) -> None:
    names = [operation["operationId"] for _name, operation in operations(document)]
    assert len(names) == len(set(names))
    for name, operation in operations(document):
        assert operation.get("description") or operation.get("summary"), name
        assert operation.get("tags"), name
        assert "security" in operation or operation["operationId"] in OPEN_TO_ALL, name
        assert "default" in operation["responses"], name


def test_every_body_has_an_example_that_its_schema_accepts(document: Document) -> None:
    for name, operation in operations(document):
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            assert "example" in content, f"Write an example of {name} into its room's api/openapi.yaml."
            if kind == "application/json":
                assert not faults(document, content["schema"], content["example"]), name


def test_examples_of_answers_are_answers(document: Document) -> None:
    checked = 0
    for name, operation in operations(document):
        for response in operation["responses"].values():
            content = response.get("content", {}).get("application/json", {})
            if "example" in content:
                assert not faults(document, content["schema"], content["example"]), name
                checked += 1
    assert checked > 100


def test_all_ways_to_sign_in_are_named(document: Document) -> None:
    schemes = document["components"]["securitySchemes"]
    assert {"apiKey", "accessToken", "session"} <= schemes.keys()
