from uuid import UUID

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin, amount_words
from billing_app.admin.money import MoneyForm, money_page
from billing_app.models import Budget, Hold, Transaction, UsageRecord, Wallet
from billing_app.services.wallets import wallet_adjust


class AdjustmentForm(MoneyForm):
    amount = forms.DecimalField(
        label=_("Amount (USD)"),
        max_digits=20,
        decimal_places=10,
        help_text=_("Added to the balance; with a minus sign it is taken away."),
    )


@admin.register(Wallet)
class WalletAdmin(ReadOnlyAdmin):
    """Balances are read-only: only a ledger entry changes one, and an adjustment is such an entry."""

    list_display = ["organization", "balance", "frozen", "left", "seq"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=organization__id", "organization__name", "organization__memberships__user__email"]
    readonly_fields = ["left", "books"]
    change_form_template = "billing_app/admin/wallet_change_form.html"

    @admin.display(description=_("available (USD)"))
    def left(self, wallet: Wallet) -> str:
        """What holds have not set aside."""
        return amount_words(wallet.available)

    @admin.display(description=_("books"))
    def books(self, wallet: Wallet) -> SafeString:
        """Links to what belongs to the organization."""
        links = (
            (reverse(f"admin:billing_app_{model._meta.model_name}_changelist"), model._meta.verbose_name_plural)  # noqa: SLF001 - Django's documented Meta API
            for model in (Transaction, Hold, UsageRecord, Budget)
        )
        found = ((address, wallet.organization_id, words) for address, words in links)
        return format_html_join(" · ", '<a href="{}?organization__id__exact={}">{}</a>', found)

    def get_urls(self) -> list[URLPattern]:
        adjust = self.admin_site.admin_view(self.adjust_view)
        return [path("<uuid:wallet_id>/adjust/", adjust, name="billing_app_wallet_adjust"), *super().get_urls()]

    def adjust_view(self, request: HttpRequest, wallet_id: UUID) -> HttpResponse:
        """Ask for amount and reason, then write the entry."""
        wallet = get_object_or_404(Wallet.objects.select_related("organization"), pk=wallet_id)
        lead = gettext("%(organization)s: balance %(balance)s USD, of which %(frozen)s USD are frozen.")
        figures = {
            "organization": wallet.organization,
            "balance": amount_words(wallet.balance),
            "frozen": amount_words(wallet.frozen),
        }
        return money_page(
            self,
            request,
            wallet,
            form=AdjustmentForm,
            deed=lambda asked: wallet_adjust(organization_id=wallet.organization_id, **asked),
            words={
                "title": gettext("Adjust the balance"),
                "lead": lead % figures,
                "button": gettext("Adjust"),
                "done": gettext("The balance was adjusted."),
            },
        )
