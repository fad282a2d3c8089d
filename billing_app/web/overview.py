"""The first page of the wallet: what there is, how fast it goes, and on what."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext_lazy as _

from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id
from accounts_app.web.mixins import OrganizationMixin
from billing_app import selectors
from billing_app.selectors.names import names_known
from billing_app.selectors.spending import Dimension
from billing_app.web import periods
from billing_app.web.pace import pace_begins, pace_of
from billing_app.web.shares import TASK, shares_of

BY = {
    Dimension.MODEL.value: _("Model"),
    Dimension.KEY.value: _("API key"),
    Dimension.PROJECT.value: _("Project"),
    Dimension.MEMBER.value: _("Member"),
    TASK: _("Task"),
}


class WalletView(OrganizationMixin):
    """Balance, pace and spending of a period, as ``?period=`` and ``?by=`` say."""

    def get(self, request: HttpRequest) -> HttpResponse:
        organization_id, now = current_organization_id(), timezone.now()
        period, form = periods.period_of(request.GET, now.date())
        by = request.GET.get("by", "")
        pace = pace_of(selectors.spend_by_day(organization_id, pace_begins(now.date()), now.date()), now)
        spending = shares_of(organization_id, by if by in BY else Dimension.MODEL.value, period, names_known)
        context: dict[str, Any] = {
            "wallet": selectors.wallet_summary(organization_id),
            "pace": pace,
            "spending": spending,
            "charts": {"pace": pace.chart(now), "spending": spending.chart},
            "period": period,
            "periods": periods.CHOICES,
            "period_form": form or periods.CustomPeriodForm(_dates(period)),
            "period_failed": form is not None and not form.is_valid(),
            "by_choices": BY,
            "may_manage": can_manage(self.tenant),
        }
        response = render(request, "billing_app/wallet.html", context)
        add_never_cache_headers(response)
        return response


def _dates(period: periods.Period) -> dict[str, Any]:
    return {"from": period.start, "to": period.end}
