from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin
from billing_app.exceptions import ModelNotPriced
from billing_app.services.prices import price_current
from gateway_app.models import GatewayAttempt, GatewayCall, LiveStream, ModelEntry, Provider
from gateway_app.services.routes import endpoint_at, endpoint_of


@admin.register(Provider)
class ProviderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "key", "kind", "base_url", "is_active", "is_set_up", "priority"]
    list_filter = ["kind", "is_active"]
    search_fields = ["key", "name", "base_url"]
    date_hierarchy = "created_at"

    @admin.display(boolean=True, description=_("set up"))
    def is_set_up(self, provider: Provider) -> bool:
        return endpoint_at(provider) is not None


class ModelEntryForm(forms.ModelForm):  # type: ignore[type-arg]
    """A model without a price cannot be switched on: its calls could not be charged."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("is_active"):
            try:
                price_current(model_key=cleaned.get("key") or self.instance.key)
            except ModelNotPriced:
                self.add_error("is_active", _("Give the model a price first; then switch it on."))
        return cleaned


@admin.register(ModelEntry)
class ModelEntryAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = ModelEntryForm
    list_display = ["key", "provider", "kind", "is_active", "is_callable", "is_default", "context_window", "prices"]
    list_filter = ["kind", "is_active", "is_default", "provider"]
    list_select_related = ["provider"]
    search_fields = ["key", "name", "upstream_name"]
    date_hierarchy = "created_at"
    readonly_fields = ["listed_at", "prices", "created_at"]

    @admin.display(boolean=True, description=_("can be called"))
    def is_callable(self, entry: ModelEntry) -> bool:
        return endpoint_of(entry) is not None

    @admin.display(description=_("prices"))
    def prices(self, entry: ModelEntry) -> str:
        # The billing room owns prices; its list shows this model's, newest first, and adds one.
        url = reverse("admin:billing_app_price_changelist") + "?" + urlencode({"q": entry.key})
        return format_html('<a href="{}">{}</a>', url, _("Prices"))


class GatewayAttemptInline(admin.TabularInline):  # type: ignore[type-arg]
    model = GatewayAttempt
    extra = 0
    can_delete = False
    fields = ["number", "provider", "status", "http_status", "error", "upstream_request_id", "started_at", "latency_ms"]
    readonly_fields = ["number", "provider", "status", "http_status", "error", "upstream_request_id"]
    readonly_fields += ["started_at", "latency_ms"]
    ordering = ["number"]

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False


@admin.register(GatewayCall)
class GatewayCallAdmin(ReadOnlyAdmin):
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
    ]
    list_filter = ["status", "ending", "provider", "model"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=trace_id", "=task_id", "=run_id", "operation_key"]
    date_hierarchy = "created_at"
    # The answer belongs to the tenant: operators see figures, not texts.
    exclude = ["response_text", "tool_calls", "request_hash"]
    inlines = [GatewayAttemptInline]


@admin.register(GatewayAttempt)
class GatewayAttemptAdmin(ReadOnlyAdmin):
    list_display = ["started_at", "call", "number", "provider", "status", "http_status", "latency_ms", "error"]
    list_filter = ["status", "provider", "http_status"]
    list_select_related = ["call"]
    search_fields = ["=call__id", "=upstream_request_id", "error"]
    date_hierarchy = "started_at"


@admin.register(LiveStream)
class LiveStreamAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "organization", "kind", "subject_id", "status", "last_seq", "closed_at"]
    list_filter = ["status", "kind"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=subject_id"]
    date_hierarchy = "created_at"
    # What was written belongs to the tenant.
    exclude = ["events", "outcome"]
