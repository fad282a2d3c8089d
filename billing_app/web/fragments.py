"""Pieces that other pages load: the badge of the top bar, and spending beside lists of keys and projects."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.cache import add_never_cache_headers

from accounts_app.exceptions import InvalidInput
from accounts_app.selectors import api_keys_visible, project_list
from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id
from accounts_app.web.mixins import OrganizationMixin
from billing_app import selectors
from billing_app.models import BudgetWindow
from billing_app.selectors.budgets import budget_alerts, budgets_of
from billing_app.selectors.spending import Dimension, spend_of

MOST_IDS = 200
TOLD = "budgets_told"


class BadgeView(OrganizationMixin):
    """What is available, for the top bar of every page; and a toast for each budget that has become news.

    A browser is told once in each period of a budget: its session remembers.
    """

    def get(self, request: HttpRequest) -> HttpResponse:
        context = {"wallet": selectors.wallet_summary(current_organization_id()), "news": self._news()}
        return _fragment(request, "billing_app/_badge.html", context)

    def _news(self) -> list[BudgetWindow]:
        if not can_manage(self.tenant):
            return []
        over = budget_alerts(current_organization_id())
        told = self.request.session.get(TOLD, [])
        news = [window for window in over if str(window.pk) not in told]
        if news:
            # Periods that have passed are forgotten, and with them those of other organizations: worth a second toast.
            self.request.session[TOLD] = [str(window.pk) for window in over]
        return news


class SpendView(OrganizationMixin):
    """What each of ``?id=`` paid this month, and its budgets: out-of-band swaps for the elements ``<prefix>-<id>``.

    One query for the money and two for the budgets, however long the list. Ids that are not the caller's are left out.
    """

    dimension = Dimension.KEY
    prefix = "key-spend"

    def get(self, request: HttpRequest) -> HttpResponse:
        today, ids = timezone.now().date(), self.visible(_ids(request))
        paid = spend_of(current_organization_id(), self.dimension, ids, today.replace(day=1), today)
        budgets = budgets_of(current_organization_id(), scope=self.dimension.value, subject_ids=ids, today=today)
        rows = [(item, paid[item], budgets.get(item, [])) for item in ids]
        return _fragment(request, "billing_app/_spend.html", {"rows": rows, "prefix": self.prefix})

    def visible(self, ids: list[UUID]) -> list[UUID]:
        return list(api_keys_visible().filter(pk__in=ids).values_list("pk", flat=True))


class KeySpendView(SpendView):
    pass


class ProjectSpendView(SpendView):
    dimension = Dimension.PROJECT
    prefix = "project-spend"

    def visible(self, ids: list[UUID]) -> list[UUID]:
        return list(project_list().filter(pk__in=ids).values_list("pk", flat=True))


def _ids(request: HttpRequest) -> list[UUID]:
    texts = [text for given in request.GET.getlist("id") for text in given.split(",") if text]
    try:
        ids = [UUID(text) for text in texts]
    except ValueError:
        raise InvalidInput from None
    if len(ids) > MOST_IDS:
        raise InvalidInput
    return ids


def _fragment(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    response = render(request, template, context)
    add_never_cache_headers(response)
    return response
