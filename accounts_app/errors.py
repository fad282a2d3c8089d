"""The one place where an error becomes an answer."""

import logging
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from accounts_app.exceptions import DeepSpaceError, DependencyDown
from accounts_app.services.trace import current_trace_id

# PostgreSQL, Redis or the broker is away, overloaded or gave up waiting: trying again later may work.
OUTAGES = (OperationalError, InterfaceError, RedisConnectionError, RedisTimeoutError, BrokerError)
RETRY_AFTER_SECONDS = "5"

logger = logging.getLogger(__name__)


def error_body(error: DeepSpaceError) -> dict[str, Any]:
    """Return the error format of the REST API."""
    return {
        "error": {
            "code": error.code,
            "message": error.message,
            "details": [{"field": item.field, "message": str(item.message)} for item in error.details],
            "trace_id": current_trace_id(),
        }
    }


def wants_json(request: HttpRequest) -> bool:
    """Whether the caller is a program: anything below /api/, or a client that asks for JSON first."""
    return request.path.startswith("/api/") or request.headers.get("Accept", "").startswith("application/json")


def error_response(request: HttpRequest, error: DeepSpaceError) -> HttpResponse:
    """Render ``error`` as JSON for programs, as a page for people.

    The page is rendered without the request: neither session nor user, which may be what does not work.
    """
    response: HttpResponse
    if wants_json(request):
        response = JsonResponse(error_body(error), status=error.status)
    else:
        page = {"error": error, "title": _title(error.status), "trace_id": current_trace_id(), "path": request.path}
        response = HttpResponse(render_to_string("errors/error.html", page), status=error.status)
    for name, value in error_headers(error).items():
        response[name] = value
    return response


def error_headers(error: DeepSpaceError) -> dict[str, str]:
    """Return the headers that belong to the status, and the error's own."""
    if error.status == 503:
        return {"Retry-After": RETRY_AFTER_SECONDS, **error.headers}
    return {"WWW-Authenticate": "Bearer"} if error.status == 401 else dict(error.headers)


def known_error(exception: BaseException | None) -> DeepSpaceError | None:
    """Return what the caller is told of ``exception``, or None when nobody foresaw it. Outages are logged here."""
    if isinstance(exception, DeepSpaceError):
        return exception
    if isinstance(exception, OUTAGES):
        logger.error("dependency.down", exc_info=exception)
        return DependencyDown()
    return None


def _title(status: int) -> str:
    titles = {
        400: _("That request was not understood"),
        401: _("Sign in first"),
        403: _("You may not do this"),
        404: _("There is nothing here"),
        409: _("Something changed in the meantime"),
        429: _("Too many attempts"),
        503: _("Back in a moment"),
    }
    return titles.get(status) or (_("Something went wrong") if status >= 500 else _("That did not work"))
