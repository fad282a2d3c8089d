"""API keys: made, shown once, revoked."""

import secrets
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.contracts import NewApiKey
from accounts_app.exceptions import InvalidInput, NotFound, PermissionRefused
from accounts_app.models import ApiKey
from accounts_app.selectors import api_keys_visible
from accounts_app.services.audit import audit_record
from accounts_app.services.cards import key_hash
from accounts_app.services.principals import can_write
from accounts_app.tenancy.context import current_organization_id, current_tenant

NAME_LENGTH = 80


@transaction.atomic
def api_key_create(*, name: str, expires_at: datetime | None = None) -> NewApiKey:
    """Make a key ``dsk_<8 hex>_<43 base64url>`` for the bound person and organization.

    Raises InvalidInput for an empty or long name or an expiry in the past, PermissionRefused for viewers.
    """
    tenant = current_tenant()
    if not can_write(tenant):
        raise PermissionRefused
    name = _valid_name(name)
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidInput.for_field("expires_at", _("The expiry must be in the future."))
    prefix = f"dsk_{secrets.token_hex(4)}"
    secret = f"{prefix}_{secrets.token_urlsafe(32)}"
    api_key = ApiKey.objects.create(
        organization_id=current_organization_id(),
        user_id=tenant.user_id,
        name=name,
        prefix=prefix,
        secret_hash=key_hash(secret),
        expires_at=expires_at,
    )
    audit_record(
        action="api_key.create", target_type="api_key", target_id=api_key.id, data={"prefix": prefix, "name": name}
    )
    return NewApiKey(
        id=api_key.id, name=name, prefix=prefix, secret=secret, created_at=api_key.created_at, expires_at=expires_at
    )


@transaction.atomic
def api_key_revoke(*, api_key_id: UUID) -> None:
    """Stop a key for good; a second time changes nothing. Raises NotFound for a key that the caller may not see."""
    tenant = current_tenant()
    api_key = api_keys_visible().filter(pk=api_key_id).first()
    if api_key is None:
        raise NotFound
    if not can_write(tenant):
        raise PermissionRefused
    _revoke(api_key)


@transaction.atomic
def api_keys_revoke_as_operator(*, api_key_ids: list[UUID]) -> int:
    """Stop keys of any tenant, in an operator context; return how many worked until now."""
    revoked = 0
    for api_key in ApiKey.objects.filter(pk__in=api_key_ids, revoked_at=None):
        revoked += _revoke(api_key)
    return revoked


def _revoke(api_key: ApiKey) -> int:
    # Guarded, so that of two at once only one writes the moment and the audit row.
    revoked = ApiKey.objects.filter(pk=api_key.pk, revoked_at=None).update(revoked_at=timezone.now())
    if revoked:
        data = {"prefix": api_key.prefix, "organization": str(api_key.organization_id)}
        audit_record(action="api_key.revoke", target_type="api_key", target_id=api_key.pk, data=data)
    return revoked


def _valid_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise InvalidInput.for_field("name", _("Give the key a name that tells what uses it."))
    if len(name) > NAME_LENGTH:
        raise InvalidInput.for_field("name", _("The name may have at most 80 characters."))
    return name
