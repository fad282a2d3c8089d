"""The one place where an error becomes an answer."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from accounts_app.exceptions import DeepSpaceError
from accounts_app.services.trace import current_trace_id


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
    """Render ``error`` as JSON for programs, as a page for people."""
    if wants_json(request):
        return JsonResponse(error_body(error), status=error.status)
    context = {"error": error, "trace_id": current_trace_id()}
    return render(request, "errors/error.html", context, status=error.status)
