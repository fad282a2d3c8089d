from django.urls import include, path

from billing_app.web.views import BadgeView, WalletView

_wallet = [
    path("wallet/", WalletView.as_view(), name="wallet"),
    path("wallet/badge/", BadgeView.as_view(), name="badge"),
]

urlpatterns = [path("", include((_wallet, "billing")))]
