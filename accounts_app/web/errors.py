"""Django's error handlers: one page, or one JSON shape, for all, with the trace id."""

import sys
from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts_app.errors import error_response, known_error
from accounts_app.exceptions import (
    CsrfFailed,
    InternalError,
    InvalidInput,
    NotFound,
    PermissionRefused,
    TooManyRequests,
)


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return error_response(request, InvalidInput())


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return error_response(request, PermissionRefused())


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return error_response(request, CsrfFailed())


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return error_response(request, NotFound())


def too_many_requests(request: HttpRequest) -> HttpResponse:
    return error_response(request, TooManyRequests())


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 503 with Retry-After when PostgreSQL or Redis is away, 500 otherwise."""
    return error_response(request, known_error(sys.exc_info()[1]) or InternalError())
