from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts_app.exceptions import DeepSpaceError, InvalidInput
from accounts_app.middleware import non_atomic
from gateway_app.models import Provider
from gateway_app.services.egress import base_url_check
from gateway_app.services.provider_check import ProviderCheck, provider_check
from gateway_app.services.routes import endpoint_at, key_source
from gateway_app.services.secrets import credential_check, credential_set


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]
    """The key goes in and never comes out: a page shows at most its last four characters."""

    new_credential = forms.CharField(
        label=_("New API key"),
        required=False,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "vTextField"}),
        help_text=_("Stored encrypted and never shown again. Leave it empty to keep the one that is stored."),
    )
    remove_credential = forms.BooleanField(label=_("Remove the stored API key"), required=False)

    def clean_base_url(self) -> str:
        url = str(self.cleaned_data["base_url"])
        if url:
            _as_form_error(base_url_check, url)
        return url

    def clean_new_credential(self) -> str:
        secret = str(self.cleaned_data["new_credential"])
        _as_form_error(credential_check, secret)
        return secret

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        is_new, is_removed = bool(cleaned.get("new_credential")), bool(cleaned.get("remove_credential"))
        if is_new and is_removed:
            self.add_error("remove_credential", _("Either a new key, or none."))
        # Whoever may change the address must not be able to have the key sent there.
        if self.instance.credential and "base_url" in self.changed_data and not (is_new or is_removed):
            self.add_error("new_credential", _("The stored key was given for the old address: enter the key again."))
        return cleaned


@admin.register(Provider)
class ProviderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who serves models. The button "Test the connection" asks a provider for its list of models."""

    form = ProviderForm
    change_form_template = "gateway_app/admin/provider.html"
    list_display = ["name", "key", "kind", "base_url", "is_active", "is_set_up", "key_source", "models", "priority"]
    list_filter = ["kind", "is_active"]
    search_fields = ["key", "name", "base_url"]
    date_hierarchy = "created_at"
    actions = None
    readonly_fields = ["key_source", "stored_key", "is_set_up", "created_at"]
    fieldsets = [
        (None, {"fields": ["name", "key", "kind", "is_active", "is_set_up"]}),
        (_("Where it is"), {"fields": ["base_url", "base_url_setting"]}),
        (
            _("Its API key"),
            {
                "fields": ["key_source", "stored_key", "new_credential", "remove_credential", "api_key_setting"],
                "description": _("A key in a setting of this machine comes before the one stored here."),
            },
        ),
        (_("Traffic"), {"fields": ["priority", "max_concurrency"]}),
        (
            _("Time limits"),
            {
                "fields": [
                    "connect_timeout_ms",
                    "first_token_timeout_ms",
                    "between_tokens_timeout_ms",
                    "total_timeout_ms",
                ]
            },
        ),
        (None, {"fields": ["created_at"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        rows: QuerySet[Provider] = super().get_queryset(request)
        return rows.annotate(model_count=Count("routes__entry", distinct=True))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        # The catalogue that ships, settings and the calls on record know a provider by its key.
        return [*self.readonly_fields, "key"] if obj else list(self.readonly_fields)

    def get_urls(self) -> list[URLPattern]:
        # Not in the request's transaction: it waits for the network.
        test = non_atomic(self.admin_site.admin_view(self.test_view))
        return [path("<uuid:provider_id>/test/", test, name="gateway_app_provider_test"), *super().get_urls()]

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        secret = form.cleaned_data["new_credential"]
        if secret or (form.cleaned_data["remove_credential"] and obj.credential):
            credential_set(provider=obj, secret=secret)

    @admin.display(boolean=True, description=_("set up"))
    def is_set_up(self, provider: Provider) -> bool:
        return endpoint_at(provider) is not None

    @admin.display(description=_("key from"))
    def key_source(self, provider: Provider) -> str:
        source = key_source(provider)
        return gettext("stored here") if source == "stored" else source

    @admin.display(description=_("stored API key"))
    def stored_key(self, provider: Provider) -> str:
        return f"…{provider.credential_hint}" if provider.credential else ""

    @admin.display(description=_("models"), ordering="model_count")
    def models(self, provider: Provider) -> int:
        return int(provider.model_count)  # type: ignore[attr-defined]

    def test_view(self, request: HttpRequest, provider_id: UUID) -> HttpResponse:
        """Ask one provider, and say on its page what it answered."""
        with transaction.atomic():
            provider = Provider.objects.filter(pk=provider_id).first()
            if not self.has_change_permission(request, provider):
                raise PermissionDenied
        if provider is None or request.method != "POST":
            raise Http404
        self._test(request, provider)
        return HttpResponseRedirect(reverse("admin:gateway_app_provider_change", args=[provider.pk]))

    def _test(self, request: HttpRequest, provider: Provider) -> None:
        try:
            check = provider_check(provider=provider)
        except DeepSpaceError as error:
            self.message_user(request, f"{provider}: {error.message}", messages.ERROR)
            return
        level = messages.SUCCESS if check.is_good else messages.WARNING
        self.message_user(request, f"{provider}: {_sentence(check)}", level)


def _sentence(check: ProviderCheck) -> str:
    figures = {"status": check.http_status, "models": check.models, "ms": check.latency_ms}
    if check.is_good:
        return gettext("It answers with %(models)d models, in %(ms)d ms.") % figures
    if check.http_status in {401, 403}:
        return gettext("It is there, but refuses our API key (HTTP %(status)d).") % figures
    return gettext("It answers, but not with a list of models (HTTP %(status)d).") % figures


def _as_form_error(check: Any, value: str) -> None:
    try:
        check(value)
    except InvalidInput as error:
        raise forms.ValidationError(error.message) from error
