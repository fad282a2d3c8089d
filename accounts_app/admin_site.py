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

# The rooms from the ground up. What libraries keep about people stands with our own tables about them.
ROOMS = ("accounts_app", "billing_app", "gateway_app", "prompts_app", "workflows_app", "tasks_app")
ABOUT_PEOPLE = ("account", "auth", "mfa")


class OperatorSite(admin.AdminSite):
    """Adds ``admin:trace``: everything that one request caused, whoever's it was."""

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the tables by room, in the rooms' order."""
        groups: dict[str, Any] = {group["app_label"]: group for group in super().get_app_list(request, app_label)}
        if (people := groups.get(ROOMS[0])) is not None:
            for label in ABOUT_PEOPLE:
                people["models"] += groups.pop(label, {"models": []})["models"]
        return [groups[label] for label in sorted(groups, key=lambda label: (label not in ROOMS, _place(label)))]

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


def _place(label: str) -> int:
    return ROOMS.index(label) if label in ROOMS else 0
