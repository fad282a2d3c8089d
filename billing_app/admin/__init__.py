"""The books in the admin: read-only, but for adjustments with a reason and new prices."""

from billing_app.admin.ledger import HoldAdmin, TransactionAdmin
from billing_app.admin.prices import PriceAdmin
from billing_app.admin.usage import UsageDailyAdmin, UsageRecordAdmin
from billing_app.admin.wallets import WalletAdmin

__all__ = ["HoldAdmin", "PriceAdmin", "TransactionAdmin", "UsageDailyAdmin", "UsageRecordAdmin", "WalletAdmin"]
