"""Budgets: set, changed and removed by those who manage the organization. The ledger's functions keep to them.

Each deed first locks the organization's wallet, as every hold does: so a hold is judged by the old budgets or by the
new ones, and no cache stands in between.
"""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _

from accounts_app import selectors as accounts
from accounts_app.exceptions import InvalidInput, NotFound, PermissionRefused
from accounts_app.services.audit import audit_record
from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id, tenant_context, tenant_or_nobody
from billing_app.contracts import ZERO, BudgetRef
from billing_app.models import Budget, BudgetAction, BudgetPeriod, BudgetScope, BudgetWindow, Wallet
from billing_app.services.amounts import amount_checked

_CHOICES = {"scope": BudgetScope, "period": BudgetPeriod, "on_exceed": BudgetAction}
_CHANGEABLE = ("limit_usd", "soft_percent", "on_exceed", "is_active")


@transaction.atomic
def budget_set(
    *,
    scope: str,
    period: str,
    limit_usd: Decimal,
    subject_id: UUID | None = None,
    soft_percent: int = 80,
    on_exceed: str = BudgetAction.REFUSE,
    is_active: bool = True,
    organization_id: UUID | None = None,
) -> BudgetRef:
    """Set the one budget of a scope, subject and period: at most ``limit_usd`` USD in each ``period`` (UTC).

    ``scope`` is organization, project, member or key; ``subject_id`` the project, user or key, None for the
    organization. What was spent in this period already counts; calls running now do not. ``organization_id`` is the
    bound one unless an operator names it. Raises PermissionRefused for all but owners and admins, InvalidInput naming
    the field, NotFound without a wallet.
    """
    organization_id = _managed(organization_id)
    fields = _checked({"limit_usd": limit_usd, "soft_percent": soft_percent, "on_exceed": on_exceed})
    _checked({"scope": scope, "period": period})
    if subject_name(organization_id, scope, subject_id) is None:
        raise InvalidInput.for_field("subject_id", _("There is no such project, member or key."))
    _lock_wallet(organization_id)
    budget, created = Budget.objects.get_or_create(
        organization_id=organization_id,
        scope=scope,
        subject_id=subject_id,
        period=period,
        defaults={**fields, "is_active": is_active, "user_id": tenant_or_nobody().user_id},
    )
    if not created:
        return _change(budget, {**fields, "is_active": is_active})
    _open_window(budget)
    _audit("budget.set", budget)
    return budget_ref(budget)


@transaction.atomic
def budget_change(*, budget_id: UUID, **changes: Any) -> BudgetRef:
    """Change ``limit_usd``, ``soft_percent``, ``on_exceed`` or ``is_active`` of a budget; it holds with the next call.

    While it is not active a budget refuses nothing, and goes on counting. Raises NotFound, PermissionRefused,
    InvalidInput, TypeError for another field.
    """
    if unknown := changes.keys() - set(_CHANGEABLE):
        raise TypeError(f"A budget's {', '.join(sorted(unknown))} cannot be changed: set another one.")
    return _change(_locked(budget_id), _checked(changes))


@transaction.atomic
def budget_remove(*, budget_id: UUID) -> None:
    """Remove a budget with all of its periods; calls running now are no longer counted in it. Errors as of change."""
    budget = _locked(budget_id)
    _audit("budget.remove", budget)
    budget.delete()


def budgets_for(
    *,
    organization_id: UUID,
    project_id: UUID | None = None,
    user_id: UUID | None = None,
    api_key_id: UUID | None = None,
) -> tuple[BudgetRef, ...]:
    """Return the active budgets that a call by this project, person and key has to fit into."""
    subjects = (
        Q(scope=BudgetScope.ORGANIZATION)
        | Q(scope=BudgetScope.PROJECT, subject_id=project_id)
        | Q(scope=BudgetScope.MEMBER, subject_id=user_id)
        | Q(scope=BudgetScope.KEY, subject_id=api_key_id)
    )
    return tuple(map(budget_ref, Budget.objects.filter(subjects, organization_id=organization_id, is_active=True)))


def budgets_over_soft(organization_id: UUID) -> tuple[BudgetRef, ...]:
    """Return the active budgets that have passed their soft threshold in the present period. One query."""
    windows = windows_present().filter(organization_id=organization_id, spent__gte=over_soft())
    return tuple(budget_ref(window.budget) for window in windows.filter(budget__is_active=True))


def windows_present(today: date | None = None) -> QuerySet[BudgetWindow]:
    """The windows of the periods that ``today`` (UTC, by default the present day) lies in, with their budgets."""
    today = today or datetime.now(UTC).date()
    starts = {BudgetPeriod.DAY: today, BudgetPeriod.MONTH: today.replace(day=1), BudgetPeriod.TOTAL: date(1970, 1, 1)}
    present = Q()
    for period, start in starts.items():
        present |= Q(budget__period=period, period_start=start)
    return BudgetWindow.objects.filter(present).select_related("budget")


def over_soft() -> Any:
    """The sum (USD) from which on people are warned, as an expression over windows."""
    return F("budget__limit_usd") * F("budget__soft_percent") / Decimal(100)


def budget_ref(budget: Budget) -> BudgetRef:
    """Return ``budget`` as other rooms see it."""
    return BudgetRef(
        id=budget.id,
        organization_id=budget.organization_id,
        scope=budget.scope,
        subject_id=budget.subject_id,
        period=budget.period,
        limit_usd=budget.limit_usd,
        soft_percent=budget.soft_percent,
        on_exceed=budget.on_exceed,
        is_active=budget.is_active,
    )


def subject_name(organization_id: UUID, scope: str, subject_id: UUID | None) -> str | None:
    """Return what people call the subject of a budget; None when the organization has no such subject."""
    # As one who sees all of the organization's projects, members and keys, and no other's.
    with tenant_context(organization_id, tenant_or_nobody().user_id, role="owner"):
        if scope == BudgetScope.ORGANIZATION:
            return accounts.organization_active().name if subject_id is None else None
        if subject_id is None:
            return None
        if scope == BudgetScope.MEMBER:
            members = accounts.member_list().filter(user_id=subject_id)
            return members.values_list("user__email", flat=True).first()
        named = accounts.project_list() if scope == BudgetScope.PROJECT else accounts.api_keys_visible()
        return named.filter(pk=subject_id).values_list("name", flat=True).first()


def _change(budget: Budget, changes: dict[str, Any]) -> BudgetRef:
    before = {name: str(getattr(budget, name)) for name in _CHANGEABLE}
    for name, value in changes.items():
        setattr(budget, name, value)
    after = {name: str(getattr(budget, name)) for name in _CHANGEABLE}
    if after != before:
        budget.save()
        # A threshold that is out of reach again is news when it is reached the next time.
        budget.windows.filter(spent__lt=budget.soft_usd).update(notified_soft_at=None)
        budget.windows.filter(spent__lt=budget.limit_usd).update(notified_hard_at=None, refused_at=None)
        _audit("budget.change", budget, before={name: before[name] for name in before if before[name] != after[name]})
    return budget_ref(budget)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    for name, choices in _CHOICES.items():
        if name in values and values[name] not in choices.values:
            raise InvalidInput.for_field(name, _("This is not one of the choices."))
    if "limit_usd" in values:
        values = {**values, "limit_usd": amount_checked(values["limit_usd"], field="limit_usd", least=ZERO)}
    if "soft_percent" in values and not 1 <= values["soft_percent"] <= 100:
        raise InvalidInput.for_field("soft_percent", _("A percentage from 1 to 100."))
    return values


def _managed(organization_id: UUID | None) -> UUID:
    tenant = tenant_or_nobody()
    if tenant.operator and organization_id is not None:
        return organization_id
    if not can_manage(tenant):
        raise PermissionRefused
    return current_organization_id()


def _locked(budget_id: UUID) -> Budget:
    """Return the budget, with its wallet locked; raises NotFound for another organization's."""
    tenant = tenant_or_nobody()
    if not tenant.operator and not can_manage(tenant):
        raise PermissionRefused
    mine = Budget.objects.filter(pk=budget_id)
    if not tenant.operator:
        mine = mine.filter(organization_id=current_organization_id())
    organization_id = mine.values_list("organization_id", flat=True).first()
    if organization_id is None:
        raise NotFound
    _lock_wallet(organization_id)
    budget = mine.first()
    if budget is None:
        raise NotFound
    return budget


def _lock_wallet(organization_id: UUID) -> None:
    if not Wallet.objects.select_for_update().filter(organization_id=organization_id).values_list("pk").first():
        raise NotFound


def _open_window(budget: Budget) -> None:
    """Let the ledger's function make the present window, with what was spent before the budget was there."""
    subject = {scope: budget.subject_id if budget.scope == scope else None for scope in BudgetScope.values}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM ledger_windows(%s, %s, %s, %s)",
            [budget.organization_id, subject["project"], subject["member"], subject["key"]],
        )


def _audit(action: str, budget: Budget, **more: Any) -> None:
    ref = budget_ref(budget)
    names = ("organization_id", "scope", "subject_id", "period", "limit_usd", "soft_percent", "on_exceed", "is_active")
    data = {name: None if getattr(ref, name) is None else str(getattr(ref, name)) for name in names}
    audit_record(action=action, target_type="budget", target_id=budget.pk, data=data | more)
