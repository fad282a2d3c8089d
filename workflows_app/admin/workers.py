"""The operators' page of workers: who is there, what each has in hand, and the button that lets one go."""

from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _

from workflows_app.exceptions import BrokerAway
from workflows_app.services.workers import workers_drain, workers_list


def workers_page(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Show the workers; POST lets ``name`` go, or all of them with an empty name."""
    if not request.user.has_perm("workflows_app.view_workflowrun"):
        raise PermissionDenied
    if request.method == "POST":
        return _drained(request)
    workers, problem = [], ""
    try:
        workers = workers_list()
    except BrokerAway as away:
        problem = away.message
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": _("Workers"),
        "workers": workers,
        "problem": problem,
        "may_act": request.user.has_perm("workflows_app.change_workflowrun"),
    }
    response = TemplateResponse(request, "workflows_app/admin/workers.html", context)
    add_never_cache_headers(response)
    return response


def _drained(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("workflows_app.change_workflowrun"):
        raise PermissionDenied
    name = request.POST.get("name", "")
    try:
        heard = workers_drain(names=[name] if name else None)
    except BrokerAway as away:
        messages.error(request, away.message)
        return redirect("admin:workflows_app_workers")
    for worker in heard:
        messages.success(request, _("Draining: %(worker)s finishes its steps and leaves.") % {"worker": worker})
    if not heard:
        messages.warning(request, _("No worker heard it."))
    return redirect("admin:workflows_app_workers")
