"""API keys: made, shown once, changed, rotated, revoked."""

import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.contracts import NewApiKey
from accounts_app.exceptions import Conflict, InvalidInput, NotFound, PermissionRefused
from accounts_app.models import ApiKey, Project, Scope
from accounts_app.selectors import api_keys_visible
from accounts_app.services.audit import audit_record
from accounts_app.services.cards import key_hash
from accounts_app.services.principals import can_write
from accounts_app.tenancy.context import current_organization_id, current_tenant

NAME_LENGTH = 80
MODELS_AT_MOST = 50
GRACE_AT_MOST = timedelta(days=30)

_PATTERN = re.compile(r"[\w.:/@*?\[\]-]{1,120}")


@transaction.atomic
def api_key_create(
    *,
    name: str,
    expires_at: datetime | None = None,
    project_id: UUID | None = None,
    scopes: Sequence[str] = tuple(Scope.values),
    models: Sequence[str] = (),
) -> NewApiKey:
    """Make a key ``dsk_<8 hex>_<43 base64url>`` for the bound person and organization.

    ``scopes`` are those of `Scope`; ``models`` are patterns like ``gpt-5*``, none for every model. Raises InvalidInput
    for a name that is empty or long, an expiry in the past, or scopes and patterns that are none; NotFound for a
    project that is not the organization's; PermissionRefused for viewers.
    """
    tenant = current_tenant()
    if not can_write(tenant):
        raise PermissionRefused
    api_key = ApiKey(organization_id=current_organization_id(), user_id=tenant.user_id)
    _fill(api_key, name=name, project_id=project_id, scopes=scopes, models=models)
    api_key.expires_at = _valid_expiry(expires_at)
    secret = _give_secret(api_key)
    api_key.save(force_insert=True)
    _audit("api_key.create", api_key, name=api_key.name)
    return _new(api_key, secret)


@transaction.atomic
def api_key_change(
    *,
    api_key_id: UUID,
    name: str,
    expires_at: datetime | None,
    project_id: UUID | None,
    scopes: Sequence[str],
    models: Sequence[str],
) -> ApiKey:
    """Change what a key is called and opens; the secret stays. Raises as `api_key_create`, Conflict when revoked."""
    api_key = _key_for_change(api_key_id)
    if expires_at != api_key.expires_at:
        api_key.expires_at = _valid_expiry(expires_at)
    _fill(api_key, name=name, project_id=project_id, scopes=scopes, models=models)
    api_key.save()
    _audit("api_key.change", api_key, name=api_key.name, scopes=api_key.scopes, models=api_key.models)
    return api_key


@transaction.atomic
def api_key_rotate(*, api_key_id: UUID, grace: timedelta = timedelta()) -> NewApiKey:
    """Give a key a new secret, and let the old one work for another ``grace`` (at most 30 days).

    Budgets, limits and figures stay with the key. Raises NotFound, Conflict when revoked, InvalidInput for the grace.
    """
    api_key = _key_for_change(api_key_id)
    if not timedelta() <= grace <= GRACE_AT_MOST:
        raise InvalidInput.for_field("grace_hours", _("The old secret may work for up to 30 more days."))
    before = api_key.secret_hash
    secret = _give_secret(api_key)
    api_key.previous_hash = before if grace else None
    api_key.previous_expires_at = timezone.now() + grace if grace else None
    api_key.save()
    _audit("api_key.rotate", api_key, grace_hours=grace.total_seconds() / 3600)
    return _new(api_key, secret)


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


def _key_for_change(api_key_id: UUID) -> ApiKey:
    # The key's own row only: the person's, beside it, is nullable and cannot be locked.
    api_key = api_keys_visible().select_for_update(of=("self",)).filter(pk=api_key_id).first()
    if api_key is None:
        raise NotFound
    if not can_write(current_tenant()):
        raise PermissionRefused
    if api_key.revoked_at is not None:
        raise Conflict(_("This key is revoked. Make a new one."))
    return api_key


def _fill(api_key: ApiKey, *, name: str, project_id: UUID | None, scopes: Sequence[str], models: Sequence[str]) -> None:
    api_key.name = _valid_name(name)
    api_key.project = _valid_project(project_id, before=api_key.project_id)
    api_key.scopes = _valid_scopes(scopes)
    api_key.models = _valid_models(models)


def _give_secret(api_key: ApiKey) -> str:
    api_key.prefix = f"dsk_{secrets.token_hex(4)}"
    secret = f"{api_key.prefix}_{secrets.token_urlsafe(32)}"
    api_key.secret_hash = key_hash(secret)
    return secret


def _revoke(api_key: ApiKey) -> int:
    # Guarded, so that of two at once only one writes the moment and the audit row.
    revoked = ApiKey.objects.filter(pk=api_key.pk, revoked_at=None).update(revoked_at=timezone.now())
    if revoked:
        _audit("api_key.revoke", api_key, organization=str(api_key.organization_id))
    return revoked


def _valid_name(name: str) -> str:
    name = name.strip()
    if not name:
        raise InvalidInput.for_field("name", _("Give the key a name that tells what uses it."))
    if len(name) > NAME_LENGTH:
        raise InvalidInput.for_field("name", _("The name may have at most 80 characters."))
    return name


def _valid_expiry(expires_at: datetime | None) -> datetime | None:
    if expires_at is not None and expires_at <= timezone.now():
        raise InvalidInput.for_field("expires_at", _("The expiry must be in the future."))
    return expires_at


def _valid_project(project_id: UUID | None, *, before: UUID | None) -> Project | None:
    if project_id is None:
        return None
    project = Project.objects.filter(organization_id=current_organization_id(), pk=project_id).first()
    if project is None:
        raise NotFound(_("There is no such project."))
    if project.archived_at is not None and project_id != before:
        raise InvalidInput.for_field("project", _("This project is archived."))
    return project


def _valid_scopes(scopes: Sequence[str]) -> list[str]:
    if not scopes or not set(scopes) <= set(Scope.values):
        raise InvalidInput.for_field("scopes", _("Choose at least one of the scopes."))
    return [scope for scope in Scope.values if scope in scopes]


def _valid_models(models: Sequence[str]) -> list[str]:
    patterns = list(dict.fromkeys(pattern.strip() for pattern in models if pattern.strip()))
    bad = next((pattern for pattern in patterns if not _PATTERN.fullmatch(pattern)), None)
    if bad is not None:
        raise InvalidInput.for_field("models", _("“%(pattern)s” is no name of a model.") % {"pattern": bad[:120]})
    if len(patterns) > MODELS_AT_MOST:
        raise InvalidInput.for_field("models", _("Name at most 50 models."))
    return patterns


def _new(api_key: ApiKey, secret: str) -> NewApiKey:
    return NewApiKey(
        id=api_key.pk,
        name=api_key.name,
        prefix=api_key.prefix,
        secret=secret,
        created_at=api_key.created_at,
        expires_at=api_key.expires_at,
    )


def _audit(action: str, api_key: ApiKey, **data: object) -> None:
    audit_record(action=action, target_type="api_key", target_id=api_key.pk, data={"prefix": api_key.prefix, **data})
