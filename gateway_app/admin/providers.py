from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from gateway_app.models import Provider
from gateway_app.services.routes import endpoint_at


@admin.register(Provider)
class ProviderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "key", "kind", "base_url", "is_active", "is_set_up", "priority"]
    list_filter = ["kind", "is_active"]
    search_fields = ["key", "name", "base_url"]
    date_hierarchy = "created_at"

    @admin.display(boolean=True, description=_("set up"))
    def is_set_up(self, provider: Provider) -> bool:
        return endpoint_at(provider) is not None
