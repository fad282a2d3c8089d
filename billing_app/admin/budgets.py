from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin
from billing_app.models import Budget, BudgetPeriod, BudgetWindow
from billing_app.selectors.budgets import period_start


class PresentWindows(admin.SimpleListFilter):
    """Windows of the day, month or eternity that it is now."""

    title = _("period")
    parameter_name = "present"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, object]]:
        return [("now", _("now")), ("soft", _("now, over the warning")), ("full", _("now, used up"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[BudgetWindow]) -> QuerySet[BudgetWindow]:
        if not self.value():
            return queryset
        today = timezone.now().date()
        now = Q()
        for period in BudgetPeriod.values:
            now |= Q(budget__period=period, period_start=period_start(period, today))
        present = queryset.filter(now)
        taken = F("opening") + F("spent")
        if self.value() == "soft":
            return present.filter(budget__limit_usd__lte=taken * 100 / F("budget__soft_percent"))
        return present.filter(budget__limit_usd__lte=taken + F("held")) if self.value() == "full" else present


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
        "notified_soft_at",
        "notified_hard_at",
    ]
    list_filter = [PresentWindows, "budget__scope", "budget__period"]
    list_select_related = ["organization", "budget"]
    search_fields = ["=id", "=budget__id", "=budget__subject_id", "organization__name"]
    date_hierarchy = "period_start"
