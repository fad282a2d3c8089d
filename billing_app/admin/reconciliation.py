from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin, amount_words
from billing_app.models import ProviderReport, ProviderReportRow, ReconciliationDifference, ReconciliationRun
from billing_app.services.reconciliation import difference_explain

# What the figures of a difference are called.
FIGURES = {
    "calls": _("calls"),
    "requests": _("requests"),
    "input_tokens": _("input tokens"),
    "output_tokens": _("output tokens"),
    "cost_usd": _("cost (USD)"),
    "charged_usd": _("charged (USD)"),
    "captured_usd": _("captured (USD)"),
}


def figures_words(figures: Mapping[str, Any]) -> str:
    """Return figures by name as one line; what was not told is a dash."""
    return " · ".join(f"{FIGURES.get(name, name)} {_figure(name, value)}" for name, value in figures.items())


def _figure(name: str, value: Any) -> str:
    if value is None:
        return "–"
    return amount_words(Decimal(value)) if name.endswith("_usd") else str(value)


class Explained(admin.SimpleListFilter):
    """Open differences first of all."""

    title = _("explained")
    parameter_name = "explained"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:
        return [("no", _("open")), ("yes", _("explained"))]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ReconciliationDifference]
    ) -> QuerySet[ReconciliationDifference]:
        wanted = self.value()
        return queryset.filter(explained_at__isnull=wanted == "no") if wanted in ("no", "yes") else queryset


@admin.register(ReconciliationDifference)
class ReconciliationDifferenceAdmin(ReadOnlyAdmin):
    """What an operator can do about a difference is to say where it comes from."""

    list_display = [
        "day",
        "kind",
        "provider",
        "model",
        "organization",
        "call_id",
        "our_figures",
        "their_figures",
        "explained_at",
    ]
    exclude = ["ours", "theirs"]
    list_filter = [Explained, "kind", "provider", "model"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=call_id", "=request_id", "organization__name", "explanation"]
    date_hierarchy = "day"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return admin.ModelAdmin.has_change_permission(self, request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        own = {"explanation", *self.exclude}
        shown = [field.name for field in self.opts.concrete_fields if field.name not in own]
        return [*shown, "our_figures", "their_figures"]

    @admin.display(description=_("our figures"))
    def our_figures(self, difference: ReconciliationDifference) -> str:
        """Return what our books say."""
        return figures_words(difference.ours)

    @admin.display(description=_("the other figures"))
    def their_figures(self, difference: ReconciliationDifference) -> str:
        """Return what the other book says."""
        return figures_words(difference.theirs)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if "explanation" in form.base_fields:
            form.base_fields["explanation"].required = True
        return form

    def save_model(
        self, request: HttpRequest, obj: ReconciliationDifference, form: "ModelForm[ReconciliationDifference]",
        change: bool,
    ) -> None:  # fmt: skip
        difference_explain(difference_id=obj.pk, explanation=obj.explanation)


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(ReadOnlyAdmin):
    list_display = ["day", "calls", "reported", "found", "created_at"]
    fields = ["day", "calls", "reported", "found", "created_at"]
    search_fields = ["=id"]
    date_hierarchy = "day"

    @admin.display(description=_("differences"), ordering="differences")
    def found(self, run: ReconciliationRun) -> str:
        """Return how many there were, and where they are listed."""
        address = reverse("admin:billing_app_reconciliationdifference_changelist")
        return format_html('<a href="{}?run__id__exact={}">{}</a>', address, run.pk, run.differences)


@admin.register(ProviderReport)
class ProviderReportAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "provider", "name", "lines", "first_day", "last_day"]
    list_filter = ["provider"]
    search_fields = ["=id", "name", "=digest"]


@admin.register(ProviderReportRow)
class ProviderReportRowAdmin(ReadOnlyAdmin):
    list_display = ["day", "provider", "model", "key", "requests", "input_tokens", "output_tokens", "cost_usd"]
    list_filter = ["provider", "model"]
    search_fields = ["=id", "=call_id", "=request_id"]
    date_hierarchy = "day"
