"""The page of API keys."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _

from accounts_app.selectors import api_keys_visible
from accounts_app.services.api_keys import api_key_create, api_key_revoke
from accounts_app.services.principals import can_write
from accounts_app.web.forms import ApiKeyForm
from accounts_app.web.mixins import OrganizationMixin


class KeysView(OrganizationMixin):
    """List the keys; make one. The new key is in the answer to the form and nowhere else; nothing stores it."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(ApiKeyForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ApiKeyForm(request.POST)
        if not form.is_valid():
            return self._page(form, status=400)
        new_key = api_key_create(name=form.cleaned_data["name"], expires_at=form.expires_at())
        return self._page(ApiKeyForm(), new_key=new_key)

    def _page(self, form: ApiKeyForm, *, status: int = 200, **extra: Any) -> HttpResponse:
        context = {"form": form, "keys": api_keys_visible(), "may_write": can_write(self.tenant), **extra}
        response = render(self.request, "accounts_app/keys.html", context, status=status)
        add_never_cache_headers(response)
        return response


class KeyRevokeView(OrganizationMixin):
    """Ask, then revoke."""

    def get(self, request: HttpRequest, key_id: UUID) -> HttpResponse:
        api_key = get_object_or_404(api_keys_visible(), pk=key_id)
        return render(request, "accounts_app/key_revoke.html", {"api_key": api_key})

    def post(self, request: HttpRequest, key_id: UUID) -> HttpResponse:
        api_key_revoke(api_key_id=key_id)
        messages.success(request, _("The key no longer works."))
        return redirect("accounts:keys")
