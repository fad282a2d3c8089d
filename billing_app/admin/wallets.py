import uuid
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin
from accounts_app.exceptions import DeepSpaceError
from billing_app.models import Wallet
from billing_app.services.wallets import wallet_adjust


class AdjustmentForm(forms.Form):
    amount = forms.DecimalField(
        label=_("Amount (USD)"),
        max_digits=20,
        decimal_places=10,
        help_text=_("Added to the balance; with a minus sign it is taken away."),
    )
    reason = forms.CharField(
        label=_("Reason"), max_length=200, help_text=_("Shown to the organization beside the entry, and audited.")
    )
    # Sent twice, it counts once.
    key = forms.CharField(widget=forms.HiddenInput, max_length=80)


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    """Balances are read-only: only a ledger entry changes one, and an adjustment is such an entry."""

    list_display = ["organization", "balance", "frozen", "available", "seq"]
    list_select_related = ["organization"]
    search_fields = ["=id", "organization__name", "organization__memberships__user__email"]
    readonly_fields = ["available"]
    change_form_template = "billing_app/admin/wallet_change_form.html"

    def get_urls(self) -> list[URLPattern]:
        adjust = self.admin_site.admin_view(self.adjust_view)
        return [path("<uuid:wallet_id>/adjust/", adjust, name="billing_app_wallet_adjust"), *super().get_urls()]

    def adjust_view(self, request: HttpRequest, wallet_id: UUID) -> HttpResponse:
        """Ask for amount and reason, then write the entry."""
        if not request.user.has_perm("billing_app.change_wallet"):
            raise PermissionDenied
        wallet = get_object_or_404(Wallet.objects.select_related("organization"), pk=wallet_id)
        form = AdjustmentForm(request.POST or None, initial={"key": f"admin:{uuid.uuid4()}"})
        if request.method == "POST" and form.is_valid() and self._adjusted(wallet, form):
            self.message_user(request, _("The balance was adjusted."), messages.SUCCESS)
            return redirect(reverse("admin:billing_app_wallet_change", args=[wallet.pk]))
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Adjust the balance"),
            "wallet": wallet,
            "form": form,
        }
        return render(request, "billing_app/admin/wallet_adjust.html", context)

    def _adjusted(self, wallet: Wallet, form: AdjustmentForm) -> bool:
        try:
            wallet_adjust(organization_id=wallet.organization_id, **form.cleaned_data)
        except DeepSpaceError as error:
            form.add_error(None, error.message)
            return False
        return True
