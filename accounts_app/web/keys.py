"""The pages of API keys."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _

from accounts_app.contracts import NewApiKey
from accounts_app.exceptions import InvalidInput
from accounts_app.models import ApiKey
from accounts_app.selectors import api_keys_visible, ip_rules
from accounts_app.services.api_keys import api_key_change, api_key_create, api_key_revoke, api_key_rotate
from accounts_app.services.principals import can_manage, can_write
from accounts_app.web.forms import ApiKeyChangeForm, ApiKeyForm, IpRuleForm, RotateForm
from accounts_app.web.mixins import OrganizationMixin


class KeysView(OrganizationMixin):
    """List the keys; make one. The new key is in the answer to the form and nowhere else; nothing stores it."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._page(ApiKeyForm())

    def post(self, request: HttpRequest) -> HttpResponse:
        form = ApiKeyForm(request.POST)
        if form.is_valid():
            try:
                return self._page(ApiKeyForm(), new_key=api_key_create(**form.key_fields()))
            except InvalidInput as error:
                form.add_error(error.details[0].field, error.message)
        return self._page(form, status=400)

    def _page(self, form: ApiKeyForm, *, status: int = 200, new_key: NewApiKey | None = None) -> HttpResponse:
        context = {"form": form, "keys": api_keys_visible(), "may_write": can_write(self.tenant), "new_key": new_key}
        response = render(self.request, "accounts_app/keys.html", context, status=status)
        add_never_cache_headers(response)
        return response


class KeyPage(OrganizationMixin):
    """Base of the views about one key, which only its owner and the organization's managers find."""

    def key(self, key_id: UUID) -> ApiKey:
        return get_object_or_404(api_keys_visible(), pk=key_id)

    def page(self, api_key: ApiKey, *, status: int = 200, **changed: Any) -> HttpResponse:
        context: dict[str, Any] = {
            "api_key": api_key,
            "form": ApiKeyChangeForm(api_key=api_key),
            "rotate_form": RotateForm(),
            "rules": ip_rules(api_key_id=api_key.pk),
            "rule_form": IpRuleForm(),
            "manages": can_manage(self.tenant),
            "may_write": can_write(self.tenant),
        }
        response = render(self.request, "accounts_app/key.html", context | changed, status=status)
        add_never_cache_headers(response)
        return response


class KeyView(KeyPage):
    """What one key opens, and the form to change it."""

    def get(self, request: HttpRequest, key_id: UUID) -> HttpResponse:
        return self.page(self.key(key_id))

    def post(self, request: HttpRequest, key_id: UUID) -> HttpResponse:
        api_key = self.key(key_id)
        form = ApiKeyChangeForm(request.POST, api_key=api_key)
        if form.is_valid():
            try:
                api_key_change(api_key_id=key_id, **form.key_fields())
            except InvalidInput as error:
                form.add_error(error.details[0].field, error.message)
            else:
                messages.success(request, _("The key is changed. It holds from the next call on."))
                return redirect("accounts:key", key_id)
        return self.page(api_key, status=400, form=form)


class KeyRotateView(KeyPage):
    """Give a key a new secret, which is in this answer and nowhere else."""

    def post(self, request: HttpRequest, key_id: UUID) -> HttpResponse:
        form = RotateForm(request.POST)
        if not form.is_valid():
            return self.page(self.key(key_id), status=400, rotate_form=form)
        new_key = api_key_rotate(api_key_id=key_id, grace=timedelta(hours=form.cleaned_data["grace_hours"]))
        return self.page(self.key(key_id), new_key=new_key)


class KeyRevokeView(KeyPage):
    """Ask, then revoke."""

    def get(self, request: HttpRequest, key_id: UUID) -> HttpResponse:
        return render(request, "accounts_app/key_revoke.html", {"api_key": self.key(key_id)})

    def post(self, request: HttpRequest, key_id: UUID) -> HttpResponse:
        api_key_revoke(api_key_id=key_id)
        messages.success(request, _("The key no longer works."))
        return redirect("accounts:keys")
