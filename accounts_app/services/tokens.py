"""JSON Web Tokens for the REST API: a person's program signs in with a password, then renews by itself.

The tokens are signed, and name a row that is looked at with each request: a closed account, a member who left, a
changed password or a revoked sign-in stop them at once.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken, Token
from rest_framework_simplejwt.utils import datetime_from_epoch

from accounts_app.contracts import IpRule, TokenPair
from accounts_app.exceptions import NotAuthenticated, NotFound
from accounts_app.models import ApiSession, Membership, User
from accounts_app.services.audit import audit_record
from accounts_app.services.cards import ip_rules_of
from accounts_app.tenancy.context import Tenant, bound, tenant_atomic

SESSION, ORGANIZATION, PERSON, PASSWORD = "sid", "org", "sub", "pwd"


@dataclass(frozen=True)
class Access:
    """As whom, and in which sign-in, an access token lets in; and the rules about where from."""

    membership: Membership
    api_session_id: UUID
    ip_rules: tuple[IpRule, ...]


def tokens_issue(*, user: User, organization_id: UUID | None = None) -> TokenPair:
    """Sign ``user`` in to an organization (the oldest one unless named). Raises NotFound when it is not theirs."""
    with bound(Tenant(user_id=user.pk)), transaction.atomic():
        memberships = Membership.objects.filter(user=user).order_by("created_at")
        mine = memberships.filter(organization_id=organization_id) if organization_id else memberships
        membership = mine.first()
    if membership is None:
        raise NotFound(_("You belong to no such organization."))
    with tenant_atomic(membership.organization_id, user.pk, membership.role):
        refresh = _refresh_token(user, membership.organization_id, uuid4())
        session = ApiSession(pk=UUID(refresh[SESSION]), organization_id=membership.organization_id, user=user)
        session.refresh_id, session.expires_at = refresh["jti"], datetime_from_epoch(refresh["exp"])
        session.refreshed_at = timezone.now()
        session.save(force_insert=True)
        audit_record(action="api_session.create", target_type="api_session", target_id=session.pk)
    return _pair(refresh)


def tokens_refresh(*, refresh: str) -> TokenPair:
    """Exchange a refresh token for a new pair; the old one stops.

    Opens its own transaction, which stays even when it refuses: a token that was used before ends its whole chain.
    Raises NotAuthenticated.
    """
    old = _read(RefreshToken, refresh)
    session_id, tenant = UUID(old[SESSION]), _tenant(old)
    with bound(tenant), transaction.atomic():
        user = _person_of(old, session_id)
        if user is not None:
            new = _refresh_token(user, UUID(old[ORGANIZATION]), session_id)
            current = ApiSession.objects.filter(pk=session_id, refresh_id=old["jti"], revoked_at=None)
            # Guarded: of two programs with one token, one goes on, and the other's is a token used twice.
            if current.update(
                refresh_id=new["jti"], expires_at=datetime_from_epoch(new["exp"]), refreshed_at=timezone.now()
            ):
                return _pair(new)
            _revoke(session_id, "api_session.reuse")
    raise _refused()


def tokens_revoke(*, refresh: str) -> None:
    """End the sign-in that a refresh token belongs to, its access tokens too. What is no token changes nothing."""
    try:
        token = _read(RefreshToken, refresh)
    except NotAuthenticated:
        return
    with bound(_tenant(token)), transaction.atomic():
        _revoke(UUID(token[SESSION]), "api_session.revoke")


def access_by_token(access: str) -> Access:
    """Return as whom an access token lets in, and from where; raises NotAuthenticated. One transaction, two reads."""
    token = _read(AccessToken, access)
    session_id, tenant = UUID(token[SESSION]), _tenant(token)
    with bound(tenant), transaction.atomic():
        membership = _memberships(token, session_id).first()
        if membership is None or not _is_of_password(token, membership.user):
            raise _refused()
        return Access(membership, session_id, ip_rules_of(membership.organization_id))


def _memberships(token: Token, session_id: UUID) -> QuerySet[Membership]:
    sessions = ApiSession.objects.filter(
        pk=session_id, user_id=OuterRef("user_id"), organization_id=OuterRef("organization_id"), revoked_at=None
    )
    return Membership.objects.select_related("user").filter(
        Exists(sessions), user_id=token[PERSON], organization_id=token[ORGANIZATION], user__is_active=True
    )


def _person_of(token: Token, session_id: UUID) -> User | None:
    membership = _memberships(token, session_id).first()
    return membership.user if membership and _is_of_password(token, membership.user) else None


def _read(kind: type[Token], text: str) -> Token:
    try:
        token = kind(text)  # type: ignore[arg-type]
        for claim in (SESSION, ORGANIZATION, PERSON):
            UUID(token[claim])
    except (TokenError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise _refused() from error
    return token


def _refresh_token(user: User, organization_id: UUID, session_id: UUID) -> RefreshToken:
    token = RefreshToken()
    token[PERSON], token[ORGANIZATION], token[SESSION] = str(user.pk), str(organization_id), str(session_id)
    token[PASSWORD] = user.get_session_auth_hash()
    return token


def _pair(refresh: RefreshToken) -> TokenPair:
    return TokenPair(
        access=str(refresh.access_token),
        refresh=str(refresh),
        access_expires_in=int(api_settings.ACCESS_TOKEN_LIFETIME.total_seconds()),
        refresh_expires_in=int(api_settings.REFRESH_TOKEN_LIFETIME.total_seconds()),
        organization_id=UUID(refresh[ORGANIZATION]),
    )


def _is_of_password(token: Token, user: User) -> bool:
    return constant_time_compare(token.get(PASSWORD, ""), user.get_session_auth_hash())


def _revoke(session_id: UUID, action: str) -> None:
    if ApiSession.objects.filter(pk=session_id, revoked_at=None).update(revoked_at=timezone.now()):
        audit_record(action=action, target_type="api_session", target_id=session_id)


def _tenant(token: Token) -> Tenant:
    return Tenant(organization_id=UUID(token[ORGANIZATION]), user_id=UUID(token[PERSON]))


def _refused() -> NotAuthenticated:
    return NotAuthenticated(_("This token is not valid, or not any more."))
