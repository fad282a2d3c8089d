from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from accounts_app.tenancy.context import current_organization_id
from accounts_app.web.mixins import OrganizationMixin
from billing_app import selectors
from billing_app.filters import TransactionFilter, UsageFilter
from billing_app.web.pages import keyset_page
from billing_app.web.spending import spending

PERIODS = (7, 30, 90)
DEFAULT_PERIOD = 30


class WalletView(OrganizationMixin):
    """The wallet, what was spent, and either the ledger or the model calls, as ``?list=`` says."""

    def get(self, request: HttpRequest) -> HttpResponse:
        organization_id = current_organization_id()
        context = {
            "wallet": selectors.wallet_summary(organization_id),
            "spending": spending(organization_id, today=timezone.now().date(), days=self._days()),
            "days": self._days(),
            "periods": PERIODS,
            **(self._usage() if request.GET.get("list") == "usage" else self._transactions()),
        }
        response = render(request, "billing_app/wallet.html", context)
        add_never_cache_headers(response)
        return response

    def _transactions(self) -> dict[str, Any]:
        rows = selectors.transactions(current_organization_id())
        found = TransactionFilter(self.request.GET, rows)
        page = keyset_page(self.request, found.qs, ("-seq",))
        tasks = selectors.tasks_of_calls(current_organization_id(), {row.billing_ref_id for row in page.rows})
        entries = [(row, tasks.get(row.billing_ref_id)) for row in page.rows]
        return {"list": "transactions", "filter": found, "page": page, "entries": entries}

    def _usage(self) -> dict[str, Any]:
        found = UsageFilter(self.request.GET, selectors.usage_records(current_organization_id()))
        return {"list": "usage", "filter": found, "page": keyset_page(self.request, found.qs, ("-created_at", "-id"))}

    def _days(self) -> int:
        chosen = self.request.GET.get("days", "")
        return int(chosen) if chosen in map(str, PERIODS) else DEFAULT_PERIOD


class BadgeView(OrganizationMixin):
    """What is available, for the top bar of every page."""

    def get(self, request: HttpRequest) -> HttpResponse:
        context = {"wallet": selectors.wallet_summary(current_organization_id())}
        response = render(request, "billing_app/_badge.html", context)
        add_never_cache_headers(response)
        return response
