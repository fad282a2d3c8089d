"""The running system keeps what its OpenAPI document promises, whatever is sent: no 5xx, no answer that it denies.

A few bodies for each operation, good ones and bad ones, the same each time; ``SCHEMATHESIS_EXAMPLES=200`` looks longer,
and ``SCHEMATHESIS_SEED=7`` elsewhere.
"""

import os
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from billing_app.services.wallets import wallet_topup
from tests.factories.accounts import Person, person
from tests.factories.replay import Replay, load_all, maker_for
from tests.support.routes import all_routes
from tests.support.stack import Stack

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "2"))
SEED = os.environ.get("SCHEMATHESIS_SEED", "")
# Nothing of the network may hang the run; a stream that is kept open ends here.
TIMEOUT = 30
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
Operation = APIOperation[Any, Any, Any, Any]
GROUPS = [
    "/v1/",
    "/api/auth",
    "/api/billing",
    "/api/tasks",
    "/api/prompts",
    "/api/eval",
    "/api/workflows",
    "/api/v1/executions",
    "/api/",
]

load_all()


@pytest.fixture(scope="module")
def document(running_stack: Stack) -> dict[str, Any]:
    """The document as the running system gives it; its models are those that the scripted upstream has."""
    answer = requests.get(f"{running_stack.url}/api/schema/?format=json", timeout=TIMEOUT)
    found: dict[str, Any] = answer.json()
    for name, schema in found["components"]["schemas"].items():
        if name.startswith("V1") and name.endswith("Request"):
            schema["properties"]["model"] = {"type": "string", "enum": ["scripted", "no-such-model"]}
    return found


def operations(document: dict[str, Any], group: str) -> Iterator[Operation]:
    """The operations whose address begins with ``group`` and with no earlier group."""
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        if group == next(each for each in GROUPS if operation.path.startswith(each)):
            yield operation


def replay_of(operation: Operation, owner: Person) -> Replay:
    """Something of the owner's for the ids in the address, so that more than 404 is answered."""
    for route in all_routes():
        if _shape(route.pattern) == _shape(operation.path) and (maker := maker_for(route.pattern)):
            return maker(owner)
    return Replay()


def _shape(path: str) -> list[str]:
    return ["*" if part.startswith(("{", "<")) else part for part in path.strip("/").split("/")]


def ask(stack: Stack, operation: Operation, mode: GenerationMode) -> list[str]:
    """Send generated requests of one operation; return what was wrong with the answers."""
    owner = person()
    with owner.at_work():
        wallet_topup(organization_id=owner.organization_id, amount=Decimal(5), key=f"test-{uuid4()}")
    headers = {"Authorization": f"Bearer {owner.key()}"}
    ids = {name: str(value) for name, value in replay_of(operation, owner).ids.items()}
    failures: list[str] = []

    with requests.Session() as session:

        @given(case=operation.as_strategy(mode, path_parameters=ids or None))
        @settings(
            max_examples=EXAMPLES,
            database=None,
            derandomize=not SEED,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def send(case: "Case[Any]") -> None:
            try:
                case.call_and_validate(
                    base_url=stack.url, session=session, headers=headers, checks=CHECKS, timeout=TIMEOUT
                )
            except (Failure, FailureGroup) as failure:
                failures.append(f"{operation.label} ({mode.value})\n{failure}")

        try:
            (seed(SEED)(send) if SEED else send)()
        except Unsatisfiable:  # there is no bad request to an operation that takes nothing
            return []
    return failures


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("group", GROUPS)
def test_the_system_keeps_what_the_document_promises(
    stack: Stack, document: dict[str, Any], group: str, mode: GenerationMode
) -> None:
    found = list(operations(document, group))
    assert found
    failures = [failure for operation in found for failure in ask(stack, operation, mode)]
    assert not failures, "\n\n".join(failures)
