"""The request log: model calls with their attempts. Read-only, quick on a table of any size."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin
from accounts_app.admin_lists import EstimatedPaginator, When, uuid_or_none
from gateway_app.admin.filters import OfModel, OfProvider
from gateway_app.models import GatewayAnswer, GatewayAttempt, GatewayCall, GatewayOperation


class GatewayAttemptInline(admin.TabularInline):  # type: ignore[type-arg]
    model = GatewayAttempt
    extra = 0
    can_delete = False
    fields = ("number", "provider", "status", "http_status", "error", "upstream_request_id", "started_at", "latency_ms")
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
    search_help_text = _("Trace id, id of the call, or an Idempotency-Key that is still kept.")
    inlines = [GatewayAttemptInline]

    def found_by(self, words: str) -> Q:
        # Keys are forgotten in time, so their table stays small; the calls are then found by their ids.
        keys = Q(operation_key=words) | Q(operation_key__endswith=f":{words}")
        found = Q(pk__in=list(GatewayOperation.objects.filter(keys).values_list("call_id", flat=True)[:100]))
        if (wanted := uuid_or_none(words)) is not None:
            found |= Q(pk=wanted) | Q(trace_id=wanted.hex)
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
        if (wanted := uuid_or_none(words)) is not None:
            found = Q(call_id=wanted)
        return found


@admin.register(GatewayOperation)
class GatewayOperationAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "organization", "operation_key", "call_id"]
    list_select_related = ["organization"]
    search_fields = ["=operation_key"]
    exclude = ["request_hash"]


@admin.register(GatewayAnswer)
class GatewayAnswerAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "organization", "id", "http_status", "content_type"]
    list_select_related = ["organization"]
    # The answer belongs to the tenant: operators see that there is one, not what it says.
    exclude = ["text", "tool_calls", "body"]
