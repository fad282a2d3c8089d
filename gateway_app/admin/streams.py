from django.contrib import admin

from accounts_app.admin_base import ReadOnlyAdmin
from gateway_app.models import LiveStream


@admin.register(LiveStream)
class LiveStreamAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "organization", "kind", "subject_id", "status", "last_seq", "closed_at"]
    list_filter = ["status", "kind"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=subject_id"]
    date_hierarchy = "created_at"
    # What was written belongs to the tenant.
    exclude = ["events", "outcome"]
