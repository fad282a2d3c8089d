"""Operators see every organization's prompts; what runs, versions and results say never changes."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin
from prompts_app.models import (
    EvalCase,
    EvalCaseResult,
    EvalRun,
    EvalSuite,
    Prompt,
    PromptBootstrapRun,
    PromptRun,
    PromptVersion,
)


class _Inline(admin.TabularInline):  # type: ignore[type-arg]
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class _NamedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """What a thing is called may be changed; it is made, and put away, where its rules are checked."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class VersionInline(_Inline):
    model = PromptVersion
    fk_name = "prompt"
    fields = ("number", "language", "status", "content_hash", "created_at", "published_at")
    readonly_fields = fields


@admin.register(Prompt)
class PromptAdmin(_NamedAdmin):
    list_display = ["key", "name", "organization", "category", "workspace_key", "archived_at", "created_at"]
    list_filter = ["category", "workspace_key", ("organization", admin.EmptyFieldListFilter)]
    list_select_related = ["organization"]
    search_fields = ["key", "name", "description", "organization__name"]
    readonly_fields = ["organization", "user", "key", "archived_at", "created_at", "updated_at"]
    inlines = [VersionInline]


@admin.register(PromptVersion)
class PromptVersionAdmin(ReadOnlyAdmin):
    list_display = ["prompt", "number", "language", "status", "organization", "created_at", "published_at"]
    list_filter = ["status", "language"]
    list_select_related = ["prompt", "organization"]
    search_fields = ["prompt__key", "=id", "content_hash"]
    date_hierarchy = "created_at"


@admin.register(PromptRun)
class PromptRunAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "organization", "prompt", "status", "model", "tokens", "cost_usd", "error_code"]
    list_filter = ["status", "model"]
    list_select_related = ["prompt", "organization"]
    search_fields = ["=id", "=trace_id", "=operation_key", "prompt__key"]
    date_hierarchy = "created_at"

    @admin.display(description=_("tokens"))
    def tokens(self, row: PromptRun) -> int:
        """Return all tokens of the run."""
        return row.total_tokens


@admin.register(PromptBootstrapRun)
class PromptBootstrapRunAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "organization", "target", "prompt", "status", "model", "cost_usd", "error_code"]
    list_filter = ["target", "status", "model"]
    list_select_related = ["prompt", "organization"]
    search_fields = ["=id", "=trace_id", "=operation_key", "prompt__key"]
    date_hierarchy = "created_at"


class CaseInline(_Inline):
    model = EvalCase
    fields = ("position", "name", "variables", "assertions")
    readonly_fields = fields


@admin.register(EvalSuite)
class EvalSuiteAdmin(_NamedAdmin):
    list_display = ["key", "name", "organization", "workspace_key", "created_at"]
    list_filter = ["workspace_key", ("organization", admin.EmptyFieldListFilter)]
    list_select_related = ["organization"]
    search_fields = ["key", "name", "organization__name"]
    readonly_fields = ["organization", "user", "key", "created_at"]
    inlines = [CaseInline]


@admin.register(EvalCase)
class EvalCaseAdmin(ReadOnlyAdmin):
    list_display = ["suite", "position", "name", "organization"]
    list_select_related = ["suite", "organization"]
    search_fields = ["name", "suite__key"]


class ResultInline(_Inline):
    model = EvalCaseResult
    fields = ("position", "name", "outcome", "error_code", "assertions")
    readonly_fields = fields


@admin.register(EvalRun)
class EvalRunAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "organization",
        "suite",
        "target",
        "passed",
        "failed",
        "errors",
        "pass_rate",
        "cost_usd",
    ]
    list_filter = ["target"]
    list_select_related = ["suite", "organization"]
    search_fields = ["=id", "=trace_id", "suite__key"]
    date_hierarchy = "created_at"
    inlines = [ResultInline]


@admin.register(EvalCaseResult)
class EvalCaseResultAdmin(ReadOnlyAdmin):
    list_display = ["eval_run", "position", "name", "outcome", "error_code", "organization"]
    list_filter = ["outcome"]
    list_select_related = ["eval_run", "organization"]
    search_fields = ["name", "=eval_run__id"]
