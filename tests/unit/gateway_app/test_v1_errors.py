"""Every error in OpenAI's shape, with the headers that its clients act on."""

import json
from typing import Any

import psycopg
import pytest
from django.db import OperationalError
from django.utils import translation

from accounts_app.exceptions import DependencyDown, InvalidInput, NotAuthenticated, PermissionRefused
from billing_app.exceptions import BudgetExceeded, InsufficientFunds
from gateway_app.exceptions import (
    CallInProgress,
    ModelNotFound,
    ModelUnavailable,
    NotReplayable,
    OperationConflict,
    RateLimited,
)
from gateway_app.v1.errors import ApiError, ProviderRefusal, refusal_of


def told(error: Exception) -> tuple[int, dict[str, Any], dict[str, str]]:
    refusal = refusal_of(error)
    headers = {name.decode(): value.decode() for name, value in refusal.headers}
    return refusal.status, json.loads(refusal.body)["error"], headers


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (NotAuthenticated(), 401, "invalid_request_error", "invalid_api_key"),
        (PermissionRefused(), 403, "permission_error", "permission_denied"),
        (InsufficientFunds(), 402, "insufficient_quota", "insufficient_quota"),
        (BudgetExceeded(), 402, "insufficient_quota", "budget_exceeded"),
        (ModelNotFound(), 404, "invalid_request_error", "model_not_found"),
        (RateLimited(retry_after_ms=1200), 429, "rate_limit_error", "rate_limit_exceeded"),
        (CallInProgress(), 409, "invalid_request_error", "call_in_progress"),
        (OperationConflict(), 409, "invalid_request_error", "operation_conflict"),
        (NotReplayable(), 409, "invalid_request_error", "not_replayable"),
        (ModelUnavailable(), 503, "server_error", "model_unavailable"),
        (DependencyDown(), 503, "server_error", "unavailable"),
        (ApiError(413, "Too large.", code="request_too_large"), 413, "invalid_request_error", "request_too_large"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_error_has_openais_shape(error: Exception, status: int, kind: str, code: str) -> None:
    found, content, _headers = told(error)
    assert (found, content["type"], content["code"]) == (status, kind, code)
    assert set(content) == {"message", "type", "param", "code"}
    assert content["message"]


@pytest.mark.parametrize(
    "error",
    [InsufficientFunds(), BudgetExceeded(), OperationConflict(), NotReplayable(), RateLimited(retry_after_ms=None)],
    ids=lambda error: type(error).__name__,
)
def test_what_asking_again_cannot_change_says_so(error: Exception) -> None:
    assert told(error)[2]["x-should-retry"] == "false"


def test_rate_limit_says_when_to_come_back_never_too_early() -> None:
    headers = told(RateLimited(retry_after_ms=1001))[2]
    assert (headers["retry-after-ms"], headers["retry-after"]) == ("1001", "2")


@pytest.mark.parametrize("error", [CallInProgress(), DependencyDown(), ModelUnavailable()], ids=lambda e: e.code)
def test_what_passes_says_when_to_come_back(error: Exception) -> None:
    headers = told(error)[2]
    assert int(headers["retry-after"]) >= 1
    assert "x-should-retry" not in headers


@pytest.mark.parametrize(
    "error", [OperationalError("gone"), psycopg.OperationalError("gone"), psycopg.InterfaceError()]
)
def test_database_that_is_away_is_an_outage(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    status, content, headers = told(error)
    assert (status, content["code"]) == (503, "unavailable")
    assert "retry-after" in headers
    assert "dependency.down" in caplog.messages


def test_crash_is_logged_and_its_words_are_kept_back(caplog: pytest.LogCaptureFixture) -> None:
    status, content, _headers = told(ZeroDivisionError("secret"))
    assert (status, content["type"]) == (500, "server_error")
    assert "secret" not in content["message"]
    assert "v1.crashed" in caplog.messages


def test_field_at_fault_is_the_param() -> None:
    content = told(InvalidInput.for_field("messages[0].content", "Must be a string."))[1]
    assert (content["param"], content["message"]) == ("messages[0].content", "Must be a string.")


def test_unknown_model_names_its_param() -> None:
    assert told(ModelNotFound())[1]["param"] == "model"


def test_api_speaks_english_in_every_language() -> None:
    with translation.override("zh-hans"):
        assert told(InsufficientFunds())[1]["message"].isascii()


def test_wrong_method_names_the_right_one() -> None:
    assert told(ApiError(405, "No.", code="method_not_allowed", allow="POST"))[2]["allow"] == "POST"


def test_providers_refusal_is_passed_on_byte_for_byte() -> None:
    body = b'{"error":{"message":"Bad image \\u00e4.","type":"invalid_request_error","param":null,"code":"x"}}'
    refusal = refusal_of(ProviderRefusal(422, body, b"application/json; charset=utf-8"))
    assert (refusal.status, refusal.body) == (422, body)
    assert (b"content-type", b"application/json; charset=utf-8") in refusal.headers
