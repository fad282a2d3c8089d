from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from billing_app.models import Price
from billing_app.services.prices import price_set, price_withdraw


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A price is never changed: a new one is added from a moment on; one not yet begun can be withdrawn."""

    list_display = [
        "model_key",
        "effective_from",
        "input",
        "cached_input",
        "cache_write",
        "output",
        "reasoning",
        "source",
    ]
    list_filter = ["model_key"]
    search_fields = ["model_key", "source"]
    date_hierarchy = "effective_from"
    actions = None
    fields = [
        "model_key",
        "effective_from",
        "input",
        "cached_input",
        "cache_write",
        "output",
        "reasoning",
        "per_request",
        "source",
        "source_date",
    ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        begun = isinstance(obj, Price) and obj.effective_from <= timezone.now()
        return not begun and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Price, form: "ModelForm[Price]", change: bool) -> None:
        obj.pk = price_set(**form.cleaned_data).id

    def delete_model(self, request: HttpRequest, obj: Price) -> None:
        price_withdraw(price_id=obj.pk)
