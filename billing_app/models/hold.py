from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from accounts_app.tenancy.models import TenantModel
from billing_app.models.wallet import Wallet


class HoldStatus(models.TextChoices):
    """Open until it resolves, once: captured (wholly or in part, the rest goes back), released, or expired by time."""

    OPEN = "open", pgettext_lazy("hold", "Open")
    CAPTURED = "captured", pgettext_lazy("hold", "Captured")
    RELEASED = "released", pgettext_lazy("hold", "Released")
    EXPIRED = "expired", pgettext_lazy("hold", "Expired")


class Hold(TenantModel):
    """Money set aside before a model call, in USD."""

    # Checked by the composite key to the wallet; the hold is written on the hot path.
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    user = models.ForeignKey(
        "accounts_app.User", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_constraint=False,
        db_index=False,
    )  # fmt: skip
    # Books outlive what they are about: nothing with entries can be deleted.
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, related_name="holds", db_constraint=False, db_index=False
    )
    # Whose call it is: facts that stay when project or key are gone.
    project_id = models.UUIDField(_("project"), null=True, blank=True)
    api_key_id = models.UUIDField(_("API key"), null=True, blank=True)
    # Where the amount is reserved, and where what is captured will count as spent.
    budget_windows = ArrayField(
        models.UUIDField(), verbose_name=_("budget windows"), default=list, db_default=[], blank=True
    )
    amount = models.DecimalField(_("amount (USD)"), max_digits=20, decimal_places=10)
    captured = models.DecimalField(_("captured (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    refunded = models.DecimalField(_("refunded (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    status = models.CharField(_("status"), max_length=10, choices=HoldStatus, default=HoldStatus.OPEN)
    billing_ref_id = models.CharField(_("billing reference"), max_length=100)
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)
    expires_at = models.DateTimeField(_("expires at"))
    resolved_at = models.DateTimeField(_("resolved at"), null=True, blank=True)

    class Meta:
        db_table = "holds"
        verbose_name = _("hold")
        verbose_name_plural = _("holds")
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="hold_in_organization"),
            models.CheckConstraint(condition=Q(status__in=HoldStatus.values), name="hold_status_known"),
            models.CheckConstraint(condition=Q(amount__gt=0), name="hold_amount_positive"),
            models.CheckConstraint(
                condition=Q(captured__gte=0) & Q(captured__lte=F("amount")), name="hold_captured_within_amount"
            ),
            models.CheckConstraint(
                condition=Q(status=HoldStatus.CAPTURED) | Q(captured=0), name="hold_captured_only_when_captured"
            ),
            models.CheckConstraint(
                condition=Q(refunded__gte=0) & Q(refunded__lte=F("captured")), name="hold_refunded_within_captured"
            ),
            models.CheckConstraint(
                condition=Q(status=HoldStatus.OPEN, resolved_at__isnull=True)
                | (~Q(status=HoldStatus.OPEN) & Q(resolved_at__isnull=False)),
                name="hold_resolved_at_when_resolved",
            ),
        ]
        indexes = [
            # the sweep: open holds that ran out of time, oldest first
            models.Index(fields=["expires_at"], condition=Q(status="open"), name="hold_open_by_expiry"),
            # a call's holds, for the ledger check and the admin's search
            models.Index(fields=["organization", "billing_ref_id"], name="hold_by_billing_ref"),
        ]

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} USD · {self.status}"
