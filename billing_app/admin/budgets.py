from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts_app.admin_base import ReadOnlyAdmin, SubjectMixin, amount_words
from billing_app.models import Budget, BudgetWindow
from billing_app.services.budgets import (
    budget_change,
    budget_remove,
    budget_set,
    over_soft,
    subject_name,
    windows_present,
)

CHANGEABLE = ("limit_usd", "soft_percent", "on_exceed", "is_active")


class PresentWindows(admin.SimpleListFilter):
    """Windows of the day, month or eternity that it is now."""

    title = _("period")
    parameter_name = "present"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, Any]]:
        return [("now", _("now")), ("soft", _("now, over the warning")), ("full", _("now, used up"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[BudgetWindow]) -> QuerySet[BudgetWindow]:
        if not self.value():
            return queryset
        present = queryset.filter(pk__in=windows_present().values("pk"))
        if self.value() == "soft":
            return present.filter(spent__gte=over_soft())
        return present.filter(budget__limit_usd__lte=F("spent") + F("held")) if self.value() == "full" else present


class BudgetForm(forms.ModelForm):  # type: ignore[type-arg]
    """Says at the field what the service would refuse."""

    def clean(self) -> dict[str, Any]:
        """Look the subject up in the organization."""
        given: dict[str, Any] = super().clean() or {}
        organization, scope = given.get("organization"), given.get("scope")
        if organization and scope and subject_name(organization.pk, scope, given.get("subject_id")) is None:
            self.add_error("subject_id", _("There is no such project, member or key."))
        return given


@admin.register(Budget)
class BudgetAdmin(SubjectMixin):
    """Every organization's budgets. Whose one is, and its period, stay: set another one beside it."""

    form = BudgetForm
    list_display = [
        "organization",
        "scope",
        "subject",
        "period",
        "limit",
        "soft_percent",
        "on_exceed",
        "is_active",
        "updated_at",
    ]
    list_filter = ["scope", "period", "on_exceed", "is_active"]
    list_select_related = ["organization"]
    search_fields = ["=id", "=subject_id", "=organization__id", "organization__name"]
    autocomplete_fields = ["organization"]
    date_hierarchy = "created_at"

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return ["organization", "scope", "subject" if obj else "subject_id", "period", *CHANGEABLE]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["organization", "scope", "subject", "period"] if obj else []

    @admin.display(description=_("limit (USD)"), ordering="limit_usd")
    def limit(self, budget: Budget) -> str:
        """Return the limit without idle zeros."""
        return amount_words(budget.limit_usd)

    def save_model(self, request: HttpRequest, obj: Budget, form: forms.Form, change: bool) -> None:
        changes = {name: getattr(obj, name) for name in CHANGEABLE}
        if change:
            budget_change(budget_id=obj.pk, **changes)
            return
        chosen = {name: getattr(obj, name) for name in ("scope", "subject_id", "period", "organization_id")}
        obj.pk = budget_set(**chosen, **changes).id

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """A budget takes its windows along, which nobody may delete by themselves."""
        deleted, counts, _permissions, protected = super().get_deleted_objects(objs, request)
        return deleted, counts, set(), protected

    def delete_model(self, request: HttpRequest, obj: Budget) -> None:
        budget_remove(budget_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Budget]) -> None:
        for budget in queryset:
            self.delete_model(request, budget)


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
