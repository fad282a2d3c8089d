"""The pages of the admin that move money: a form, a sentence on where things stand, one ledger entry."""

import uuid
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts_app.exceptions import DeepSpaceError


class MoneyForm(forms.Form):
    """How much, and why."""

    amount = forms.DecimalField(label=_("Amount (USD)"), max_digits=20, decimal_places=10)
    reason = forms.CharField(
        label=_("Reason"), max_length=200, help_text=_("Shown to the organization beside the entry, and audited.")
    )
    # Sent twice, it counts once.
    key = forms.CharField(widget=forms.HiddenInput, max_length=80)


def money_page(
    admin: "ModelAdmin[Any]",
    request: HttpRequest,
    row: Model,
    *,
    form: type[MoneyForm],
    deed: Callable[[dict[str, Any]], object],
    words: dict[str, Any],
) -> HttpResponse:
    """Ask, then do ``deed`` with the form's values, once for each form.

    ``words``: title, lead (where things stand), button, done (the message afterwards). Needs the permission to change
    wallets.
    """
    if not request.user.has_perm("billing_app.change_wallet"):
        raise PermissionDenied
    asked = form(request.POST or None, initial={"key": f"admin:{uuid.uuid4()}"})
    if request.method == "POST" and asked.is_valid():
        try:
            deed(asked.cleaned_data)
        except DeepSpaceError as error:
            asked.add_error(None, error.message)
        else:
            admin.message_user(request, words["done"])
            meta = admin.opts
            return redirect(reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk]))
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "original": row,
        "form": asked,
        **words,
    }
    return render(request, "billing_app/admin/money.html", context)
