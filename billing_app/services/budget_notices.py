"""Mails about budgets: to the owners and admins, once when the soft threshold and once when the limit was reached."""

import logging
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F, Q
from django.template.loader import render_to_string
from django.utils import timezone, translation

from accounts_app.selectors import member_list, organization_active
from accounts_app.tenancy.context import tenant_atomic
from billing_app.models import BudgetWindow
from billing_app.services.budgets import over_soft, subject_name, windows_present

logger = logging.getLogger(__name__)

_HARD = Q(refused_at__isnull=False) | Q(spent__gte=F("budget__limit_usd"))
_NEWS = (
    Q(notified_soft_at__isnull=True, notified_hard_at__isnull=True, spent__gte=over_soft())
    | Q(notified_hard_at__isnull=True) & _HARD
)


def budgets_notify() -> int:
    """Write to the people of each budget that has news; return how many budgets that were.

    Needs an operator context. Each in a transaction of its own that ends when its mails are sent: when the mail server
    is away, the next run tries again.
    """
    with transaction.atomic():
        news = windows_present().filter(_NEWS, notified_hard_at__isnull=True, budget__is_active=True)
        found = list(news.values_list("organization_id", "pk"))
    return sum(_notify(organization_id, window_id) for organization_id, window_id in found)


def _notify(organization_id: UUID, window_id: UUID) -> bool:
    try:
        with tenant_atomic(organization_id, role="owner"):
            # Two jobs at once: the second waits here, and finds no news left.
            window = windows_present().filter(_NEWS, pk=window_id).select_for_update(of=("self",)).first()
            if window is None:
                return False
            _send(window, is_hard=_mark(window))
    except Exception:
        logger.exception("budget.notice_failed", extra={"budget_window_id": str(window_id)})
        return False
    return True


def _mark(window: BudgetWindow) -> bool:
    is_hard = window.refused_at is not None or window.spent >= window.budget.limit_usd
    name = "notified_hard_at" if is_hard else "notified_soft_at"
    setattr(window, name, timezone.now())
    window.save(update_fields=[name])
    return is_hard


def _send(window: BudgetWindow, *, is_hard: bool) -> None:
    budget = window.budget
    facts: dict[str, Any] = {
        "organization": organization_active().name,
        "subject": subject_name(budget.organization_id, budget.scope, budget.subject_id) or "–",
        "limit": f"{budget.limit_usd.normalize():f}",
        "spent": f"{window.spent.normalize():f}",
        "percent": budget.soft_percent,
        "is_fallback": budget.on_exceed == "fallback",
        "is_hard": is_hard,
    }
    for member in member_list().filter(role__in=["owner", "admin"], user__is_active=True):
        with translation.override(member.user.language or settings.LANGUAGE_CODE):
            words = facts | {"scope": budget.get_scope_display(), "period": budget.get_period_display()}
            subject = render_to_string("billing_app/mail/budget_subject.txt", words)
            text = render_to_string("billing_app/mail/budget.txt", words)
        send_mail(" ".join(subject.split()), text, settings.DEFAULT_FROM_EMAIL, [member.user.email])
