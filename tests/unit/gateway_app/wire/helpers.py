"""Requests and events for tests of the wires."""

import json
from typing import Any

import pytest

from accounts_app.exceptions import InvalidInput
from gateway_app.wire import Reading, Wanted, wire_of

JSON = "application/json"


def raw(values: dict[str, Any]) -> bytes:
    """Return ``values`` as a body."""
    return json.dumps(values, ensure_ascii=False).encode()


def wanted(path: str, /, **values: Any) -> Wanted:
    """Return what a request with these fields (and the model ``m``) asks for."""
    return wire_of(path).read(raw({"model": "m", **values}), JSON)


def upstream(path: str, /, **values: Any) -> dict[str, Any]:
    """Return the provider's body of such a request, its model named ``n``."""
    body = raw({"model": "m", **values})
    wire = wire_of(path)
    sent, content_type = wire.upstream_body(body, wire.read(body, JSON), model="n")
    assert content_type == JSON
    return dict(json.loads(sent))


def reading(path: str, /, **values: Any) -> Reading:
    """Return what follows the answer of such a request."""
    return wire_of(path).reading(wanted(path, **values))


def event(content: dict[str, Any], name: str = "") -> bytes:
    """Return one event."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + raw(content) + b"\n\n"


def field_at_fault(path: str, /, **values: Any) -> str:
    """Return the field that such a request is refused for."""
    with pytest.raises(InvalidInput) as refused:
        wanted(path, **values)
    (fault,) = refused.value.details
    return fault.field
