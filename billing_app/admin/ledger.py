from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin, amount_words
from accounts_app.services.audit import audit_record
from billing_app.admin.money import MoneyForm, money_page
from billing_app.models import Hold, HoldStatus, Transaction
from billing_app.services.holds import capture_refund


@admin.register(Transaction)
class TransactionAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "kind",
        "amount",
        "balance_after",
        "frozen_after",
        "organization",
        "seq",
        "note",
        "hold_link",
        "trace_id",
    ]
    list_filter = ["kind"]
    list_select_related = ["organization"]
    search_fields = [
        "=id",
        "=trace_id",
        "=billing_ref_id",
        "=idempotency_key",
        "=hold__id",
        "=hash",
        "organization__name",
    ]
    search_help_text = _("A trace id, the id of a call, hold or entry, an idempotency key, or an organization’s name.")
    date_hierarchy = "created_at"
    show_full_result_count = False

    @admin.display(description=_("hold"))
    def hold_link(self, entry: Transaction) -> str:
        """The hold that the entry is about."""
        if entry.hold_id is None:
            return "–"
        address = reverse("admin:billing_app_hold_change", args=[entry.hold_id])
        return format_html('<a href="{}">{}…</a>', address, str(entry.hold_id)[:8])


class Overdue(admin.SimpleListFilter):
    """Open holds whose time is over: the sweep should have given them back."""

    title = _("overdue")
    parameter_name = "overdue"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:
        return [("yes", _("open past their time"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        late = queryset.filter(status=HoldStatus.OPEN, expires_at__lt=timezone.now())
        return late if self.value() == "yes" else queryset


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    """A hold is resolved by its call; what was captured can be paid back here."""

    list_display = [
        "created_at",
        "status",
        "amount",
        "captured",
        "refunded",
        "organization",
        "expires_at",
        "resolved_at",
        "trace_id",
    ]
    list_filter = ["status", Overdue]
    list_select_related = ["organization"]
    search_fields = ["=id", "=trace_id", "=billing_ref_id", "=project_id", "=api_key_id", "organization__name"]
    search_help_text = _("A trace id, the id of a call, hold, project or key, or an organization’s name.")
    date_hierarchy = "created_at"
    show_full_result_count = False
    change_form_template = "billing_app/admin/hold_change_form.html"

    def get_urls(self) -> list[URLPattern]:
        refund = self.admin_site.admin_view(self.refund_view)
        return [path("<uuid:hold_id>/refund/", refund, name="billing_app_hold_refund"), *super().get_urls()]

    def refund_view(self, request: HttpRequest, hold_id: UUID) -> HttpResponse:
        """Ask for amount and reason, then pay back."""
        hold = get_object_or_404(Hold.objects.select_related("organization"), pk=hold_id)
        lead = gettext("%(organization)s: captured %(captured)s USD, of which %(refunded)s USD were paid back.")
        figures = {
            "organization": hold.organization,
            "captured": amount_words(hold.captured),
            "refunded": amount_words(hold.refunded),
        }
        return money_page(
            self,
            request,
            hold,
            form=MoneyForm,
            deed=lambda asked: _refund(hold, **asked),
            words={
                "title": gettext("Pay back"),
                "lead": lead % figures,
                "button": gettext("Pay back"),
                "done": gettext("The amount was paid back."),
            },
        )


def _refund(hold: Hold, *, amount: Any, key: str, reason: str) -> None:
    refunded = capture_refund(hold_id=hold.pk, amount=amount, key=key, note=reason)
    data = {"amount": str(refunded), "note": reason, "by_operator": True}
    audit_record(action="wallet.refund", target_type="hold", target_id=hold.pk, data=data)
