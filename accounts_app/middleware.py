"""Trace id and tenant of every request."""

import re
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.cache import patch_vary_headers

from accounts_app.errors import error_response
from accounts_app.exceptions import DeepSpaceError
from accounts_app.services.principals import principal_of
from accounts_app.services.trace import bind_trace
from accounts_app.tenancy.context import bound

GetResponse = Callable[[HttpRequest], HttpResponseBase]
View = Callable[..., HttpResponseBase]
ViewT = TypeVar("ViewT", bound=Callable[..., Any])

_TRACE_ID = re.compile(r"[0-9a-f]{32}")


class TraceMiddleware:
    """Bind a trace id: the caller's own, from ``traceparent`` or ``X-Trace-Id``, or a new one. Answer with it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with bind_trace(self._incoming(request)) as trace_id:
            response = self.get_response(request)
            response["X-Trace-Id"] = trace_id
            return response

    @staticmethod
    def _incoming(request: HttpRequest) -> str:
        parts = request.headers.get("traceparent", "").split("-")
        candidate = parts[1] if len(parts) == 4 else request.headers.get("X-Trace-Id", "")
        return candidate if _TRACE_ID.fullmatch(candidate) else ""


class TenantMiddleware:
    """Run each view in its caller's tenant and in one transaction.

    A view marked `non_atomic` is given the tenant without a transaction: it calls a model or streams, and must
    not hold a connection meanwhile. Responses are rendered inside, where their queries still see the tenant.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: View, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        try:
            principal = principal_of(request)
            request.principal = principal  # type: ignore[attr-defined]
            request.tenant = principal.tenant  # type: ignore[attr-defined]
            if iscoroutinefunction(view):
                return None
            with bound(principal.tenant):
                response = self._run(request, view, args, kwargs)
        except DeepSpaceError as error:
            response = error_response(request, error)
        if principal_is_key(request):
            patch_vary_headers(response, ["Authorization"])  # type: ignore[arg-type]
        return response

    def _run(
        self, request: HttpRequest, view: View, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase:
        if getattr(view, "non_atomic", False):
            return _rendered(view(request, *args, **kwargs))
        with transaction.atomic():
            request.in_tenant_transaction = True  # type: ignore[attr-defined]
            return _rendered(view(request, *args, **kwargs))


def non_atomic(view: ViewT) -> ViewT:
    """Mark a view that must not run inside one transaction (it calls a model, waits or streams)."""
    view.non_atomic = True  # type: ignore[attr-defined]
    return view


def principal_is_key(request: HttpRequest) -> bool:
    """Whether the caller was recognised by an API key."""
    return "Authorization" in request.headers


def _rendered(response: HttpResponseBase) -> HttpResponseBase:
    if isinstance(response, HttpResponse) and hasattr(response, "render") and not getattr(response, "is_rendered", True):
        response.render()
    return response
