"""DRF's errors in our format."""

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404
from django.utils.translation import gettext as _
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from accounts_app.errors import error_body, error_headers
from accounts_app.exceptions import (
    DeepSpaceError,
    FieldError,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    PermissionRefused,
)


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn ``exc`` into an answer and undo the request's transaction; None (for the middleware) for anything else."""
    error = _as_ours(exc)
    if error is None:
        return None
    if getattr(context["request"], "in_tenant_transaction", False):
        transaction.set_rollback(True)
    _in_json(context["request"])
    headers = error_headers(error)
    wait = getattr(exc, "wait", None)
    if wait:
        headers["Retry-After"] = str(int(wait) + 1)
    return Response(error_body(error), status=error.status, headers=headers)


def _in_json(request: Any) -> None:
    """An error is JSON whatever the good answer would have been (SARIF …); only the browsable pages keep their own."""
    if getattr(getattr(request, "accepted_renderer", None), "format", "json") not in ("json", "api"):
        request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type


def _as_ours(exc: Exception) -> DeepSpaceError | None:
    if isinstance(exc, DeepSpaceError):
        return exc
    if isinstance(exc, Http404):
        return NotFound()
    if isinstance(exc, PermissionDenied | exceptions.PermissionDenied):
        return PermissionRefused()
    if isinstance(exc, exceptions.NotAuthenticated | exceptions.AuthenticationFailed):
        return NotAuthenticated()
    if isinstance(exc, exceptions.ValidationError):
        return InvalidInput(_("The input is not valid."), details=tuple(_fields(exc.detail)))
    if isinstance(exc, exceptions.APIException):
        return _foreign(exc)
    return None


def _foreign(exc: exceptions.APIException) -> DeepSpaceError:
    error = DeepSpaceError(str(exc.detail))
    error.code, error.status = exc.default_code, exc.status_code  # type: ignore[misc]
    return error


def _fields(detail: Any, path: str = "") -> Iterator[FieldError]:
    if isinstance(detail, dict):
        for key, value in detail.items():
            yield from _fields(value, f"{path}.{key}" if path else str(key))
    elif isinstance(detail, list):
        for index, value in enumerate(detail):
            nested = isinstance(value, dict | list)
            yield from _fields(value, f"{path}[{index}]" if nested else path)
    else:
        yield FieldError(path or "non_field_errors", str(detail))
