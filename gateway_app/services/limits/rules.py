"""Which limits there are; set by owners and admins."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from accounts_app.contracts import KeyCard
from accounts_app.exceptions import InvalidInput, NotFound, PermissionRefused
from accounts_app.services.audit import audit_record
from accounts_app.services.principals import can_manage
from accounts_app.tenancy.context import current_organization_id, tenant_or_nobody
from billing_app.services.budgets import subject_name
from gateway_app.models import LimitScope, RateLimit

# What the columns hold.
_MOST = {"requests_per_minute": 2**31 - 1, "tokens_per_minute": 2**63 - 1}


@dataclass(frozen=True)
class LimitRule:
    """One limit: so many requests, and so many tokens, in any 60 seconds; None: not limited."""

    id: UUID
    scope: str
    subject_id: UUID
    requests_per_minute: int | None
    tokens_per_minute: int | None


def limit_rules(card: KeyCard) -> tuple[LimitRule, ...]:
    """Return every limit that a call with this key must keep. One query, in a transaction with the card's tenant."""
    subjects = {
        LimitScope.ORGANIZATION: card.organization_id,
        LimitScope.PROJECT: card.project_id,
        LimitScope.MEMBER: card.user_id,
        LimitScope.KEY: card.api_key_id,
    }
    return _rules_of(card.organization_id, subjects)


def tenant_limit_rules() -> tuple[LimitRule, ...]:
    """Return every limit that a call of our own rooms must keep: those of the bound organization and person. One query,
    in a transaction; none where nobody is bound."""
    tenant = tenant_or_nobody()
    if tenant.organization_id is None:
        return ()
    subjects = {LimitScope.ORGANIZATION: tenant.organization_id, LimitScope.MEMBER: tenant.user_id}
    return _rules_of(tenant.organization_id, subjects)


@transaction.atomic
def rate_limit_set(
    *,
    scope: str,
    subject_id: UUID | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    organization_id: UUID | None = None,
) -> LimitRule:
    """Set the limit of the bound organization, or of one of its projects, members or keys, in place of an earlier one.

    Operators name the ``organization_id``. Raises PermissionRefused for roles that may not, InvalidInput for an unknown
    scope or subject, nothing to limit or figures below 1.
    """
    organization_id = _managed_organization(organization_id)
    figures = {"requests_per_minute": requests_per_minute, "tokens_per_minute": tokens_per_minute}
    subject_id = rate_limit_check(organization_id=organization_id, scope=scope, subject_id=subject_id, **figures)
    row, _created = RateLimit.objects.update_or_create(
        organization_id=organization_id,
        scope=scope,
        subject_id=subject_id,
        defaults=figures,
        create_defaults={**figures, "user_id": tenant_or_nobody().user_id},
    )
    audit_record(
        action="rate_limit.set",
        target_type="rate_limit",
        target_id=row.pk,
        data={"scope": scope, "subject_id": str(subject_id), **figures},
    )
    return _rule(row)


def rate_limit_check(
    *,
    organization_id: UUID,
    scope: str,
    subject_id: UUID | None,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
) -> UUID:
    """Return whose limit this would be; raises InvalidInput, as `rate_limit_set`, where it makes no sense."""
    figures = {"requests_per_minute": requests_per_minute, "tokens_per_minute": tokens_per_minute}
    if all(figure is None for figure in figures.values()):
        raise InvalidInput.for_field("requests_per_minute", _("Limit the requests, the tokens, or both."))
    for name, figure in figures.items():
        if figure is not None and not 1 <= figure <= _MOST[name]:
            raise InvalidInput.for_field(name, _("A whole number from 1 to %(most)d.") % {"most": _MOST[name]})
    if scope not in LimitScope.values:
        raise InvalidInput.for_field("scope", _("There is no such scope."))
    if scope == LimitScope.ORGANIZATION:
        return organization_id
    if subject_id is None or subject_name(organization_id, scope, subject_id) is None:
        raise InvalidInput.for_field("subject_id", _("There is no such project, member or key."))
    return subject_id


@transaction.atomic
def rate_limit_remove(*, rate_limit_id: UUID, organization_id: UUID | None = None) -> None:
    """Remove one limit of the bound organization (operators name it); raises PermissionRefused, NotFound."""
    organization_id = _managed_organization(organization_id)
    row = RateLimit.objects.filter(organization_id=organization_id, pk=rate_limit_id).first()
    if row is None:
        raise NotFound
    row.delete()
    data: dict[str, Any] = {"scope": row.scope, "subject_id": str(row.subject_id)}
    audit_record(action="rate_limit.remove", target_type="rate_limit", target_id=rate_limit_id, data=data)


def _rules_of(organization_id: UUID, subjects: Mapping[LimitScope, UUID | None]) -> tuple[LimitRule, ...]:
    applies = Q()
    for scope, subject_id in subjects.items():
        if subject_id is not None:
            applies |= Q(scope=scope, subject_id=subject_id)
    rows = RateLimit.objects.filter(applies, organization_id=organization_id).order_by("scope")
    return tuple(_rule(row) for row in rows)


def _managed_organization(named: UUID | None) -> UUID:
    tenant = tenant_or_nobody()
    if tenant.operator and named is not None:
        return named
    if not can_manage(tenant):
        raise PermissionRefused
    return current_organization_id()


def _rule(row: RateLimit) -> LimitRule:
    return LimitRule(
        id=row.pk,
        scope=row.scope,
        subject_id=row.subject_id,
        requests_per_minute=row.requests_per_minute,
        tokens_per_minute=row.tokens_per_minute,
    )
