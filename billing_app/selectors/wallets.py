"""Wallets and their ledger entries."""

from uuid import UUID

from django.db.models import QuerySet

from accounts_app.exceptions import NotFound
from billing_app.contracts import WalletSummary
from billing_app.models import Transaction, Wallet
from billing_app.services.wallets import summary_of


def wallet_summary(organization_id: UUID) -> WalletSummary:
    """Return the organization's wallet in USD; raises NotFound when there is none for the caller."""
    figures = Wallet.objects.filter(organization_id=organization_id).values_list("balance", "frozen").first()
    if figures is None:
        raise NotFound
    return summary_of(*figures)


def personal_wallet_owner(email: str) -> UUID | None:
    """Return the organization that belongs to the person with this address alone; None when nobody has it."""
    theirs = Wallet.objects.filter(
        organization__is_personal=True,
        organization__memberships__role="owner",
        organization__memberships__user__email__iexact=email,
    )
    return theirs.values_list("organization_id", flat=True).first()


def transactions(organization_id: UUID) -> QuerySet[Transaction]:
    """The organization's ledger entries, to be filtered and paged."""
    # By the wallet: its entries' numbers are the index that pages go along.
    wallet = Wallet.objects.filter(organization_id=organization_id).values("pk")[:1]
    return Transaction.objects.filter(organization_id=organization_id, wallet_id=wallet)
