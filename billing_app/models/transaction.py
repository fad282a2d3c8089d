import uuid

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from billing_app.models.hold import Hold
from billing_app.models.wallet import Wallet


class TransactionKind(models.TextChoices):
    """What an entry does. Topup, refund: balance up. Adjust: balance by a signed amount. Hold: frozen up.

    Release: frozen down. Capture: balance and frozen down.
    """

    TOPUP = "topup", pgettext_lazy("ledger entry", "Top-up")
    HOLD = "hold", pgettext_lazy("ledger entry", "Hold")
    CAPTURE = "capture", pgettext_lazy("ledger entry", "Capture")
    RELEASE = "release", pgettext_lazy("ledger entry", "Release")
    REFUND = "refund", pgettext_lazy("ledger entry", "Refund")
    ADJUST = "adjust", pgettext_lazy("ledger entry", "Adjustment")


_RARE = [TransactionKind.TOPUP, TransactionKind.REFUND, TransactionKind.ADJUST]
_OF_HOLDS = [TransactionKind.HOLD, TransactionKind.CAPTURE, TransactionKind.RELEASE, TransactionKind.REFUND]


class Transaction(models.Model):
    """One ledger entry, in USD. Append-only: a trigger refuses UPDATE and DELETE, a correction is a new entry."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Without keys of their own to organization, wallet and hold: the composite ones below keep all three (see the
    # migrations), and each key costs every entry a look-up.
    organization = models.ForeignKey(
        "accounts_app.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    # No foreign key: the entry outlives the user, and SET NULL would be an UPDATE.
    user_id = models.UUIDField(_("user"), null=True, blank=True)
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, related_name="transactions", db_constraint=False, db_index=False
    )
    # 1, 2, 3 … within the wallet: the order in which its balance changed.
    seq = models.BigIntegerField(_("entry"))
    kind = models.CharField(_("kind"), max_length=10, choices=TransactionKind)
    # Without sign, except for adjustments; the kind says which way it goes.
    amount = models.DecimalField(_("amount (USD)"), max_digits=20, decimal_places=10)
    balance_after = models.DecimalField(_("balance after (USD)"), max_digits=20, decimal_places=10)
    frozen_after = models.DecimalField(_("frozen after (USD)"), max_digits=20, decimal_places=10)
    hold = models.ForeignKey(
        Hold, on_delete=models.PROTECT, null=True, blank=True, related_name="transactions", db_constraint=False
    )
    idempotency_key = models.CharField(_("idempotency key"), max_length=160)
    # SHA-256 over the request's fields: tells a repeated request from another one under the same key.
    fingerprint = models.CharField(_("fingerprint"), max_length=64)
    billing_ref_id = models.CharField(_("billing reference"), max_length=100, blank=True)
    trace_id = models.CharField(_("trace id"), max_length=32, blank=True)
    note = models.CharField(_("note"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created at"))
    # SHA-256 over the entry and the hash of the one before it (`ledger_hash` in billing_app/sql), in hexadecimal.
    prev_hash = models.CharField(_("hash of the entry before"), max_length=64, blank=True)
    hash = models.CharField(_("hash"), max_length=64)

    class Meta:
        db_table = "transactions"
        verbose_name = _("transaction")
        verbose_name_plural = _("transactions")
        ordering = ["-created_at", "-seq"]
        constraints = [
            models.UniqueConstraint(fields=["wallet", "idempotency_key"], name="transaction_key_once"),
            # An organization has one wallet; so this is also the index of the ledger's pages and exports.
            models.UniqueConstraint(fields=["organization", "seq"], name="transaction_seq_once"),
            # A hold resolves once: at most one capture, and at most one return of what was not captured.
            models.UniqueConstraint(fields=["hold"], condition=Q(kind="capture"), name="transaction_one_capture"),
            models.UniqueConstraint(fields=["hold"], condition=Q(kind="release"), name="transaction_one_release"),
            models.CheckConstraint(condition=Q(kind__in=TransactionKind.values), name="transaction_kind_known"),
            models.CheckConstraint(
                # A capture of nothing is still the end of a hold.
                condition=Q(kind="capture", amount__gte=0)
                | (Q(kind="adjust") & ~Q(amount=0))
                | (~Q(kind__in=["capture", "adjust"]) & Q(amount__gt=0)),
                name="transaction_amount_sign",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=_OF_HOLDS, hold__isnull=False) | (~Q(kind__in=_OF_HOLDS) & Q(hold__isnull=True)),
                name="transaction_hold_when_about_one",
            ),
        ]
        indexes = [
            # everything that one request did to the ledger
            models.Index(fields=["trace_id"], name="transaction_by_trace"),
            # the entries of a kind that is rare among those of calls, newest first
            models.Index(fields=["organization", "kind", "-seq"], condition=Q(kind__in=_RARE), name="transaction_rare"),
            # the reconciliation of one day, over all organizations
            BrinIndex(fields=["created_at"], name="transaction_by_moment"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount.normalize():f} USD"
