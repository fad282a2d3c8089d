from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts_app.tenancy.models import TenantIndexedModel


class Wallet(TenantIndexedModel):
    """An organization's money in USD. Only the functions in billing_app/sql change it, always with a ledger entry."""

    balance = models.DecimalField(_("balance (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    # The part of the balance that open holds have set aside.
    frozen = models.DecimalField(_("frozen (USD)"), max_digits=20, decimal_places=10, default=Decimal(0))
    # Number of the last ledger entry: a missing one leaves a gap that the ledger check names.
    seq = models.BigIntegerField(_("last entry"), default=0)
    # Hash of the last entry, which the next one continues; empty before the first.
    hash = models.CharField(_("hash of the last entry"), max_length=64, blank=True, default="")

    class Meta:
        db_table = "wallets"
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        constraints = [
            models.UniqueConstraint(fields=["organization"], name="wallet_one_per_organization"),
            # Target of the composite keys that keep holds and entries within the wallet's own organization.
            models.UniqueConstraint(fields=["organization", "id"], name="wallet_in_organization"),
            models.CheckConstraint(condition=Q(balance__gte=0), name="wallet_balance_not_negative"),
            models.CheckConstraint(condition=Q(frozen__gte=0), name="wallet_frozen_not_negative"),
            models.CheckConstraint(condition=Q(balance__gte=F("frozen")), name="wallet_available_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.balance.normalize():f} USD"

    @property
    def available(self) -> Decimal:
        """What new holds may take, in USD."""
        return self.balance - self.frozen
