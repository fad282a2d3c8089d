from decimal import Decimal
from uuid import uuid4

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts_app.tenancy.models import TenantIndexedModel


class BudgetScope(models.TextChoices):
    """Whose calls count: all of the organization's, or those of one project, member or API key."""

    ORGANIZATION = "organization", pgettext_lazy("budget", "Organization")
    PROJECT = "project", pgettext_lazy("budget", "Project")
    MEMBER = "member", pgettext_lazy("budget", "Member")
    KEY = "key", pgettext_lazy("budget", "API key")


class BudgetPeriod(models.TextChoices):
    """How long spending counts: a day or a month (both UTC), or for ever."""

    DAY = "day", pgettext_lazy("budget", "Day")
    MONTH = "month", pgettext_lazy("budget", "Month")
    TOTAL = "total", pgettext_lazy("budget", "In total")


class BudgetAction(models.TextChoices):
    """What a call gets that does not fit: a refusal, or the cheaper model that the catalogue names, if that fits."""

    REFUSE = "refuse", pgettext_lazy("budget", "Refuse the call")
    FALLBACK = "fallback", pgettext_lazy("budget", "Use the cheaper model")


class Budget(TenantIndexedModel):
    """How much may be spent, in USD. `ledger_hold` reads it with every call, so a change holds at once."""

    scope = models.CharField(_("scope"), max_length=12, choices=BudgetScope)
    # The project, the member's user or the API key; of the rooms below, and it may go: no foreign key.
    subject_id = models.UUIDField(_("subject"), null=True, blank=True)
    period = models.CharField(_("period"), max_length=5, choices=BudgetPeriod)
    limit_usd = models.DecimalField(_("limit (USD)"), max_digits=20, decimal_places=10)
    soft_percent = models.PositiveSmallIntegerField(_("warn at (%)"), default=80)
    on_exceed = models.CharField(_("when exceeded"), max_length=8, choices=BudgetAction, default=BudgetAction.REFUSE)
    is_active = models.BooleanField(_("active"), default=True)
    updated_at = models.DateTimeField(_("changed at"), auto_now=True)

    class Meta:
        db_table = "budgets"
        verbose_name = _("budget")
        verbose_name_plural = _("budgets")
        ordering = ["scope", "created_at", "id"]
        constraints = [
            # Also the index that finds the budgets of a call.
            models.UniqueConstraint(
                fields=["organization", "scope", "subject_id", "period"], name="budget_once", nulls_distinct=False
            ),
            models.UniqueConstraint(fields=["organization", "id"], name="budget_in_organization"),
            models.CheckConstraint(condition=Q(scope__in=BudgetScope.values), name="budget_scope_known"),
            models.CheckConstraint(condition=Q(period__in=BudgetPeriod.values), name="budget_period_known"),
            models.CheckConstraint(condition=Q(on_exceed__in=BudgetAction.values), name="budget_on_exceed_known"),
            models.CheckConstraint(
                condition=Q(scope="organization", subject_id__isnull=True)
                | (~Q(scope="organization") & Q(subject_id__isnull=False)),
                name="budget_subject_when_scoped",
            ),
            models.CheckConstraint(condition=Q(limit_usd__gte=0), name="budget_limit_not_negative"),
            models.CheckConstraint(
                condition=Q(soft_percent__gte=1, soft_percent__lte=100), name="budget_soft_percent_1_to_100"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scope} {self.limit_usd.normalize():f} USD / {self.period}"

    @property
    def soft_usd(self) -> Decimal:
        """The sum (USD) from which on people are warned."""
        return self.limit_usd * self.soft_percent / 100


class BudgetWindow(models.Model):
    """What a budget has taken in one period, in USD: changed by the ledger's functions, under the wallet's lock."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    # Checked by the composite key to the budget.
    budget = models.ForeignKey(
        Budget, on_delete=models.CASCADE, related_name="windows", db_constraint=False, db_index=False
    )
    # First day (UTC); 1970-01-01 for a budget without end.
    period_start = models.DateField(_("since"))
    # The part of `spent` that was spent in this period before the budget was set, by the daily roll-up.
    opening = models.DecimalField(_("spent before (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    spent = models.DecimalField(_("spent (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    held = models.DecimalField(_("held (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    # When the first call did not fit.
    refused_at = models.DateTimeField(_("first refusal"), null=True, blank=True)
    notified_soft_at = models.DateTimeField(_("warned at"), null=True, blank=True)
    notified_hard_at = models.DateTimeField(_("limit reported at"), null=True, blank=True)

    class Meta:
        db_table = "budget_windows"
        verbose_name = _("budget window")
        verbose_name_plural = _("budget windows")
        ordering = ["-period_start", "id"]
        constraints = [
            models.UniqueConstraint(fields=["budget", "period_start"], name="budget_window_once"),
            models.CheckConstraint(
                condition=Q(opening__gte=0, spent__gte=0, held__gte=0), name="budget_window_not_negative"
            ),
        ]
        indexes = [
            # the job that writes to people: windows of the present periods that may be news yet
            models.Index(
                fields=["period_start"], condition=Q(notified_hard_at__isnull=True), name="budget_window_unreported"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.period_start} {self.spent.normalize():f} USD"
