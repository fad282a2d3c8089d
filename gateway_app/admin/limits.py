from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from gateway_app.models import RateLimit
from gateway_app.services.limits import rate_limit_remove, rate_limit_set


@admin.register(RateLimit)
class RateLimitAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Every organization's limits. Whose one is stays: another subject has a limit of its own."""

    list_display = ["organization", "scope", "subject_id", "requests_per_minute", "tokens_per_minute", "updated_at"]
    list_filter = ["scope"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=organization__id", "=subject_id", "organization__name"]
    autocomplete_fields = ["organization"]
    date_hierarchy = "created_at"
    fields = ["organization", "scope", "subject_id", "requests_per_minute", "tokens_per_minute"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["organization", "scope", "subject_id"] if obj else []

    def save_model(self, request: HttpRequest, obj: RateLimit, form: "ModelForm[RateLimit]", change: bool) -> None:
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
