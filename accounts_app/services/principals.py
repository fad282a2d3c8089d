"""Who is calling: a person with a session, a program with a key, or nobody."""

from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from accounts_app.contracts import IpRule, KeyCard
from accounts_app.exceptions import AddressRefused, ScopeRefused
from accounts_app.models import ApiKey, Membership, Role, Scope, User
from accounts_app.services.addresses import address_admitted, client_address
from accounts_app.services.cards import api_key_and_card
from accounts_app.services.tokens import access_by_token
from accounts_app.tenancy.context import NOBODY, Tenant, bound

ACTIVE_ORGANIZATION = "active_organization"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS", "TRACE")


@dataclass(frozen=True)
class Principal:
    """The caller: with a session of the pages; a key and its ``card``; or a token of the sign-in ``api_session_id``.

    ``tenant`` is empty for anonymous callers.
    """

    user: User | AnonymousUser
    tenant: Tenant
    api_key: ApiKey | None = None
    card: KeyCard | None = None
    api_session_id: UUID | None = None
    ip_rules: tuple[IpRule, ...] = ()


def principal_of(request: HttpRequest) -> Principal:
    """Return the caller of ``request``.

    Keys and tokens open the REST API only: pages are for people, and their forms are guarded by the session. Raises
    NotAuthenticated for a key or token that is wrong, expired or revoked; AddressRefused where a list keeps the address
    out; ScopeRefused where the key lacks the scope.
    """
    scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and _is_for_programs(request.path):
        address = client_address(request.headers, request.META.get("REMOTE_ADDR", ""))
        return principal_by_bearer(secret, address, Scope.READ if request.method in SAFE_METHODS else Scope.WRITE)
    if isinstance(request.user, AnonymousUser):
        return Principal(user=request.user, tenant=NOBODY)
    return principal_by_session(request.user, request.session.get(ACTIVE_ORGANIZATION))


def principal_by_bearer(secret: str, address: str, scope: str) -> Principal:
    """Return who sent this key or access token from ``address``, for what the scope "read" or "write" opens.

    Raises NotAuthenticated, AddressRefused, ScopeRefused.
    """
    # A key has no dot in it, a token has two.
    principal = principal_by_token(secret.strip()) if "." in secret else principal_by_key(secret.strip())
    if not address_admitted(principal.ip_rules, address):
        raise AddressRefused
    if principal.card is not None and scope not in principal.card.scopes:
        raise ScopeRefused(_("This API key was made without the scope “%(scope)s”.") % {"scope": scope})
    return principal


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
    return Principal(user=api_key.user, tenant=card.tenant, api_key=api_key, card=card, ip_rules=card.ip_rules)


def principal_by_token(access: str) -> Principal:
    """Return the person whose program sent the access token; raises NotAuthenticated."""
    found = access_by_token(access)
    return Principal(
        user=found.membership.user,
        tenant=_tenant(found.membership),
        api_session_id=found.api_session_id,
        ip_rules=found.ip_rules,
    )


def can_write(tenant: Tenant) -> bool:
    """Whether the role may change anything."""
    return tenant.role in (Role.OWNER, Role.ADMIN, Role.MEMBER)


def can_manage(tenant: Tenant) -> bool:
    """Whether the role may manage money, members and other people's keys."""
    return tenant.role in (Role.OWNER, Role.ADMIN)


def _is_for_programs(path: str) -> bool:
    # Not where tokens are had: a client that still sends the expired one would never get another.
    return path.startswith("/api/") and not path.startswith("/api/auth/")


def _tenant(membership: Membership) -> Tenant:
    organization_id: UUID = membership.organization_id
    return Tenant(organization_id=organization_id, user_id=membership.user_id, role=membership.role)
