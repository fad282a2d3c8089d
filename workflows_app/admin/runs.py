"""Runs, their steps, events and slots in the admin: read-only, with what an operator may do to a run."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin
from accounts_app.admin_lists import When
from workflows_app.admin.engine import MOST, WORDS, deed_page, deed_question, engine_page
from workflows_app.admin.run_page import run_context
from workflows_app.admin.tables import BigTableAdmin, OfRunWhen
from workflows_app.admin.workers import workers_page
from workflows_app.models import RunEvent, StepRun, WorkflowRun, WorkflowSlot

# What a list does not show: each may be 100,000 characters long.
_LONG = ("context", "steps", "signals", "visits", "wait", "config__config", "config__notes")


class StepRunInline(admin.TabularInline):  # type: ignore[type-arg]
    model = StepRun
    extra = 0
    can_delete = False
    fields = ("path", "via", "attempt", "status", "model", "tokens", "cost_usd", "started_at", "finished_at", "error")
    readonly_fields = fields
    ordering = ("started_at", "attempt")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(WorkflowRun)
class WorkflowRunAdmin(BigTableAdmin):
    """A run with its time line, its relatives and its events; and the engine's page."""

    list_display = ["short_id", "created_at", "status", "config", "stage", "organization", "cost_usd", "worker"]
    list_filter = [When, "status", "scope"]
    list_select_related = ["organization", "config"]
    search_help_text = _("Id of the run, of its subject or of its stream, or a trace id.")
    inlines = [StepRunInline]
    actions = ["requeue", "cancel", "pause", "resume"]
    change_form_template = "workflows_app/admin/run_change_form.html"
    fieldsets = [
        (None, {"fields": [
            ("id", "trace_id"), ("organization", "user"), ("config", "scope"), ("subject_id", "stream_id"),
        ]}),
        (_("Where it stands"), {"fields": [("status", "stage", "next_stage", "cursor"), "wait", "error", "cost_usd"]}),
        (_("Moments"), {"fields": [
            ("created_at", "started_at", "finished_at"), ("step_started_at", "announced_at"),
            ("due_at", "deadline_at"), ("cancel_requested_at", "pause_requested_at"),
        ]}),
        (_("Worker and queue"), {"fields": [
            ("worker", "lease_until", "token"), ("attempt", "attempts_made", "failures", "on_fallback"),
            ("crash_attempts", "steps_done"), ("is_ready", "priority", "queue_rank"),
        ]}),
        (_("Where it comes from"), {"fields": [("parent", "branch"), ("origin", "origin_seq"), "idempotency_key"]}),
        (_("What it carries"), {"classes": ["collapse"], "fields": ["context", "signals", "visits", "steps"]}),
    ]  # fmt: skip

    def found_by(self, wanted: UUID) -> Q:
        return Q(pk=wanted) | Q(subject_id=wanted) | Q(stream_id=wanted) | Q(trace_id=wanted.hex)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[WorkflowRun]":
        runs = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and match.url_name == "workflows_app_workflowrun_changelist"
        return runs.defer(*_LONG) if is_list else runs

    def get_urls(self) -> list[URLPattern]:
        return [
            path("engine/", self._of_site(engine_page), name="workflows_app_engine"),
            path("engine/deed/", self._of_site(deed_page), name="workflows_app_engine_deed"),
            path("workers/", self._of_site(workers_page), name="workflows_app_workers"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        run = self.get_object(request, object_id)
        more = run_context(run, request) if isinstance(run, WorkflowRun) else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})

    @admin.display(description=_("run"), ordering="id")
    def short_id(self, run: WorkflowRun) -> str:
        """The end of the id: its beginning is the time, which stands beside it."""
        return f"…{str(run.pk)[-12:]}"

    @admin.action(description=WORDS["requeue"].button)
    def requeue(self, request: HttpRequest, queryset: "QuerySet[WorkflowRun]") -> HttpResponse:
        return self._asked(request, queryset, "requeue")

    @admin.action(description=WORDS["cancel"].button)
    def cancel(self, request: HttpRequest, queryset: "QuerySet[WorkflowRun]") -> HttpResponse:
        return self._asked(request, queryset, "cancel")

    @admin.action(description=WORDS["pause"].button)
    def pause(self, request: HttpRequest, queryset: "QuerySet[WorkflowRun]") -> HttpResponse:
        return self._asked(request, queryset, "pause")

    @admin.action(description=WORDS["resume"].button)
    def resume(self, request: HttpRequest, queryset: "QuerySet[WorkflowRun]") -> HttpResponse:
        return self._asked(request, queryset, "resume")

    def _asked(self, request: HttpRequest, queryset: "QuerySet[WorkflowRun]", deed: str) -> HttpResponse:
        ids = list(queryset.values_list("pk", flat=True)[:MOST])
        return deed_question(self.admin_site, request, deed, ids, {"list": "yes"})

    def _of_site(self, view: Any) -> Any:
        def on_site(request: HttpRequest, **kwargs: Any) -> HttpResponse:
            response: HttpResponse = view(self.admin_site, request, **kwargs)
            return response

        return self.admin_site.admin_view(on_site)


@admin.register(StepRun)
class StepRunAdmin(BigTableAdmin):
    list_display = ["finished_at", "run_link", "path", "via", "attempt", "status", "model", "tokens", "cost_usd"]
    list_filter = [OfRunWhen, "status"]
    # By the index that the roll-up has too.
    ordering = ["-finished_at"]
    search_help_text = _("Id of the run.")

    def found_by(self, wanted: UUID) -> Q:
        return Q(run_id=wanted)

    @admin.display(description=_("run"))
    def run_link(self, row: StepRun) -> str:
        """Return the link to the run."""
        return _run_link(row.run_id)


@admin.register(RunEvent)
class RunEventAdmin(BigTableAdmin):
    list_display = ["created_at", "run_link", "seq", "type", "step_key", "attempt", "trace_id"]
    list_filter = [OfRunWhen]
    search_help_text = _("Id of the run, or a trace id.")

    def found_by(self, wanted: UUID) -> Q:
        return Q(run_id=wanted) | Q(trace_id=wanted.hex)

    @admin.display(description=_("run"))
    def run_link(self, row: RunEvent) -> str:
        """Return the link to the run."""
        return _run_link(row.run_id)


@admin.register(WorkflowSlot)
class WorkflowSlotAdmin(ReadOnlyAdmin):
    list_display = ["key", "organization", "run_link", "created_at"]
    list_select_related = ["organization"]
    search_fields = ["key", "=run__id"]

    @admin.display(description=_("run"))
    def run_link(self, row: WorkflowSlot) -> str:
        """Return the link to the run."""
        return _run_link(row.run_id)


def _run_link(run_id: UUID) -> str:
    return format_html('<a href="{}">{}</a>', reverse("admin:workflows_app_workflowrun_change", args=[run_id]), run_id)
