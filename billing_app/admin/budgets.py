from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin
from billing_app.models import Budget, BudgetWindow
from billing_app.services.budgets import over_soft, windows_present


class PresentWindows(admin.SimpleListFilter):
    """Windows of the day, month or eternity that it is now."""

    title = _("period")
    parameter_name = "present"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, object]]:
        return [("now", _("now")), ("soft", _("now, over the warning")), ("full", _("now, used up"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[BudgetWindow]) -> QuerySet[BudgetWindow]:
        if not self.value():
            return queryset
        present = queryset.filter(pk__in=windows_present().values("pk"))
        if self.value() == "soft":
            return present.filter(spent__gte=over_soft())
        return present.filter(budget__limit_usd__lte=F("spent") + F("held")) if self.value() == "full" else present


@admin.register(Budget)
class BudgetAdmin(ReadOnlyAdmin):
    """Owners and admins of the organization set budgets on their page; here operators see them."""

    list_display = [
        "organization",
        "scope",
        "subject_id",
        "period",
        "limit_usd",
        "soft_percent",
        "on_exceed",
        "is_active",
        "updated_at",
    ]
    list_filter = ["scope", "period", "on_exceed", "is_active"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=subject_id", "organization__name"]
    date_hierarchy = "created_at"


@admin.register(BudgetWindow)
class BudgetWindowAdmin(ReadOnlyAdmin):
    list_display = [
        "period_start",
        "organization",
        "budget",
        "opening",
        "spent",
        "held",
        "refused_at",
        "notified_soft_at",
        "notified_hard_at",
    ]
    list_filter = [PresentWindows, "budget__scope", "budget__period"]
    list_select_related = ["organization", "budget"]
    search_fields = ["=id", "=budget__id", "=budget__subject_id", "organization__name"]
    date_hierarchy = "period_start"
