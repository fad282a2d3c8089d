from django.contrib import admin

from accounts_app.admin_base import ReadOnlyAdmin
from billing_app.models import Hold, Transaction


@admin.register(Transaction)
class TransactionAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "organization", "seq", "kind", "amount", "balance_after", "frozen_after", "trace_id"]
    list_filter = ["kind"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=trace_id", "=billing_ref_id", "=idempotency_key", "=hold__id", "organization__name"]
    date_hierarchy = "created_at"


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "organization",
        "status",
        "amount",
        "captured",
        "refunded",
        "expires_at",
        "resolved_at",
    ]
    list_filter = ["status"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=trace_id", "=billing_ref_id", "organization__name"]
    date_hierarchy = "created_at"
