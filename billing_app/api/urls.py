from django.urls import URLPattern, URLResolver, path

from accounts_app.middleware import non_atomic
from billing_app.api.budgets import BudgetsView, BudgetView
from billing_app.api.exports import TransactionsExportView, UsageExportView
from billing_app.api.money import RefundsView, TopupsView
from billing_app.api.views import TransactionsView, UsageView, WalletView

urlpatterns: list[URLPattern | URLResolver] = [
    path("wallet", WalletView.as_view(), name="billing-wallet"),
    path("transactions", TransactionsView.as_view(), name="billing-transactions"),
    path("usage", UsageView.as_view(), name="billing-usage"),
    path("transactions/export", non_atomic(TransactionsExportView.as_view()), name="billing-transactions-export"),
    path("usage/export", non_atomic(UsageExportView.as_view()), name="billing-usage-export"),
    path("topups", TopupsView.as_view(), name="billing-topups"),
    path("refunds", RefundsView.as_view(), name="billing-refunds"),
    path("budgets", BudgetsView.as_view(), name="billing-budgets"),
    path("budgets/<uuid:budget_id>", BudgetView.as_view(), name="billing-budget"),
]
