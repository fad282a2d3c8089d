"""Errors in OpenAI's shape, ``{"error": {"message", "type", "param", "code"}}``, with the headers clients act on."""

import json
import logging
from dataclasses import dataclass

import psycopg
from django.utils import translation

from accounts_app.errors import RETRY_AFTER_SECONDS, known_error
from accounts_app.exceptions import DeepSpaceError, DependencyDown, InternalError
from gateway_app.exceptions import RateLimited

logger = logging.getLogger(__name__)

Headers = list[tuple[bytes, bytes]]

# The codes and statuses of OpenAI's own API for what is ours by another name.
_CODES = {
    "not_authenticated": "invalid_api_key",
    "insufficient_funds": "insufficient_quota",
    "unknown_model": "model_not_found",
}
_STATUSES = {"unknown_model": 404}
_PARAMS = {"unknown_model": "model"}
_TYPES = {402: "insufficient_quota", 403: "permission_error", 429: "rate_limit_error"}
# Asking again changes nothing: the caller must do something first. Their clients retry a 409 unless they are told.
_FINAL = {"insufficient_funds", "budget_exceeded", "operation_conflict", "not_replayable"}
_IN_PROGRESS_SECONDS = b"1"
_MS = 1000


class ApiError(DeepSpaceError):
    """An error of /v1 itself, its status and code given in place. ``allow``: the method that a 405 asks for."""

    def __init__(
        self, status: int, message: str, *, code: str = "invalid_request", param: str | None = None, allow: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status  # type: ignore[misc]
        self.code = code  # type: ignore[misc]
        self.param, self.allow = param, allow


class ProviderRefusal(DeepSpaceError):
    """The provider found fault with what the caller sent: its own words are the best answer."""

    code = "upstream_refused"

    def __init__(self, status: int, body: bytes, content_type: bytes) -> None:
        super().__init__(body[:300].decode("utf-8", "replace"))
        self.status = status  # type: ignore[misc]
        self.body = body
        self.content_type = content_type


@dataclass(frozen=True)
class Refusal:
    """An error as it is sent."""

    status: int
    body: bytes
    headers: Headers


def refusal_of(exception: Exception) -> Refusal:
    """Return what the caller is told of ``exception``; one that nobody foresaw is logged, and its words kept back."""
    error = error_of(exception)
    if isinstance(error, ProviderRefusal):
        return Refusal(error.status, error.body, [(b"content-type", error.content_type)])
    return Refusal(_status(error), error_body(error), [(b"content-type", b"application/json"), *_headers(error)])


def error_of(exception: Exception) -> DeepSpaceError:
    """Return the foreseen error that ``exception`` stands for; outages and crashes are logged here."""
    if isinstance(exception, psycopg.OperationalError | psycopg.InterfaceError):
        logger.error("dependency.down", exc_info=exception)
        return DependencyDown()
    error = known_error(exception)
    if error is None:
        logger.error("v1.crashed", exc_info=exception)
        return InternalError()
    return error


def error_body(error: DeepSpaceError) -> bytes:
    """Return ``error`` as JSON; English, as all of this API."""
    param = getattr(error, "param", None) or _PARAMS.get(error.code)
    if param is None and error.details:
        param = error.details[0].field
    with translation.override("en"):
        told = {
            "message": error.message,
            "type": error_type(_status(error)),
            "param": param,
            "code": told_code(error),
        }
    return json.dumps({"error": told}, ensure_ascii=False).encode()


def told_code(error: DeepSpaceError) -> str:
    """Return OpenAI's word for what happened, ours where it has none."""
    return _CODES.get(error.code, error.code)


def error_type(status: int) -> str:
    """Return OpenAI's word for the kind of error."""
    return _TYPES.get(status) or ("server_error" if status >= 500 else "invalid_request_error")


def _status(error: DeepSpaceError) -> int:
    return _STATUSES.get(error.code, error.status)


def _headers(error: DeepSpaceError) -> Headers:
    if error.code in _FINAL:
        return [(b"x-should-retry", b"false")]
    if error.code == "call_in_progress":
        return [(b"retry-after", _IN_PROGRESS_SECONDS)]
    if isinstance(error, ApiError) and error.allow:
        return [(b"allow", error.allow.encode())]
    if isinstance(error, RateLimited):
        return _retry_after(error.retry_after_ms)
    if error.status == 503:
        return [(b"retry-after", RETRY_AFTER_SECONDS.encode())]
    return [(b"www-authenticate", b"Bearer")] if error.status == 401 else []


def _retry_after(ms: int | None) -> Headers:
    if ms is None:  # this very call never fits
        return [(b"x-should-retry", b"false")]
    # The one in seconds is rounded up, or a client that obeys it would come too early.
    return [(b"retry-after-ms", b"%d" % ms), (b"retry-after", b"%d" % -(-ms // _MS))]
