from django.urls import include, path

from accounts_app.middleware import non_atomic
from billing_app.web import budgets, exports, fragments, overview, records, topups

_wallet = [
    path("", overview.WalletView.as_view(), name="wallet"),
    path("transactions/", records.TransactionsView.as_view(), name="transactions"),
    path(
        "transactions/export.<str:format>",
        non_atomic(exports.TransactionsExportView.as_view()),
        name="transactions-export",
    ),
    path("usage/", records.UsageView.as_view(), name="usage"),
    path("usage/export.<str:format>", non_atomic(exports.UsageExportView.as_view()), name="usage-export"),
    path("usage/<uuid:record_id>/", records.UsageDetailView.as_view(), name="usage-detail"),
    path("budgets/", budgets.BudgetsView.as_view(), name="budgets"),
    path("budgets/new/", budgets.BudgetNewView.as_view(), name="budget-new"),
    path("budgets/<uuid:budget_id>/", budgets.BudgetEditView.as_view(), name="budget-edit"),
    path("budgets/<uuid:budget_id>/remove/", budgets.BudgetRemoveView.as_view(), name="budget-remove"),
    path("topup/", topups.TopupView.as_view(), name="topup"),
    path("badge/", fragments.BadgeView.as_view(), name="badge"),
    path("spend/keys/", fragments.KeySpendView.as_view(), name="key-spend"),
    path("spend/projects/", fragments.ProjectSpendView.as_view(), name="project-spend"),
]

urlpatterns = [path("wallet/", include((_wallet, "billing")))]
