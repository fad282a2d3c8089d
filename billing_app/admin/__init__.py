"""The books in the admin: read-only, but for adjustments with a reason, refunds and new prices."""

from billing_app.admin.answers import StoredAnswerAdmin
from billing_app.admin.budgets import BudgetAdmin, BudgetWindowAdmin
from billing_app.admin.ledger import HoldAdmin, TransactionAdmin
from billing_app.admin.prices import PriceAdmin
from billing_app.admin.reconciliation import (
    ProviderReportAdmin,
    ProviderReportRowAdmin,
    ReconciliationDifferenceAdmin,
    ReconciliationRunAdmin,
)
from billing_app.admin.usage import TaskUsageAdmin, UsageDailyAdmin, UsageRecordAdmin
from billing_app.admin.wallets import WalletAdmin

__all__ = [
    "BudgetAdmin",
    "BudgetWindowAdmin",
    "HoldAdmin",
    "PriceAdmin",
    "ProviderReportAdmin",
    "ProviderReportRowAdmin",
    "ReconciliationDifferenceAdmin",
    "ReconciliationRunAdmin",
    "StoredAnswerAdmin",
    "TaskUsageAdmin",
    "TransactionAdmin",
    "UsageDailyAdmin",
    "UsageRecordAdmin",
    "WalletAdmin",
]
