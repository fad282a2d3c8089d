from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from billing_app.contracts import PriceRef
from billing_app.exceptions import ModelNotPriced
from billing_app.services.prices import price_current
from gateway_app.models import ModelEntry, ModelRoute
from gateway_app.services.routes import candidates_of


class ModelEntryForm(forms.ModelForm):  # type: ignore[type-arg]
    """A model without a price cannot be switched on: its calls could not be charged."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        price = self._price(cleaned)
        if cleaned.get("is_active") and price is None:
            self.add_error("is_active", _("Give the model a price first; then switch it on."))
        if cleaned.get("paths") and not (price and price.per_request):
            self.add_error("paths", _("Only a model with a price per request can be reached by further paths."))
        fallback = cleaned.get("fallback")
        if fallback and fallback.kind != cleaned.get("kind"):
            self.add_error("fallback", _("A model of another kind cannot take its calls."))
        if fallback and fallback.pk == self.instance.pk:
            self.add_error("fallback", _("A model cannot stand in for itself."))
        return cleaned

    def _price(self, cleaned: dict[str, Any]) -> PriceRef | None:
        try:
            return price_current(model_key=cleaned.get("key") or self.instance.key)
        except ModelNotPriced:
            return None


class ModelRouteInline(admin.TabularInline):  # type: ignore[type-arg]
    model = ModelRoute
    extra = 0
    fields = ["provider", "upstream_name", "priority", "weight", "is_active", "listed_at"]
    readonly_fields = ["listed_at"]


@admin.register(ModelEntry)
class ModelEntryAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = ModelEntryForm
    list_display = [
        "key",
        "providers",
        "kind",
        "is_active",
        "is_callable",
        "is_default",
        "fallback",
        "context_window",
        "prices",
    ]
    list_filter = ["kind", "is_active", "is_default", "routes__provider"]
    list_select_related = ["fallback"]
    search_fields = ["key", "name", "routes__upstream_name"]
    autocomplete_fields = ["fallback"]
    date_hierarchy = "created_at"
    readonly_fields = ["prices", "created_at"]
    inlines = [ModelRouteInline]
    fieldsets = [
        (None, {"fields": ["key", "name", "kind", "is_active", "is_default", "prices", "fallback"]}),
        (_("What it can do"), {"fields": ["context_window", "max_output_tokens", "is_reasoning", "paths"]}),
        (_("Where this was read"), {"fields": ["note", "source", "source_date", "created_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelEntry]:
        return super().get_queryset(request).prefetch_related("routes__provider")

    @admin.display(description=_("providers"))
    def providers(self, entry: ModelEntry) -> str:
        routes = sorted(entry.routes.all(), key=lambda route: route.rank)
        return ", ".join(route.provider.name for route in routes if route.is_active)

    @admin.display(boolean=True, description=_("can be called"))
    def is_callable(self, entry: ModelEntry) -> bool:
        return bool(candidates_of(entry))

    @admin.display(description=_("prices"))
    def prices(self, entry: ModelEntry) -> str:
        # The billing room owns prices; its list shows this model's, newest first, and adds one.
        url = reverse("admin:billing_app_price_changelist") + "?" + urlencode({"q": entry.key})
        return format_html('<a href="{}">{}</a>', url, _("Prices"))


@admin.register(ModelRoute)
class ModelRouteAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["entry", "provider", "upstream_name", "rank", "weight", "is_active", "listed_at"]
    list_filter = ["provider", "is_active", "entry__kind"]
    list_select_related = ["entry", "provider"]
    search_fields = ["upstream_name", "entry__key", "provider__key"]
    autocomplete_fields = ["entry", "provider"]
    date_hierarchy = "created_at"
    readonly_fields = ["listed_at", "created_at"]

    @admin.display(description=_("priority"))
    def rank(self, route: ModelRoute) -> int:
        return route.rank
