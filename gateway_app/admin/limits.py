from django.contrib import admin

from gateway_app.models import RateLimit


@admin.register(RateLimit)
class RateLimitAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["organization", "scope", "subject_id", "requests_per_minute", "tokens_per_minute", "updated_at"]
    list_filter = ["scope"]
    list_select_related = ["organization"]
    search_fields = ["organization__name", "=organization__id", "=subject_id"]
    date_hierarchy = "created_at"
