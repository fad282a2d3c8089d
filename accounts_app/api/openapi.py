"""Completes the OpenAPI document: what is no DRF view, how errors look, and an example for each body.

A room writes these down in ``<room>/api/openapi.yaml``: ``paths``, ``components`` and ``tags`` are merged as they are
(event streams, /v1); ``examples`` are by operation: ``{request: …, response: …}``.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

Document = dict[str, Any]

_METHODS = ("get", "post", "put", "patch", "delete")
# What stands beside the good answer of every operation; ``default`` covers all that is not named.
_ERRORS = {
    "400": ("invalid_input", "The input is not valid.", [{"field": "name", "message": "This field is required."}]),
    "401": ("not_authenticated", "Sign in, or send an API key.", []),
    "403": ("permission_denied", "Your role does not allow this.", []),
    "404": ("not_found", "There is no such thing, or it is not yours.", []),
}
_TRACE = "0af7651916cd43dd8448eb211c80319c"


def completed(result: Document, generator: Any, request: Any, public: bool) -> Document:
    """Return the document with every room's own part, errors and examples; a hook of drf-spectacular."""
    _error_component(result)
    examples: dict[str, Any] = {}
    for part in _parts():
        result["paths"] = dict(sorted({**result["paths"], **part.get("paths", {})}.items()))
        result.setdefault("tags", []).extend(part.get("tags", []))
        for kind, named in part.get("components", {}).items():
            result["components"].setdefault(kind, {}).update(named)
        examples |= part.get("examples", {})
    for path, operation in _operations(result):
        if path.startswith("/api/"):
            _add_errors(path, operation)
        _add_examples(operation, examples.get(operation["operationId"], {}))
    return result


def _operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield path, methods[method]


@lru_cache(maxsize=1)
def _parts() -> tuple[Document, ...]:
    rooms = [name for name in settings.INSTALLED_APPS if name.endswith("_app")]
    files = [Path(str(spec.origin)).parent / "api" / "openapi.yaml" for name in rooms if (spec := find_spec(name))]
    return tuple(yaml.safe_load(file.read_text(encoding="utf-8")) for file in files if file.exists())


def _error_component(document: Document) -> None:
    detail = {
        "type": "object",
        "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
        "required": ["field", "message"],
    }
    body = {
        "type": "object",
        "properties": {
            "code": {"type": "string", "description": "Stable; programs decide by it."},
            "message": {"type": "string", "description": "For people, in the caller's language."},
            "details": {"type": "array", "items": detail},
            "trace_id": {"type": "string", "description": "Quote it when you ask for help."},
        },
        "required": ["code", "message", "details", "trace_id"],
    }
    error = {"type": "object", "properties": {"error": body}, "required": ["error"]}
    document.setdefault("components", {}).setdefault("schemas", {})["Error"] = error


def _add_errors(path: str, operation: Document) -> None:
    takes_input = "requestBody" in operation or any(each["in"] == "query" for each in operation.get("parameters", []))
    for status, (code, message, details) in _ERRORS.items():
        fits = {"400": takes_input, "404": "{" in path}.get(status, True)
        if fits and status not in operation["responses"]:
            body = {"error": {"code": code, "message": message, "details": details, "trace_id": _TRACE}}
            operation["responses"][status] = _error_response(message, body)
    operation["responses"].setdefault("default", _error_response("Any other error."))


def _error_response(description: str, example: Document | None = None) -> Document:
    content: Document = {"schema": {"$ref": "#/components/schemas/Error"}}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {"application/json": content}}


def _add_examples(operation: Document, examples: Mapping[str, Any]) -> None:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if "request" in examples:
            content.setdefault("example", examples["request"])
    responses = operation["responses"]
    good: Document = next((responses[status] for status in sorted(responses) if status < "3"), {})
    for content in good.get("content", {}).values():
        if "response" in examples:
            content.setdefault("example", examples["response"])
