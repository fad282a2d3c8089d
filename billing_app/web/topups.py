"""The page where owners put money into the wallet: choose an amount, look at it, confirm."""

import uuid
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts_app.exceptions import DeepSpaceError
from accounts_app.tenancy.context import current_organization_id
from accounts_app.web.mixins import ManagerMixin
from billing_app import selectors
from billing_app.services import topups
from billing_app.templatetags.billing import exact_usd

PRESETS = (5, 10, 20, 50, 100)


class TopupForm(forms.Form):
    amount = forms.DecimalField(
        label=gettext_lazy("Amount (USD)"),
        max_digits=20,
        decimal_places=10,
        min_value=topups.LEAST,
        max_value=topups.MOST,
        widget=forms.NumberInput(attrs={"step": "0.01", "inputmode": "decimal"}),
    )
    note = forms.CharField(
        label=gettext_lazy("Note"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Stands beside the entry in the ledger."),
    )
    # Made once for each form: a second click, or the form sent again, finds the first payment under it.
    key = forms.CharField(widget=forms.HiddenInput, max_length=80)


class TopupView(ManagerMixin):
    """``GET`` asks how much; ``POST`` shows it once more; ``POST`` with ``confirmed`` does it."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(TopupForm(initial={"key": str(uuid.uuid4()), "amount": request.GET.get("amount", "")}))

    def post(self, request: HttpRequest) -> HttpResponse:
        form = TopupForm(request.POST)
        if not settings.WALLET_SELF_TOPUP or "back" in request.POST or not form.is_valid():
            return self._page(form, status=200 if "back" in request.POST else 400)
        if "confirmed" not in request.POST:
            return self._page(form, confirming=form.cleaned_data["amount"])
        return self._paid(form)

    def _paid(self, form: TopupForm) -> HttpResponse:
        amount, note, key = (form.cleaned_data[name] for name in ("amount", "note", "key"))
        try:
            wallet = topups.topup_self(amount=amount, key=f"{topups.PAGE}{key}", note=note)
        except DeepSpaceError as error:
            form.add_error(None, error.message)
            return self._page(form, status=error.status)
        text = _("%(amount)s was added. The balance is now %(balance)s.")
        messages.success(self.request, text % {"amount": exact_usd(amount), "balance": exact_usd(wallet.balance)})
        return redirect("billing:wallet")

    def _page(self, form: TopupForm, *, status: int = 200, **extra: Any) -> HttpResponse:
        context = {
            "form": form,
            "wallet": selectors.wallet_summary(current_organization_id()),
            "presets": PRESETS,
            "is_open": settings.WALLET_SELF_TOPUP,
            **extra,
        }
        return render(self.request, "billing_app/topup.html", context, status=status)
