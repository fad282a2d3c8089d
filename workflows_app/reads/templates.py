"""Reads of templates: the list, and how much each is used."""

from collections.abc import Iterable
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from accounts_app.tenancy.context import current_organization_id
from workflows_app.contracts import Json
from workflows_app.models import WorkflowConfig
from workflows_app.selectors import configs_readable

# Counting stops here: of the million runs of one version nobody needs the last digit, and each would be read.
MOST_COUNTED = 1000
_USES = """
    SELECT wanted.id, (
        SELECT count(*) FROM (
            SELECT FROM workflow_runs
            WHERE organization_id = %(organization)s AND config_id = wanted.id LIMIT %(most)s
        ) AS counted
    )
    FROM unnest(%(ids)s::uuid[]) AS wanted (id)
"""


def template_list() -> QuerySet[WorkflowConfig]:
    """Return the organization's own templates and the shared ones without their documents, newest first."""
    return configs_readable().defer("config").order_by("-created_at", "-id")


def template_versions(config: WorkflowConfig) -> QuerySet[WorkflowConfig]:
    """Return the other versions of a template's name that the tenant may read, newest first."""
    return template_list().filter(name=config.name).exclude(pk=config.pk)


def template_uses(config_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Return for each version how many of the organization's runs are of it, at most MOST_COUNTED + 1."""
    asked: Json = {"organization": current_organization_id(), "ids": list(config_ids), "most": MOST_COUNTED + 1}
    with connection.cursor() as cursor:
        cursor.execute(_USES, asked)
        return dict(cursor.fetchall())
