from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin
from billing_app.models import StoredAnswer


@admin.register(StoredAnswer)
class StoredAnswerAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "organization", "key", "status", "expires_at", "trace_id"]
    list_filter = ["status"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=key", "=trace_id", "organization__name"]
    date_hierarchy = "created_at"
    exclude = ["body"]
    readonly_fields = ["text"]

    @admin.display(description=_("answer"))
    def text(self, answer: StoredAnswer) -> str:
        """The body as people read it."""
        return bytes(answer.body).decode(errors="replace")
