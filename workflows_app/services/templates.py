"""Workflow templates as /api/v1/templates has them: named versions with a document each."""

import re
from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import ProtectedError
from django.utils.translation import gettext as _

from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id, current_tenant
from workflows_app.contracts import ConfigError, Json
from workflows_app.exceptions import DraftChanged, TemplateStateConflict
from workflows_app.models import ConfigStatus, RunStatistic, WorkflowConfig, WorkflowRun, Workspace
from workflows_app.models.config import STARTABLE
from workflows_app.selectors import config_get
from workflows_app.services.configs import config_save, defaults_clear, own_config, own_draft, refuse, refuse_shapeless
from workflows_app.services.ordering import document_ordered

# What a version is found by; of these a document says the same as its row, or nothing.
_FIELDS = ("name", "version", "workspace", "description", "notes")
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


@transaction.atomic
def template_create(*, config: Any, **fields: str) -> WorkflowConfig:
    """Save a new draft. ``fields``: name, version, workspace, description, notes; those left out are the document's.

    It may still have errors of meaning. Raises ConfigInvalid for a document that cannot be stored, has no name or no
    version, or says something else than ``fields``; Conflict where the name has this version already.
    """
    draft = WorkflowConfig(organization_id=current_organization_id(), created_by_id=current_tenant().user_id)
    _fill(draft, document_named(config, fields))
    config_save(draft)
    _record("draft", draft)
    return draft


@transaction.atomic
def template_update(
    *, config_id: UUID, config: Any = None, tags: Collection[str] = (), **fields: str
) -> WorkflowConfig:
    """Change a draft: its document, the fields that are given, or both.

    ``tags``, if there are any, are what the caller read: see `template_tag`. Raises NotFound, TemplateStateConflict,
    DraftChanged, and ConfigInvalid and Conflict as `template_create` does.
    """
    draft = own_draft(config_id)
    _refuse_changed(draft, tags)
    if config is None:
        # The document has to say the same: it is exported, and shown, as a whole.
        document: Any = draft.config | {name: value for name, value in fields.items() if value}
        document = {key: value for key, value in document.items() if fields.get(key) != ""}
    else:
        kept = {"name": draft.name, "version": draft.version, "workspace": draft.workspace_id}
        given = config if isinstance(config, dict) else {}
        document = document_named(config, {key: kept[key] for key in kept if key not in given} | fields)
    _fill(draft, document)
    config_save(draft)
    _record("edit", draft)
    return draft


@transaction.atomic
def template_delete(*, config_id: UUID, tags: Collection[str] = ()) -> None:
    """Remove a version that no run ever used.

    Raises NotFound, TemplateStateConflict for one that was used or is the default, and DraftChanged as
    `template_update` does.
    """
    config = own_config(config_id)
    _refuse_changed(config, tags)
    if config.is_default:
        raise TemplateStateConflict(_("This is the default: make another version the default first."))
    if _was_used(config):
        raise TemplateStateConflict(_("Runs were made with this version: it can be deactivated, not deleted."))
    if config.status != ConfigStatus.DRAFT:
        config.status = ConfigStatus.INACTIVE
        config.save(update_fields=["status", "updated_at"])
    _record("delete", config)
    try:
        config.delete()
    except ProtectedError as error:
        raise TemplateStateConflict(_("Something still refers to this version.")) from error


@transaction.atomic
def template_activate(*, config_id: UUID) -> WorkflowConfig:
    """Let a published version be started, again. Raises NotFound, TemplateStateConflict for a draft."""
    return _switched(own_config(config_id), ConfigStatus.ACTIVE)


@transaction.atomic
def template_deactivate(*, config_id: UUID) -> WorkflowConfig:
    """Let a published version not be started any more; runs that it has go on.

    Raises NotFound, TemplateStateConflict for a draft and for the default.
    """
    config = own_config(config_id)
    if config.is_default:
        raise TemplateStateConflict(_("This is the default: make another version the default first."))
    return _switched(config, ConfigStatus.INACTIVE)


@transaction.atomic
def template_default(*, config_id: UUID) -> WorkflowConfig:
    """Make a version what new tasks of its workspace follow; a shared one takes the place from the own ones.

    Raises NotFound, and TemplateStateConflict for one that cannot be started or is not the shared default.
    """
    config = config_get(config_id)
    if config.organization_id is not None:
        config = own_config(config_id)
    elif not config.is_default:
        raise TemplateStateConflict(_("Of the shared versions only the newest can be the default."))
    if config.status not in STARTABLE:
        raise TemplateStateConflict(_("Only a version that may be started can be the default."))
    defaults_clear(config.workspace_id)
    if config.organization_id is not None:
        config.is_default = True
        config_save(config)
    _record("default", config)
    return config


@transaction.atomic
def template_duplicate(*, config_id: UUID, name: str = "", version: str = "") -> WorkflowConfig:
    """Save a copy as a new draft, unless said otherwise as the next version of its name. Raises NotFound, Conflict."""
    config = config_get(config_id)
    called = name or config.name
    fields = {"name": called, "version": version or next_version(called, config.version)}
    return template_create(config=template_document(config) | fields)


def template_tag(config: WorkflowConfig) -> str:
    """Return what is different after every change: an entity tag (RFC 9110, 8.8.3), without its quotes."""
    return config.updated_at.isoformat()


def _refuse_changed(config: WorkflowConfig, tags: Collection[str]) -> None:
    if tags and template_tag(config) not in tags:
        raise DraftChanged


def template_document(config: WorkflowConfig) -> Json:
    """Return a version's document with all that is known about it: what is exported, and edited."""
    row = {name: getattr(config, name) for name in ("name", "version", "description", "notes")}
    told = {name: value for name, value in row.items() if value}
    return document_ordered({**config.config, **told, "workspace": config.workspace_id})


def next_version(name: str, version: str) -> str:
    """Return the first free patch version of a name after ``version``."""
    found = _VERSION.fullmatch(version)
    major, minor, patch = map(int, found.groups()) if found else (1, 0, -1)
    own = WorkflowConfig.objects.filter(organization_id=current_organization_id(), name=name)
    taken = set(own.values_list("version", flat=True))
    if not taken and found:
        return version
    while f"{major}.{minor}.{patch + 1}" in taken:
        patch += 1
    return f"{major}.{minor}.{patch + 1}"


def document_named(config: Any, fields: dict[str, str]) -> Any:
    """Return the document with ``fields`` in it. Raises ConfigInvalid where it says something else, or nothing."""
    if not isinstance(config, dict):
        return config
    differing = [name for name in ("version", "workspace") if fields.get(name, config.get(name)) != config.get(name)]
    contradictions = [name for name in differing if name in config]
    refuse(tuple(ConfigError(f"/{name}", _("The document says something else.")) for name in contradictions))
    document = {"workspace": "general"} | config | {name: fields[name] for name in _FIELDS if fields.get(name)}
    refuse(
        tuple(ConfigError(f"/{name}", _("This is missing.")) for name in ("name", "version") if name not in document)
    )
    return document


def _fill(draft: WorkflowConfig, document: Any) -> None:
    workspace = document.get("workspace", "") if isinstance(document, dict) else ""
    refuse_shapeless(document, workspace if isinstance(workspace, str) else "")
    if not Workspace.objects.filter(key=workspace, is_active=True).exists():
        refuse((ConfigError("/workspace", _("There is no such workspace, or it is switched off.")),))
    draft.config, draft.workspace_id = document, workspace
    draft.name, draft.version = document["name"], document["version"]
    draft.description, draft.notes = document.get("description", ""), document.get("notes", "")


def _switched(config: WorkflowConfig, status: ConfigStatus) -> WorkflowConfig:
    if config.status == ConfigStatus.DRAFT:
        raise TemplateStateConflict(_("This is a draft: publish it first."))
    if config.status != status:
        config.status = status
        config.save(update_fields=["status", "updated_at"])
        _record("activate" if status == ConfigStatus.ACTIVE else "deactivate", config)
    return config


def _was_used(config: WorkflowConfig) -> bool:
    # Runs leave the database one day, when they are archived; the figures of them stay.
    own = {"organization_id": current_organization_id(), "config_id": config.pk}
    runs, figures = WorkflowRun.objects.filter(**own), RunStatistic.objects.filter(**own)
    return runs.exists() or figures.exists()


def _record(verb: str, config: WorkflowConfig) -> None:
    named = {"name": config.name, "version": config.version}
    audit_record(action=f"workflow.{verb}", target_type="workflow_config", target_id=config.pk, data=named)
