"""Key cards: everything that is asked of a key at each call, read once and kept by whoever asks often."""

import hashlib
from datetime import datetime
from ipaddress import ip_network
from typing import Literal
from uuid import UUID

from django.db import transaction
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.contracts import IpRule, KeyCard
from accounts_app.exceptions import NotAuthenticated
from accounts_app.models import ApiKey, Membership, Revision, Role, Scope
from accounts_app.models import IpRule as IpRuleRow
from accounts_app.tenancy.context import Tenant, bound

TOUCH_SECONDS = 60


def key_hash(secret: str) -> str:
    """Return the stored form of a key: SHA-256 is enough for 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def key_card(secret: str) -> KeyCard:
    """Return the card of the key ``secret``, and note that it was used (once a minute at most).

    Opens its own transactions. Raises NotAuthenticated for a key that is unknown, expired or revoked, whose person's
    account is closed or has left, or whose project is archived.
    """
    return api_key_and_card(secret)[1]


def api_key_and_card(secret: str) -> tuple[ApiKey, KeyCard]:
    """Return the key's row, with its person, beside its card. Raises as `key_card`."""
    digest = key_hash(secret)
    with bound(Tenant(api_key_hash=digest)), transaction.atomic():
        found = ApiKey.objects.filter(_by(digest)).values_list("organization_id", "user_id").first()
    if found is None or found[1] is None:
        raise _unknown()
    with bound(Tenant(organization_id=found[0], user_id=found[1])), transaction.atomic():
        card, api_key = _read(digest, user_id=found[1])
        _touch(api_key)
    return api_key, card


def ip_rules_of(organization_id: UUID, api_key: ApiKey | None = None) -> tuple[IpRule, ...]:
    """Return the rules for callers of the (bound) organization: the operators', its own, and those of the key."""
    of_all = Q(project=None, api_key=None)
    of_key = Q(api_key_id=api_key.pk) if api_key else Q()
    of_project = Q(project_id=api_key.project_id) if api_key and api_key.project_id else Q()
    mine = Q(organization_id=organization_id) & (of_all | of_key | of_project)
    return tuple(
        IpRule(level=_level(row), action="deny" if row.action == "deny" else "allow", network=ip_network(row.network))
        for row in IpRuleRow.objects.filter(mine | Q(organization=None))
    )


def _read(digest: str, user_id: UUID) -> tuple[KeyCard, ApiKey]:
    roles = Membership.objects.filter(organization_id=OuterRef("organization_id"), user_id=user_id)
    number = Revision.objects.filter(name="ip_rules").values("number")
    # Both revisions come with the row, in one statement, and before the rules: what is older than its number would
    # be believed for ever; what is newer is only read once more.
    keys = ApiKey.objects.select_related("user", "organization", "project").annotate(
        role=Subquery(roles.values("role")[:1]), ip_revision=Subquery(number[:1])
    )
    api_key = keys.filter(_by(digest), user_id=user_id).first()
    if api_key is None:
        raise _unknown()
    if api_key.role is None:
        raise NotAuthenticated(_("This API key's owner has left the organization."))
    _refuse_what_has_ended(api_key, digest)
    card = KeyCard(
        organization_id=api_key.organization_id,
        user_id=user_id,
        role=api_key.role,
        api_key_id=api_key.pk,
        api_key_name=api_key.name,
        project_id=api_key.project_id,
        log_prompts=api_key.project is not None and api_key.project.log_prompts,
        scopes=_scopes(api_key, api_key.role),
        models=tuple(api_key.models),
        ip_rules=ip_rules_of(api_key.organization_id, api_key),
        expires_at=_expiry(api_key, digest),
        policy_revision=api_key.organization.policy_revision,
        ip_revision=api_key.ip_revision or 0,
    )
    return card, api_key


def _by(digest: str) -> Q:
    return Q(secret_hash=digest) | Q(previous_hash=digest)


def _refuse_what_has_ended(api_key: ApiKey, digest: str) -> None:
    expiry = _expiry(api_key, digest)
    is_over = api_key.revoked_at is not None or (expiry is not None and expiry <= timezone.now())
    if is_over or api_key.user is None or not api_key.user.is_active:
        raise _unknown()
    if api_key.project is not None and api_key.project.archived_at is not None:
        raise NotAuthenticated(_("This API key's project is archived."))


def _expiry(api_key: ApiKey, digest: str) -> datetime | None:
    ends = [api_key.expires_at, api_key.previous_expires_at if api_key.previous_hash == digest else None]
    return min((end for end in ends if end is not None), default=None)


def _scopes(api_key: ApiKey, role: str) -> frozenset[str]:
    # A viewer reads, with a key as on the pages.
    return frozenset(api_key.scopes) & ({Scope.READ.value} if role == Role.VIEWER else set(Scope.values))


def _level(row: IpRuleRow) -> Literal["operator", "organization", "project", "key"]:
    if row.organization_id is None:
        return "operator"
    if row.api_key_id is not None:
        return "key"
    return "organization" if row.project_id is None else "project"


def _touch(api_key: ApiKey) -> None:
    # Once a minute is enough to know that a key is alive, and spares a write per call.
    now = timezone.now()
    if api_key.last_used_at is None or (now - api_key.last_used_at).total_seconds() > TOUCH_SECONDS:
        ApiKey.objects.filter(pk=api_key.pk).update(last_used_at=now)


def _unknown() -> NotAuthenticated:
    return NotAuthenticated(_("This API key is unknown, expired or revoked."))
