"""The operators' admin site: Django's, with the trace page."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext_lazy as _

from accounts_app.services.traces import is_trace_id, trace_events_for_operator
from accounts_app.web.timeline import timeline


class OperatorSite(admin.AdminSite):
    """Adds ``admin:trace``: everything that one request caused, whoever's it was."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        view = self.admin_view(self.trace_view)
        own = [path("trace/", view, name="trace-search"), path("trace/<slug:trace_id>/", view, name="trace")]
        return [*own, *super().get_urls()]

    def trace_view(self, request: HttpRequest, trace_id: str = "") -> HttpResponse:
        """Ask for a trace id, or show its time line. Each look is written into the audit log."""
        if not request.user.has_perm("accounts_app.view_auditlog"):
            raise PermissionDenied
        asked = request.GET.get("trace", "").strip().lower()
        if is_trace_id(asked):
            return redirect("admin:trace", asked)
        known = is_trace_id(trace_id)
        context: dict[str, Any] = {
            **self.each_context(request),
            "title": _("Trace"),
            "shown_trace": trace_id if known else asked or trace_id,
            "is_wrong": bool(asked or trace_id) and not known,
            "timeline": timeline(trace_events_for_operator(trace_id)) if known else None,
        }
        response = TemplateResponse(request, "accounts_app/admin/trace.html", context)
        add_never_cache_headers(response)
        return response
