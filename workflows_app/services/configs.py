"""Workflow versions: resolve, draft, publish."""

from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts_app.exceptions import Conflict, FieldError, NotFound
from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id, current_tenant
from workflows_app.contracts import ConfigError, ConfigRef
from workflows_app.exceptions import ConfigInvalid, RunStateConflict, WorkspaceUnknown
from workflows_app.models import ConfigStatus, WorkflowConfig, Workspace
from workflows_app.selectors import config_get, configs_readable
from workflows_app.services.documents import document_parse
from workflows_app.services.validation import config_validate, errors_only

__all__ = [
    "config_by_id",
    "config_draft_create",
    "config_draft_update",
    "config_for",
    "config_publish",
    "config_validate",
    "default_config",
    "problems_of",
    "stage_after",
]


def default_config(workspace_key: str) -> WorkflowConfig:
    """Return the workspace's default version: the organization's own if it has one, else the shared one.

    Raises WorkspaceUnknown for a workspace that does not exist, is switched off, or has no workflow.
    """
    defaults = configs_readable().filter(workspace_id=workspace_key, is_default=True, workspace__is_active=True)
    config = defaults.first()
    if config is None:
        raise WorkspaceUnknown
    return config


def config_for(workspace_key: str) -> ConfigRef:
    """Return the workflow that new work of a workspace follows. Raises WorkspaceUnknown."""
    return _parsed(default_config(workspace_key))


def config_by_id(config_id: UUID) -> ConfigRef:
    """Return a version that the tenant may read: its own or a shared one. Raises NotFound."""
    return _parsed(config_get(config_id))


def stage_after(config: ConfigRef, stage: str) -> str | None:
    """Return the stage that follows ``stage``; None at the end, or for a stage that the workflow does not have."""
    spec = config.stages.get(stage)
    return spec.next if spec else None


@transaction.atomic
def config_draft_create(*, workspace_key: str, document: Any, name: str = "", notes: str = "") -> WorkflowConfig:
    """Save a new draft version. It may still have errors of meaning; its shape must be that of the schema.

    Raises WorkspaceUnknown, ConfigInvalid, and Conflict when the organization has this version already.
    """
    tenant = current_tenant()
    if not Workspace.objects.filter(key=workspace_key, is_active=True).exists():
        raise WorkspaceUnknown
    _refuse_shapeless(document, workspace_key)
    try:
        with transaction.atomic():
            config = WorkflowConfig.objects.create(
                organization_id=tenant.organization_id,
                workspace_id=workspace_key,
                version=document["version"],
                name=name or document.get("name", "") or workspace_key,
                notes=notes,
                config=document,
                created_by_id=tenant.user_id,
            )
    except IntegrityError as error:
        raise _version_taken(document["version"]) from error
    audit_record(action="workflow.draft", target_type="workflow_config", target_id=config.id)
    return config


@transaction.atomic
def config_draft_update(
    *, config_id: UUID, document: Any, name: str | None = None, notes: str | None = None
) -> WorkflowConfig:
    """Replace a draft's document.

    Raises NotFound, RunStateConflict for a published version, ConfigInvalid, and Conflict for a version that exists.
    """
    config = _own_draft(config_id)
    _refuse_shapeless(document, config.workspace_id)
    config.config, config.version = document, document["version"]
    config.name = config.name if name is None else name
    config.notes = config.notes if notes is None else notes
    try:
        with transaction.atomic():
            config.save(update_fields=["config", "version", "name", "notes"])
    except IntegrityError as error:
        raise _version_taken(document["version"]) from error
    audit_record(action="workflow.edit", target_type="workflow_config", target_id=config.id)
    return config


@transaction.atomic
def config_publish(*, config_id: UUID, make_default: bool = True) -> WorkflowConfig:
    """Make a draft unchangeable and fit to run. Raises NotFound, RunStateConflict, ConfigInvalid with every error."""
    config = _own_draft(config_id)
    _refuse(errors_only(config_validate(config.config, workspace=config.workspace_id)))
    if make_default:
        siblings = WorkflowConfig.objects.filter(
            organization_id=current_organization_id(), workspace_id=config.workspace_id, is_default=True
        )
        siblings.update(is_default=False)
    config.status, config.published_at, config.is_default = ConfigStatus.PUBLISHED, timezone.now(), make_default
    config.save(update_fields=["status", "published_at", "is_default"])
    audit_record(
        action="workflow.publish",
        target_type="workflow_config",
        target_id=config.id,
        data={"workspace": config.workspace_id, "version": config.version, "is_default": make_default},
    )
    return config


def _parsed(config: WorkflowConfig) -> ConfigRef:
    return document_parse(config.id, config.config, shared=config.organization_id is None)


def _own_draft(config_id: UUID) -> WorkflowConfig:
    own = WorkflowConfig.objects.select_for_update().filter(organization_id=current_organization_id())
    config = own.filter(pk=config_id).first()
    if config is None:
        raise NotFound
    if config.status != ConfigStatus.DRAFT:
        raise RunStateConflict(_("A published version never changes. Save a new version instead."))
    return config


def _refuse_shapeless(document: Any, workspace_key: str) -> None:
    findings = errors_only(config_validate(document, workspace=workspace_key))
    shapeless = not isinstance(document, dict) or "version" not in document
    _refuse(tuple(item for item in findings if shapeless or item.pointer in {"", "/version", "/workspace"}))


def _refuse(findings: tuple[ConfigError, ...]) -> None:
    if findings:
        raise ConfigInvalid(details=tuple(FieldError(item.pointer, item.message) for item in findings))


def _version_taken(version: str) -> Conflict:
    return Conflict(
        _("Version %(version)s exists already.") % {"version": version},
        details=(FieldError("/version", _("Version %(version)s exists already.") % {"version": version}),),
    )


def problems_of(config: WorkflowConfig) -> tuple[ConfigError, ...]:
    """Return what a draft's editor should show: errors and warnings."""
    return config_validate(config.config, workspace=config.workspace_id)
