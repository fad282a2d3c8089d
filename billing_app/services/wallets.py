"""Wallets: made with their organization, topped up, adjusted by operators."""

from decimal import Decimal
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, NotFound
from accounts_app.services.audit import audit_record
from billing_app.contracts import WalletSummary
from billing_app.exceptions import InsufficientFunds
from billing_app.models import TransactionKind, Wallet
from billing_app.services import ledger
from billing_app.services.amounts import LIMIT, amount_checked, credits_of


def wallet_create(*, organization_id: UUID, user_id: UUID | None) -> Wallet:
    """Make the organization's one wallet, empty."""
    return Wallet.objects.create(organization_id=organization_id, user_id=user_id)


def wallet_topup(*, organization_id: UUID, amount: Decimal, key: str, note: str = "") -> WalletSummary:
    """Add ``amount`` USD (> 0) to the wallet and return it as it stands then.

    The same key again with the same amount adds nothing. Raises KeyConflict for a key used otherwise, NotFound without
    a wallet, InvalidInput for a bad amount, TypeError for a float.
    """
    return _add(TransactionKind.TOPUP, organization_id, amount_checked(amount), ledger.key_checked(key), note)


def wallet_adjust(*, organization_id: UUID, amount: Decimal, key: str, reason: str) -> WalletSummary:
    """Correct the balance by ``amount`` USD, up or down, for a stated reason; an operator's deed.

    Raises InsufficientFunds when the available sum would become negative, otherwise as `wallet_topup`.
    """
    exact = amount_checked(amount, least=-LIMIT)
    if not exact:
        raise InvalidInput.for_field("amount", _("An adjustment is not zero."))
    if not reason.strip():
        raise InvalidInput.for_field("reason", _("Say why the balance is corrected."))
    return _add(TransactionKind.ADJUST, organization_id, exact, ledger.key_checked(key), reason.strip())


def signup_credit_grant(*, organization_id: UUID, amount: Decimal) -> None:
    """Give a new account its first ``amount`` USD; once for each organization."""
    _add(TransactionKind.TOPUP, organization_id, amount_checked(amount), f"{ledger.AUTO}signup", "")


def summary_of(balance: Decimal, frozen: Decimal) -> WalletSummary:
    """Return a wallet's figures (USD) with what follows from them."""
    available = balance - frozen
    return WalletSummary(balance=balance, frozen=frozen, available=available, credits=credits_of(available))


def _add(kind: TransactionKind, organization_id: UUID, amount: Decimal, key: str, note: str) -> WalletSummary:
    asked = ledger.fingerprint(kind, amount, note)
    with transaction.atomic():
        answer = ledger.function_call(
            "ledger_credit", organization=organization_id, kind=kind.value, amount=amount, key=key, fingerprint=asked,
            note=note,
        )  # fmt: skip
        if answer["outcome"] == "credited":
            data = {"organization_id": str(organization_id), "amount": str(amount), "note": note}
            audit_record(action=f"wallet.{kind.value}", target_type="wallet", target_id=answer["wallet"], data=data)
            return summary_of(ledger.usd(answer, "balance"), ledger.usd(answer, "frozen"))
    if answer["outcome"] == ledger.KEY_TAKEN:
        stored = ledger.stored_entry(Q(organization_id=organization_id), key, asked)
        return summary_of(stored.balance_after, stored.frozen_after)
    raise InsufficientFunds if answer["outcome"] == "insufficient_funds" else NotFound
