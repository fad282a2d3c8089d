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
from workflows_app.exceptions import ConfigInvalid, TemplateStateConflict, WorkspaceUnknown
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
    refuse_shapeless(document, workspace_key)
    config = WorkflowConfig(
        organization_id=tenant.organization_id,
        workspace_id=workspace_key,
        version=document["version"],
        name=name or document.get("name", "") or workspace_key,
        description=document.get("description", ""),
        notes=notes or document.get("notes", ""),
        config=document,
        created_by_id=tenant.user_id,
    )
    config_save(config)
    audit_record(action="workflow.draft", target_type="workflow_config", target_id=config.id)
    return config


@transaction.atomic
def config_draft_update(
    *, config_id: UUID, document: Any, name: str | None = None, notes: str | None = None
) -> WorkflowConfig:
    """Replace a draft's document.

    Raises NotFound, RunStateConflict for a published version, ConfigInvalid, and Conflict for a version that exists.
    """
    config = own_draft(config_id)
    refuse_shapeless(document, config.workspace_id)
    config.config, config.version = document, document["version"]
    config.name = config.name if name is None else name
    config.notes = config.notes if notes is None else notes
    config.description = document.get("description", config.description)
    config_save(config)
    audit_record(action="workflow.edit", target_type="workflow_config", target_id=config.id)
    return config


@transaction.atomic
def config_publish(*, config_id: UUID, make_default: bool = True) -> WorkflowConfig:
    """Make a draft unchangeable and fit to run. Raises NotFound, RunStateConflict, ConfigInvalid with every error."""
    config = own_draft(config_id)
    refuse(errors_only(config_validate(config.config, workspace=config.workspace_id)))
    if make_default:
        defaults_clear(config.workspace_id)
    config.status, config.published_at, config.is_default = ConfigStatus.PUBLISHED, timezone.now(), make_default
    config_save(config)
    audit_record(
        action="workflow.publish",
        target_type="workflow_config",
        target_id=config.id,
        data={"workspace": config.workspace_id, "version": config.version, "is_default": make_default},
    )
    return config


def _parsed(config: WorkflowConfig) -> ConfigRef:
    return document_parse(config.id, config.config, shared=config.organization_id is None)


def own_config(config_id: UUID) -> WorkflowConfig:
    """Return the organization's own version, locked. Raises NotFound, also for a shared one."""
    own = WorkflowConfig.objects.select_for_update().filter(organization_id=current_organization_id())
    config = own.filter(pk=config_id).first()
    if config is None:
        raise NotFound
    return config


def own_draft(config_id: UUID) -> WorkflowConfig:
    """Return the organization's own draft, locked. Raises NotFound, TemplateStateConflict."""
    config = own_config(config_id)
    if config.status != ConfigStatus.DRAFT:
        raise TemplateStateConflict(_("A published version never changes. Save a new version instead."))
    return config


def config_save(config: WorkflowConfig) -> None:
    """Write the row. Raises Conflict when the organization has this name with this version already."""
    try:
        with transaction.atomic():
            config.save()
    except IntegrityError as error:
        raise name_taken(config.name, config.version, error) from error


def defaults_clear(workspace_key: str) -> None:
    """Take the place of the default from whichever of the organization's versions has it."""
    own = WorkflowConfig.objects.filter(organization_id=current_organization_id(), workspace_id=workspace_key)
    own.filter(is_default=True).update(is_default=False)


# Errors here would make a row that cannot be found, named or shown; all others a draft may have.
_OF_THE_ROW = {"", "/version", "/workspace", "/name", "/description", "/notes"}


def refuse_shapeless(document: Any, workspace_key: str) -> None:
    """Raise ConfigInvalid for what cannot even be a draft."""
    findings = errors_only(config_validate(document, workspace=workspace_key))
    shapeless = not isinstance(document, dict) or "version" not in document
    refuse(tuple(item for item in findings if shapeless or item.pointer in _OF_THE_ROW))


def refuse(findings: tuple[ConfigError, ...]) -> None:
    """Raise ConfigInvalid with all findings, if there are any."""
    if findings:
        raise ConfigInvalid(details=tuple(FieldError(item.pointer, item.message) for item in findings))


def name_taken(name: str, version: str, cause: IntegrityError | None = None) -> Conflict:
    """Return the error of a name and version that exist, or of two that became the default at once."""
    if cause is not None and "config_one_default" in str(cause):
        return TemplateStateConflict(_("Another version became the default just now."))
    message = _("“%(name)s” %(version)s exists already.") % {"name": name, "version": version}
    return Conflict(message, details=(FieldError("/version", message),))


def problems_of(config: WorkflowConfig) -> tuple[ConfigError, ...]:
    """Return what a draft's editor should show: errors and warnings."""
    return config_validate(config.config, workspace=config.workspace_id)
