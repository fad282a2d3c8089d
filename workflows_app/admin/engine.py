"""The engine's page in the admin: what it is at, what it has done, and the runs that are stuck."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import BadRequest, PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from workflows_app.models import WorkflowRun
from workflows_app.reads.engine import engine_now, queues, slots, workers
from workflows_app.reads.figures import SPANS, EngineFigures, engine_figures, templates_used
from workflows_app.reads.stuck import runs_stuck
from workflows_app.services.operators import DEEDS, runs_control

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

PERIODS: dict[str, Promise | str] = {
    "hour": _("Last hour"),
    "day": _("24 hours"),
    "week": _("7 days"),
    "month": _("30 days"),
    "quarter": _("90 days"),
}
# How many runs one deed may be done to at a time.
MOST = 200
_KEPT = ("one", "list", "period", "template")


@dataclass(frozen=True)
class Deed:
    """What an operator may do to runs, in words."""

    button: "_StrPromise | str"
    question: "_StrPromise | str"


WORDS = {
    "requeue": Deed(
        _("Send to the workers again"),
        _("These runs are put at the head of the queue, where they want a worker or their worker has gone."),
    ),
    "cancel": Deed(_("Cancel"), _("These runs are asked to end. What they have done and paid stays.")),
    "pause": Deed(_("Pause"), _("These runs rest after the step that they are at.")),
    "resume": Deed(_("Resume"), _("These runs go on where they were paused.")),
}


def engine_page(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Show the engine. ``period`` and ``template`` are in the address."""
    if not request.user.has_perm("workflows_app.view_workflowrun"):
        raise PermissionDenied
    period = request.GET.get("period", "")
    period = period if period in SPANS else "day"
    template = request.GET.get("template", "").strip()
    figures = engine_figures(SPANS[period], template=template)
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": _("Workflow engine"),
        "period": period,
        "periods": PERIODS,
        "template": template,
        "templates": templates_used(SPANS[period]),
        "now": engine_now(),
        "figures": figures,
        "charts": _charts(figures, period),
        "queues": queues(),
        "stuck": runs_stuck(),
        "workers": workers(),
        "slots": slots(),
        "deeds": {"requeue": WORDS["requeue"], "cancel": WORDS["cancel"]},
        "may_act": request.user.has_perm("workflows_app.change_workflowrun"),
    }
    response = TemplateResponse(request, "workflows_app/admin/engine.html", context)
    add_never_cache_headers(response)
    return response


def deed_page(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Ask whether to do it, then do it: ``deed`` to the runs ``run``; afterwards back to where it was asked for."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    deed = request.POST.get("deed", "")
    if deed not in DEEDS:
        raise BadRequest
    run_ids = _ids(request.POST.getlist("run"))
    kept = {name: request.POST[name] for name in _KEPT if request.POST.get(name)}
    back = _back(kept)
    if not run_ids:
        messages.warning(request, _("Choose the runs first."))
        return redirect(back)
    if "confirmed" not in request.POST:
        return deed_question(site, request, deed, run_ids, kept)
    _allowed(request)
    done = runs_control(run_ids=run_ids, deed=deed)
    for refusal in done.refusals:
        messages.warning(request, refusal)
    told = ngettext("Done to %(number)d run.", "Done to %(number)d runs.", done.number)
    messages.success(request, told % {"number": done.number})
    return redirect(back)


def deed_question(
    site: AdminSite, request: HttpRequest, deed: str, run_ids: list[UUID], kept: dict[str, str]
) -> HttpResponse:
    """Show the runs, what will be done to them, and the button that does it. ``kept`` says where it was asked for."""
    _allowed(request)
    runs = WorkflowRun.objects.filter(pk__in=run_ids).select_related("organization", "config").defer("context", "steps")
    context: dict[str, Any] = {
        **site.each_context(request),
        "title": WORDS[deed].button,
        "deed": deed,
        "words": WORDS[deed],
        "runs": runs.order_by("-id"),
        "kept": kept,
        "back": _back(kept),
    }
    return TemplateResponse(request, "workflows_app/admin/deed.html", context)


def _allowed(request: HttpRequest) -> None:
    if not request.user.has_perm("workflows_app.change_workflowrun"):
        raise PermissionDenied


def _ids(given: list[str]) -> list[UUID]:
    try:
        return [UUID(item) for item in given[:MOST]]
    except ValueError as error:
        raise BadRequest from error


def _back(kept: dict[str, str]) -> str:
    """Where the deed was asked for: a run, the list of runs, or the engine's page with its filters."""
    if "one" in kept:
        return reverse("admin:workflows_app_workflowrun_change", args=_ids([kept["one"]]))
    if "list" in kept:
        return reverse("admin:workflows_app_workflowrun_changelist")
    return reverse("admin:workflows_app_engine") + (f"?{urlencode(kept)}" if kept else "")


def _charts(figures: EngineFigures, period: str) -> dict[str, Any]:
    points = figures.points
    return {
        "grain": SPANS[period].grain.value,
        "at": [point.at.isoformat() for point in points],
        "created": [point.created for point in points],
        "completed": [point.completed for point in points],
        "failed": [point.failed for point in points],
        "cancelled": [point.cancelled for point in points],
        "steps": [point.steps - point.steps_failed for point in points],
        "steps_failed": [point.steps_failed for point in points],
        "p50": [point.p50_ms for point in points],
        "p95": [point.p95_ms for point in points],
        "slow": [
            {"name": f"{step.template} · {step.name}", "p50": step.p50_ms, "p95": step.p95_ms}
            for step in figures.slow_steps[:10]
        ],
    }
