"""Django's error handlers: the same page for all, with the trace id."""

import sys
from typing import Any

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from redis.exceptions import ConnectionError as RedisConnectionError

from accounts_app.errors import error_response
from accounts_app.exceptions import DeepSpaceError, DependencyDown, InvalidInput, NotFound, PermissionRefused


class InternalError(DeepSpaceError):
    """Something nobody foresaw; the trace id finds it in the log."""

    code = "internal_error"
    status = 500


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return error_response(request, InvalidInput())


def forbidden(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return error_response(request, PermissionRefused())


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    return error_response(request, NotFound())


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 503 with Retry-After when PostgreSQL or Redis is away, 500 otherwise."""
    if isinstance(sys.exc_info()[1], OperationalError | RedisConnectionError):
        response = error_response(request, DependencyDown())
        response["Retry-After"] = "2"
        return response
    return error_response(request, InternalError())
