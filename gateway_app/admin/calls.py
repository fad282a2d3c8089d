"""The request log: model calls with their attempts. Read-only, quick on a table of any size."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import EstimatedPaginator, ReadOnlyAdmin
from gateway_app.admin.filters import OfModel, OfProvider, When
from gateway_app.models import GatewayAttempt, GatewayCall


class GatewayAttemptInline(admin.TabularInline):  # type: ignore[type-arg]
    model = GatewayAttempt
    extra = 0
    can_delete = False
    fields = ["number", "provider", "status", "http_status", "error", "upstream_request_id", "started_at", "latency_ms"]
    readonly_fields = fields
    ordering = ["number"]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class LogAdmin(ReadOnlyAdmin):
    """A partitioned log, newest first. What is searched for must match wholly, so that an index finds it."""

    paginator = EstimatedPaginator
    show_full_result_count = False
    list_per_page = 50
    search_fields = ["id"]  # shows the field; `get_search_results` decides

    def get_search_results(
        self, request: HttpRequest, queryset: "QuerySet[Any]", search_term: str
    ) -> tuple["QuerySet[Any]", bool]:
        words = search_term.strip()
        return (queryset.filter(self.found_by(words)) if words else queryset), False

    def found_by(self, words: str) -> Q:
        """Return the condition for what an operator pasted."""
        raise NotImplementedError


@admin.register(GatewayCall)
class GatewayCallAdmin(LogAdmin):
    list_display = [
        "created_at",
        "organization",
        "model",
        "provider",
        "purpose",
        "status",
        "ending",
        "cost_usd",
        "charged_usd",
        "latency_ms",
        "trace_id",
    ]
    list_filter = [When, OfModel, OfProvider, "ending", "status"]
    list_select_related = ["organization"]
    ordering = ["-id"]
    search_help_text = _("Trace id, id of the call or of its hold, or the whole operation key.")
    # The answer belongs to the tenant: operators see figures, not texts.
    exclude = ["response_text", "tool_calls", "request_hash"]
    inlines = [GatewayAttemptInline]

    def found_by(self, words: str) -> Q:
        found = Q(operation_key=words)
        if (wanted := _uuid(words)) is not None:
            found |= Q(pk=wanted) | Q(hold_id=wanted) | Q(trace_id=wanted.hex)
        return found


class AttemptWhen(When):
    id_field = "call_id"


@admin.register(GatewayAttempt)
class GatewayAttemptAdmin(LogAdmin):
    list_display = ["started_at", "call_id", "number", "provider", "status", "http_status", "latency_ms", "error"]
    list_filter = [AttemptWhen, OfProvider, "status"]
    ordering = ["-call_id", "-number"]
    search_help_text = _("Id of the call, or the provider's own id of the request.")

    def found_by(self, words: str) -> Q:
        found = Q(upstream_request_id=words)
        if (wanted := _uuid(words)) is not None:
            found |= Q(call_id=wanted)
        return found


def _uuid(text: str) -> UUID | None:
    """Return the id that ``text`` is; a trace id has as many digits as one."""
    try:
        return UUID(text)
    except ValueError:
        return None
