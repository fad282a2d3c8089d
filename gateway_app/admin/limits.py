from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import SubjectMixin
from accounts_app.exceptions import InvalidInput
from gateway_app.models import RateLimit
from gateway_app.services.limits import rate_limit_check, rate_limit_remove, rate_limit_set


class RateLimitForm(forms.ModelForm):  # type: ignore[type-arg]
    """The service's own rules, told at the field."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.errors:
            return cleaned
        organization = cleaned.get("organization") or self.instance.organization
        try:
            rate_limit_check(
                organization_id=organization.pk,
                scope=cleaned.get("scope") or self.instance.scope,
                subject_id=cleaned.get("subject_id") or self.instance.subject_id,
                requests_per_minute=cleaned.get("requests_per_minute"),
                tokens_per_minute=cleaned.get("tokens_per_minute"),
            )
        except InvalidInput as error:
            field = error.details[0].field
            self.add_error(field if field in self.fields else None, error.message)
        return cleaned


@admin.register(RateLimit)
class RateLimitAdmin(SubjectMixin):
    """Every organization's limits. Whose one is stays: another subject has a limit of its own."""

    form = RateLimitForm
    subject_help = _("The id of the project, member or API key; for the whole organization its own.")
    list_display = ["organization", "scope", "subject", "requests_per_minute", "tokens_per_minute", "updated_at"]
    list_filter = ["scope"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=organization__id", "=subject_id", "organization__name"]
    autocomplete_fields = ["organization"]
    date_hierarchy = "created_at"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        whose = "subject" if obj else "subject_id"
        return ["organization", "scope", whose, "requests_per_minute", "tokens_per_minute"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["organization", "scope", "subject"] if obj else []

    def save_model(self, request: HttpRequest, obj: RateLimit, form: Any, change: bool) -> None:
        obj.pk = rate_limit_set(
            organization_id=obj.organization_id,
            scope=obj.scope,
            subject_id=obj.subject_id,
            requests_per_minute=obj.requests_per_minute,
            tokens_per_minute=obj.tokens_per_minute,
        ).id

    def delete_model(self, request: HttpRequest, obj: RateLimit) -> None:
        rate_limit_remove(rate_limit_id=obj.pk, organization_id=obj.organization_id)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[RateLimit]) -> None:
        for row in queryset:
            self.delete_model(request, row)
