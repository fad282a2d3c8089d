"""What the frame of every page says about money."""

from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import NOBODY, Tenant, bound
from billing_app.models import BudgetWindow
from billing_app.selectors.budgets import budget_alerts


def budgets(request: HttpRequest) -> dict[str, Any]:
    """Give owners and admins ``budget_alerts``: asked of the database when a page draws its top bar, once."""
    return {"budget_alerts": SimpleLazyObject(lambda: _alerts(getattr(request, "tenant", NOBODY)))}


def _alerts(tenant: Tenant) -> tuple[BudgetWindow, ...]:
    if tenant.organization_id is None or not can_manage(tenant):
        return ()
    # A page whose view is not in one transaction has none here either.
    with bound(tenant), transaction.atomic():
        return budget_alerts(tenant.organization_id)
