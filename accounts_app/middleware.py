"""Trace id and tenant of every request."""

import logging
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from allauth.account.middleware import AccountMiddleware
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.utils.cache import patch_vary_headers

from accounts_app.errors import error_response, known_error
from accounts_app.exceptions import MethodNotAllowed
from accounts_app.http import known
from accounts_app.services.operators import admin_tenant, operator_request_record
from accounts_app.services.principals import principal_of
from accounts_app.services.trace import bind_trace
from accounts_app.tenancy.context import NOBODY, Tenant, bound
from accounts_app.tenancy.role import refuse_privileged_role
from config import tracing

GetResponse = Callable[[HttpRequest], HttpResponseBase]
View = Callable[..., HttpResponseBase]
ViewT = TypeVar("ViewT", bound=Callable[..., Any])

_TRACE_ID = re.compile(r"[0-9a-f]{32}")

logger = logging.getLogger(__name__)


class TraceMiddleware:
    """Bind a trace id: the caller's own, from ``traceparent`` or ``X-Trace-Id``, or a new one. Answer with it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.monotonic()
        with bind_trace(self._incoming(request)) as trace_id, self._span(request, trace_id) as span:
            response = self.get_response(request)
            response["X-Trace-Id"] = trace_id
            self._log(request, response, time.monotonic() - began)
            if span is not None:
                span.set_attribute("http.response.status_code", response.status_code)
                span.set_attribute("http.route", request.resolver_match.route if request.resolver_match else "")
            return response

    @staticmethod
    def _span(request: HttpRequest, trace_id: str) -> AbstractContextManager[Any]:
        return tracing.span(
            f"request {request.method}",
            trace_id=trace_id,
            parent=request.headers.get("traceparent", ""),
            attributes={"http.request.method": request.method or "", "url.path": request.path},
        )

    @staticmethod
    def _incoming(request: HttpRequest) -> str:
        parts = request.headers.get("traceparent", "").split("-")
        candidate = parts[1] if len(parts) == 4 else request.headers.get("X-Trace-Id", "")
        return candidate if _TRACE_ID.fullmatch(candidate) else ""

    @staticmethod
    def _log(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
        tenant: Tenant = getattr(request, "tenant", NOBODY)
        logger.info(
            "request.finished",
            extra={
                "method": request.method,
                "path": request.path,
                "status": response.status_code,
                "duration_ms": round(seconds * 1000),
                "organization_id": tenant.organization_id,
                "operator": tenant.operator,
            },
        )


class TenantMiddleware:
    """Run each view in its caller's tenant and in one transaction.

    A view marked `non_atomic` is given the tenant without a transaction: it calls a model or streams, and must
    not hold a connection meanwhile. Responses are rendered inside, where their queries still see the tenant.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        # The view is called here, so its exceptions do not reach allauth's own middleware.
        self._account_exception = AccountMiddleware(get_response).process_exception
        # A server builds its middleware once, as it starts.
        refuse_privileged_role()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: View, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponseBase | None:
        try:
            tenant = self._identify(request)
            if iscoroutinefunction(view):
                return None
            with bound(tenant):
                response = self._run(request, view, args, kwargs)
        except Exception as error:
            answer = self.process_exception(request, error)
            if answer is None:
                raise
            response = answer
        return self._finished(request, response)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """Answer what is foreseen, here for asynchronous views too; None leaves it to Django."""
        error = known_error(exception)
        if error is not None:
            return error_response(request, error)
        response: HttpResponseBase | None = self._account_exception(request, exception)
        return response

    def _identify(self, request: HttpRequest) -> Tenant:
        principal = principal_of(request)
        operator = admin_tenant(request, principal)
        known(request).principal = principal
        known(request).tenant = operator or principal.tenant
        return operator or principal.tenant

    def _run(self, request: HttpRequest, view: View, args: tuple[Any, ...], kwargs: dict[str, Any]) -> HttpResponseBase:
        if getattr(view, "non_atomic", False):
            return _rendered(view(request, *args, **kwargs))
        with transaction.atomic():
            known(request).in_tenant_transaction = True
            if known(request).tenant.operator:
                operator_request_record(request)
            return _rendered(view(request, *args, **kwargs))

    @staticmethod
    def _finished(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if isinstance(response, HttpResponseNotAllowed) and not response.content:
            allowed = response["Allow"]
            response = error_response(request, MethodNotAllowed())
            response["Allow"] = allowed
        if "Authorization" in request.headers and isinstance(response, HttpResponse):
            patch_vary_headers(response, ["Authorization"])
        return response


def non_atomic(view: ViewT) -> ViewT:
    """Mark a view that must not run inside one transaction (it calls a model, waits or streams)."""
    view.non_atomic = True  # type: ignore[attr-defined]
    return view


def _rendered(response: HttpResponseBase) -> HttpResponseBase:
    if (
        isinstance(response, HttpResponse)
        and hasattr(response, "render")
        and not getattr(response, "is_rendered", True)
    ):
        response.render()
    return response
