from billing_app.models.answer import StoredAnswer
from billing_app.models.budget import Budget, BudgetAction, BudgetPeriod, BudgetScope, BudgetWindow
from billing_app.models.hold import Hold, HoldStatus
from billing_app.models.price import Price
from billing_app.models.transaction import Transaction, TransactionKind
from billing_app.models.usage import TaskUsage, UsageDaily, UsageRecord
from billing_app.models.wallet import Wallet

__all__ = [
    "Budget",
    "BudgetAction",
    "BudgetPeriod",
    "BudgetScope",
    "BudgetWindow",
    "Hold",
    "HoldStatus",
    "Price",
    "StoredAnswer",
    "TaskUsage",
    "Transaction",
    "TransactionKind",
    "UsageDaily",
    "UsageRecord",
    "Wallet",
]
