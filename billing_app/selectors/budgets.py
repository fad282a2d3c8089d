"""Budgets and what their present periods have taken."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from accounts_app.exceptions import NotFound
from billing_app.contracts import ZERO
from billing_app.models import Budget, BudgetPeriod, BudgetWindow
from billing_app.services.budgets import over_soft, windows_present

# The one period of a budget without end begins here.
_FOR_EVER = date(1970, 1, 1)


@dataclass(frozen=True)
class BudgetState:
    """A budget in its present period, in USD. ``window_id`` is None until something is spent in the period."""

    budget: Budget
    spent: Decimal
    held: Decimal
    period_start: date
    resets_on: date | None
    window_id: UUID | None

    @property
    def left(self) -> Decimal:
        """What may still be spent; never below zero, although a lowered limit may have been passed already."""
        return max(self.budget.limit_usd - self.spent - self.held, ZERO)

    @property
    def percent(self) -> int:
        """The part of the limit that is spent or held, rounded down; more than 100 after the limit was lowered."""
        taken = self.spent + self.held
        if not self.budget.limit_usd:
            return 100
        return int(taken / self.budget.limit_usd * 100)

    @property
    def percent_shown(self) -> int:
        """How far the bar is filled."""
        return min(self.percent, 100)

    @property
    def is_over_soft(self) -> bool:
        """Whether people are to be warned."""
        return self.budget.is_active and self.spent >= self.budget.soft_usd

    @property
    def is_full(self) -> bool:
        """Whether nothing is left, and calls are refused or get the cheaper model."""
        return self.budget.is_active and not self.left


def budget_states(organization_id: UUID, today: date) -> list[BudgetState]:
    """Return the organization's budgets, the widest first. Two queries."""
    order = {"organization": 0, "project": 1, "member": 2, "key": 3}
    states = _states(Budget.objects.filter(organization_id=organization_id), today)
    return sorted(states, key=lambda state: (order[state.budget.scope], state.budget.created_at))


def budgets_of(
    organization_id: UUID, *, scope: str, subject_ids: Collection[UUID], today: date
) -> dict[UUID, list[BudgetState]]:
    """Return the active budgets of each of ``subject_ids`` (projects, users or keys, as ``scope`` says)."""
    budgets = Budget.objects.filter(
        organization_id=organization_id, scope=scope, subject_id__in=subject_ids, is_active=True
    )
    found: dict[UUID, list[BudgetState]] = defaultdict(list)
    for state in _states(budgets, today):
        if state.budget.subject_id is not None:
            found[state.budget.subject_id].append(state)
    return dict(found)


def budget_state(organization_id: UUID, budget_id: UUID, today: date) -> BudgetState:
    """Return one budget; raises NotFound, also for another organization's."""
    for state in _states(Budget.objects.filter(organization_id=organization_id, pk=budget_id), today):
        return state
    raise NotFound


def budget_alerts(organization_id: UUID) -> tuple[BudgetWindow, ...]:
    """Return the present windows of active budgets that people are to be warned of. One query, by an index."""
    over = windows_present().filter(organization_id=organization_id, spent__gte=over_soft())
    return tuple(over.filter(budget__is_active=True).order_by("budget_id"))


def period_start(period: str, today: date) -> date:
    """Return the first day (UTC) of the period that ``today`` lies in."""
    starts = {BudgetPeriod.DAY: today, BudgetPeriod.MONTH: today.replace(day=1)}
    return starts.get(BudgetPeriod(period), _FOR_EVER)


def resets_on(period: str, today: date) -> date | None:
    """Return the first day (UTC) of the next period; None for a budget without end."""
    if period == BudgetPeriod.DAY:
        return today + timedelta(days=1)
    return (today.replace(day=28) + timedelta(days=4)).replace(day=1) if period == BudgetPeriod.MONTH else None


def _states(budgets: QuerySet[Budget], today: date) -> Iterable[BudgetState]:
    rows = list(budgets)
    starts = [period_start(period, today) for period in BudgetPeriod.values]
    windows = BudgetWindow.objects.filter(budget__in=rows, period_start__in=starts) if rows else []
    present = {(window.budget_id, window.period_start): window for window in windows}
    for budget in rows:
        start = period_start(budget.period, today)
        window = present.get((budget.pk, start))
        yield BudgetState(
            budget=budget,
            spent=window.spent if window else ZERO,
            held=window.held if window else ZERO,
            period_start=start,
            resets_on=resets_on(budget.period, today),
            window_id=window.pk if window else None,
        )
