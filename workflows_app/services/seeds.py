"""Initial data: the workspaces and one published workflow for each that is switched on."""

import json
from pathlib import Path
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_noop as _

from workflows_app.contracts import Json
from workflows_app.models import ConfigStatus, WorkflowConfig, Workspace

_FOLDER = Path(__file__).resolve().parents[1] / "configs"
# What the shipped files call their workflows and stages, for the catalogue: `document_parse` translates it.
NAMES = (
    _("Article"),
    _("Write from a brief"),
    _("Write from an idea"),
    _("Rewrite a given text"),
    _("Review and polish"),
    _("Prompt"),
    _("Draft a prompt"),
    _("Compare and improve"),
    _("General"),
    _("Answer"),
    _("Finalize"),
)
_WORKSPACES = (
    ("article", "Article", "文章", True),
    ("prompt", "Prompt", "提示词", True),
    ("general", "General", "通用", True),
    ("video", "Video", "视频", False),
)


class SeedChanged(RuntimeError):
    """A shipped workflow differs from the published one of its version, which runs rely on: raise the version."""


def seed_documents() -> list[Json]:
    """Return the shipped workflows."""
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(_FOLDER.glob("*.json"))]


def seed(sender: Any, **_signal: Any) -> int:
    """Load what is missing; in the operator context, in a transaction. Returns the number of workflows now there.

    Raises SeedChanged.
    """
    for key, name, chinese, is_active in _WORKSPACES:
        # Whether a workspace is on is the operator's to change: it is set here once.
        Workspace.objects.update_or_create(
            key=key,
            defaults={"name": name, "name_zh_hans": chinese},
            create_defaults={"name": name, "name_zh_hans": chinese, "is_active": is_active},
        )
    documents = seed_documents()
    for document in documents:
        document_load(document)
    return len(documents)


def document_load(document: Json) -> None:
    """Publish one shipped workflow as its workspace's shared default, unless it is there. Raises SeedChanged."""
    shared = WorkflowConfig.objects.filter(organization__isnull=True, workspace_id=document["workspace"])
    existing = shared.filter(version=document["version"]).first()
    if existing is not None:
        if existing.config != document:
            raise SeedChanged(f"{document['workspace']} {document['version']}")
        return
    # The newest shipped version is the default; older ones stay for the runs that hold them.
    shared.filter(is_default=True).update(is_default=False)
    WorkflowConfig.objects.create(
        workspace_id=document["workspace"],
        version=document["version"],
        name=document["name"],
        notes=document["notes"],
        is_default=True,
        status=ConfigStatus.PUBLISHED,
        published_at=timezone.now(),
        config=document,
    )
