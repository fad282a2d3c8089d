from billing_app.models.hold import Hold, HoldStatus
from billing_app.models.price import Price
from billing_app.models.transaction import Transaction, TransactionKind
from billing_app.models.usage import UsageDaily, UsageRecord
from billing_app.models.wallet import Wallet

__all__ = ["Hold", "HoldStatus", "Price", "Transaction", "TransactionKind", "UsageDaily", "UsageRecord", "Wallet"]
