from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from accounts_app.exceptions import InvalidInput
from billing_app.models import Price
from billing_app.services.prices import image_tiers_checked, price_set, price_withdraw


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]
    """Tiers are given as JSON, amounts as texts: ``{"high/1024x1024": "0.167"}``."""

    image_tiers = forms.JSONField(
        label=capfirst(_("image tiers")),
        required=False,
        initial=dict,
        help_text=_(
            'USD per image by quality and size, such as {"high/1024x1024": "0.167"}. Images of any other cost the '
            "price per image; where that is 0, calls for them are refused."
        ),
    )

    def clean_image_tiers(self) -> dict[str, str]:
        """Refuse anything but amounts as texts: a number in JSON would be a float."""
        given = self.cleaned_data["image_tiers"] or {}
        if not isinstance(given, dict) or not all(isinstance(usd, str) for usd in given.values()):
            raise forms.ValidationError(_("Write an object whose values are amounts in quotation marks."))
        try:
            image_tiers_checked(tiers_of(given))
        except InvalidOperation:
            raise forms.ValidationError(_("This is not an amount of money.")) from None
        except InvalidInput as error:
            raise forms.ValidationError(error.message) from None
        return given


def tiers_of(given: Mapping[str, str]) -> dict[str, Decimal]:
    """Return the tiers of a form with their amounts in USD."""
    return {tier: Decimal(usd) for tier, usd in given.items()}


@admin.register(Price)
class PriceAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A price is never changed: a new one is added from a moment on; one not yet begun can be withdrawn."""

    form = PriceForm
    list_display = [
        "model_key",
        "effective_from",
        "input",
        "cached_input",
        "cache_write",
        "output",
        "reasoning",
        "per_request",
        "per_image",
        "source",
    ]
    list_filter = ["model_key"]
    search_fields = ["=id", "model_key", "source"]
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
        "per_image",
        "image_tiers",
        "source",
        "source_date",
    ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        begun = isinstance(obj, Price) and obj.effective_from <= timezone.now()
        return not begun and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Price, form: forms.Form, change: bool) -> None:
        given = form.cleaned_data
        obj.pk = price_set(**(given | {"image_tiers": tiers_of(given["image_tiers"])})).id

    def delete_model(self, request: HttpRequest, obj: Price) -> None:
        price_withdraw(price_id=obj.pk)
