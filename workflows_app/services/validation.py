"""Is a workflow document right? All findings at once, each with a JSON pointer."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from workflows_app.contracts import ConfigError, Json
from workflows_app.services.findings import error_at, errors_only, pointer_of, schema_errors
from workflows_app.services.flow_checks import flow_findings
from workflows_app.services.step_checks import StepChecks

__all__ = ["config_shape", "config_validate", "errors_only", "pointer_of", "workflow_schema"]

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
MAX_FINDINGS = 100
_SCHEMA_FILE = Path(__file__).resolve().parents[1] / "schemas" / "workflow.schema.json"


@cache
def workflow_schema() -> Json:
    """Return the JSON Schema of workflow documents."""
    schema: Json = json.loads(_SCHEMA_FILE.read_text(encoding="utf-8"))
    return schema


def config_validate(document: Any, *, workspace: str = "") -> tuple[ConfigError, ...]:
    """Check ``document``: size, JSON Schema, then meaning. Call with a bound tenant, in a transaction.

    ``workspace`` is the key that the document must be for, if the caller knows. Findings of severity
    "warning" do not stand in the way of publishing.
    """
    shape = config_shape(document)
    if shape:
        return shape
    found = list(_semantic_findings(document, workspace))
    # Errors first, so that a hundred warnings do not hide the one that forbids publishing.
    return tuple(sorted(found, key=lambda item: item.severity))[:MAX_FINDINGS]


def config_shape(document: Any) -> tuple[ConfigError, ...]:
    """Check ``document``'s size and shape alone; needs no tenant."""
    unfit = document_unfit(document)
    return (unfit,) if unfit is not None else tuple(schema_errors(workflow_schema(), document))[:MAX_FINDINGS]


def document_unfit(document: Any, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> ConfigError | None:
    """Return why a document cannot even be looked at or stored: too deep, too large, no text that can be kept."""
    # Before any recursive walk: neither the schema nor json itself may meet a document that is too deep.
    if _deeper_than(document, max_depth):
        return ConfigError("", _("The document is nested more than %(limit)d levels deep.") % {"limit": max_depth})
    try:
        text = json.dumps(document, default=str, ensure_ascii=False, allow_nan=False)
        size = len(text.encode())
    except ValueError:
        return ConfigError("", _("The document holds a number or a character that cannot be stored."))
    if size > max_bytes:
        return ConfigError("", _("The document is larger than %(limit)d KiB.") % {"limit": max_bytes // 1024})
    if "\\u0000" in text and _has_nul(document):
        return ConfigError("", _("The document holds a number or a character that cannot be stored."))
    return None


def _deeper_than(document: Any, limit: int) -> bool:
    level = [document]
    for _depth in range(limit):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def _has_nul(node: Any) -> bool:
    if isinstance(node, dict) and any("\0" in name for name in node):
        return True
    return "\0" in node if isinstance(node, str) else any(map(_has_nul, _children(node)))


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _semantic_findings(document: Json, workspace: str) -> Iterator[ConfigError]:
    if workspace and document["workspace"] != workspace:
        yield error_at(("workspace",), _("This must be “%(workspace)s” here.") % {"workspace": workspace})
    yield from flow_findings(document)
    yield from StepChecks(document).findings()
