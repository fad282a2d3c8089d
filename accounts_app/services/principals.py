"""Who is calling: a person with a session, a program with a key, or nobody."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest

from accounts_app.contracts import KeyCard
from accounts_app.models import ApiKey, Membership, Role, User
from accounts_app.services.cards import api_key_and_card
from accounts_app.tenancy.context import NOBODY, Tenant, bound

ACTIVE_ORGANIZATION = "active_organization"


@dataclass(frozen=True)
class Principal:
    """The caller. ``api_key`` and its ``card`` are None for sessions; ``tenant`` is empty for anonymous callers."""

    user: User | AnonymousUser
    tenant: Tenant
    api_key: ApiKey | None = None
    card: KeyCard | None = None


def principal_of(request: HttpRequest) -> Principal:
    """Return the caller of ``request``; raises NotAuthenticated for a key that is wrong, expired or revoked.

    Keys open the REST API only: pages are for people, and their forms are guarded by the session.
    """
    scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and request.path.startswith("/api/"):
        return principal_by_key(secret.strip())
    if isinstance(request.user, AnonymousUser):
        return Principal(user=request.user, tenant=NOBODY)
    return principal_by_session(request.user, request.session.get(ACTIVE_ORGANIZATION))


def principal_by_session(user: User, organization_id: str | None) -> Principal:
    """Return the person in the organization last chosen, or else in the oldest one; membership is checked each time."""
    with bound(Tenant(user_id=user.pk)), transaction.atomic():
        memberships = Membership.objects.filter(user=user).order_by("created_at")
        chosen = memberships.filter(organization_id=organization_id).first() if organization_id else None
        membership = chosen or memberships.first()
    if membership is None:
        return Principal(user=user, tenant=Tenant(user_id=user.pk))
    return Principal(user=user, tenant=_tenant(membership))


def principal_by_key(secret: str) -> Principal:
    """Return the program that holds the key ``secret``; raises NotAuthenticated."""
    api_key, card = api_key_and_card(secret)
    assert api_key.user is not None
    return Principal(user=api_key.user, tenant=card.tenant, api_key=api_key, card=card)


def can_write(tenant: Tenant) -> bool:
    """Whether the role may change anything."""
    return tenant.role in (Role.OWNER, Role.ADMIN, Role.MEMBER)


def can_manage(tenant: Tenant) -> bool:
    """Whether the role may manage money, members and other people's keys."""
    return tenant.role in (Role.OWNER, Role.ADMIN)


def _tenant(membership: Membership) -> Tenant:
    organization_id: UUID = membership.organization_id
    return Tenant(organization_id=organization_id, user_id=membership.user_id, role=membership.role)
