"""Reads. Sums come from the daily roll-up and the roll-up by task, never from the records."""

from billing_app.selectors.usage import (
    cost_between,
    models_used,
    spend_by_day,
    spend_by_model,
    tasks_of_calls,
    totals_between,
    usage_entries_for_task,
    usage_for_task,
    usage_records,
)
from billing_app.selectors.wallets import personal_wallet_owner, transactions, wallet_summary

__all__ = [
    "cost_between",
    "models_used",
    "personal_wallet_owner",
    "spend_by_day",
    "spend_by_model",
    "tasks_of_calls",
    "totals_between",
    "transactions",
    "usage_entries_for_task",
    "usage_for_task",
    "usage_records",
    "wallet_summary",
]
