from billing_app.models.answer import StoredAnswer
from billing_app.models.budget import Budget, BudgetAction, BudgetPeriod, BudgetScope, BudgetWindow
from billing_app.models.hold import Hold, HoldStatus
from billing_app.models.price import Price
from billing_app.models.reconciliation import (
    DifferenceKind,
    ProviderReport,
    ProviderReportRow,
    ReconciliationDifference,
    ReconciliationRun,
)
from billing_app.models.transaction import Transaction, TransactionKind
from billing_app.models.usage import TaskUsage, UsageDaily, UsageRecord
from billing_app.models.wallet import Wallet

__all__ = [
    "Budget",
    "BudgetAction",
    "BudgetPeriod",
    "BudgetScope",
    "BudgetWindow",
    "DifferenceKind",
    "Hold",
    "HoldStatus",
    "Price",
    "ProviderReport",
    "ProviderReportRow",
    "ReconciliationDifference",
    "ReconciliationRun",
    "StoredAnswer",
    "TaskUsage",
    "Transaction",
    "TransactionKind",
    "UsageDaily",
    "UsageRecord",
    "Wallet",
]
