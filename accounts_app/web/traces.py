from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts_app.exceptions import NotFound
from accounts_app.services.traces import is_trace_id, trace_events
from accounts_app.web.mixins import OrganizationMixin
from accounts_app.web.timeline import timeline


class TraceSearchView(OrganizationMixin):
    """Ask for a trace id, then show it."""

    def get(self, request: HttpRequest) -> HttpResponse:
        asked = request.GET.get("trace", "").strip().lower()
        if is_trace_id(asked):
            return redirect("accounts:trace", asked)
        return render(request, "accounts_app/trace.html", {"shown_trace": asked, "is_wrong": bool(asked)})


class TraceView(OrganizationMixin):
    """What one request caused in the caller's organization; of anybody else's there is nothing to find."""

    def get(self, request: HttpRequest, trace_id: str) -> HttpResponse:
        events = trace_events(trace_id)
        if not events:
            raise NotFound
        return render(request, "accounts_app/trace.html", {"shown_trace": trace_id, "timeline": timeline(events)})
