"""Who is calling: a person with a session, a program with a key, or nobody."""

import hashlib
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.exceptions import NotAuthenticated
from accounts_app.models import ApiKey, Membership, Role, User
from accounts_app.tenancy.context import NOBODY, Tenant, bound

ACTIVE_ORGANIZATION = "active_organization"


@dataclass(frozen=True)
class Principal:
    """The caller. ``api_key`` is None for sessions; ``tenant`` is empty for anonymous callers."""

    user: User | AnonymousUser
    tenant: Tenant
    api_key: ApiKey | None = None


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
    digest = key_hash(secret)
    with bound(Tenant(api_key_hash=digest)), transaction.atomic():
        api_key = ApiKey.objects.select_related("user").filter(secret_hash=digest).first()
    if api_key is None or not api_key.is_usable or api_key.user is None or not api_key.user.is_active:
        raise NotAuthenticated(_("This API key is unknown, expired or revoked."))
    with bound(Tenant(user_id=api_key.user.pk, organization_id=api_key.organization_id)), transaction.atomic():
        membership = Membership.objects.filter(user=api_key.user, organization_id=api_key.organization_id).first()
        if membership is None:
            raise NotAuthenticated(_("This API key's owner has left the organization."))
        _touch(api_key)
    return Principal(user=api_key.user, tenant=_tenant(membership), api_key=api_key)


def key_hash(secret: str) -> str:
    """Return the stored form of a key: SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def can_write(tenant: Tenant) -> bool:
    """Whether the role may change anything."""
    return tenant.role in (Role.OWNER, Role.ADMIN, Role.MEMBER)


def can_manage(tenant: Tenant) -> bool:
    """Whether the role may manage money, members and other people's keys."""
    return tenant.role in (Role.OWNER, Role.ADMIN)


def _touch(api_key: ApiKey) -> None:
    # Once a minute is enough to know that a key is alive, and spares a write per call.
    now = timezone.now()
    if api_key.last_used_at is None or (now - api_key.last_used_at).total_seconds() > 60:
        ApiKey.objects.filter(pk=api_key.pk).update(last_used_at=now)


def _tenant(membership: Membership) -> Tenant:
    organization_id: UUID = membership.organization_id
    return Tenant(organization_id=organization_id, user_id=membership.user_id, role=membership.role)
