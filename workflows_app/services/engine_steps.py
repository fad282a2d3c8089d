"""What the engine does itself, without a handler: wait, approve, workflow/run. Checks of their steps."""

import re
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

from django.utils.translation import gettext as _

from accounts_app.exceptions import NotFound
from workflows_app.contracts import ConfigError, Json
from workflows_app.engine.waits import APPROVE, CHILD, WAIT
from workflows_app.models.config import STARTABLE
from workflows_app.selectors import configs_readable, template_published
from workflows_app.services.findings import Path, error_at, schema_errors, warning_at
from workflows_app.services.flow_checks import expression_findings

SIGNAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,59}")
YEAR = 31_536_000
_SECONDS: Json = {"type": "number", "exclusiveMinimum": 0, "maximum": YEAR}
ENGINE_STEPS: dict[str, Json] = {
    WAIT: {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "seconds": _SECONDS,
            "until": {"type": "string", "minLength": 1},
            "signal": {"type": "string", "pattern": f"^{SIGNAL.pattern}$"},
            "timeout": _SECONDS,
        },
    },
    APPROVE: {
        "type": "object",
        "additionalProperties": False,
        "properties": {"message": {"type": "string", "maxLength": 2000}, "timeout": _SECONDS},
    },
    CHILD: {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "input": {"type": "object"},
            "into": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]{0,39}$"},
        },
    },
}
_WAYS = ("seconds", "until", "signal")


def engine_step_findings(name: str, step: Json, path: Path, document: Json) -> Iterator[ConfigError]:
    """Check a step that the engine does itself."""
    shape = tuple(schema_errors(ENGINE_STEPS[name], step.get("params", {}), (*path, "params")))
    yield from shape
    if name == CHILD:
        yield from _child_findings(step, path, document)
    elif "with" in step:
        yield error_at((*path, "with"), _("This step takes no “with”."))
    if name == WAIT and not shape:
        yield from _wait_findings(step.get("params", {}), (*path, "params"), document)
    if name == APPROVE and "timeout" not in step.get("params", {}):
        yield warning_at(path, _("Without “params.timeout” this waits for a person forever."))
    for useless in ("retry", "timeout", "heartbeat", "fallback_model", "eval_suite_id"):
        if useless in step:
            yield warning_at((*path, useless), _("This means nothing to a step that waits."))


def _wait_findings(params: Json, path: Path, document: Json) -> Iterator[ConfigError]:
    given = [way for way in _WAYS if way in params]
    if len(given) != 1:
        yield error_at(path, _("Give exactly one of seconds, until, signal."))
    elif "timeout" in params and given != ["signal"]:
        yield error_at((*path, "timeout"), _("Only waiting for a signal has a timeout."))
    elif given == ["signal"] and "timeout" not in params:
        yield warning_at(path, _("Without “timeout” this waits for the signal forever."))
    if "until" in params:
        yield from expression_findings(params["until"], "a moment", (*path, "until"), document["stages"])


def _child_findings(step: Json, path: Path, document: Json) -> Iterator[ConfigError]:
    if "with" not in step:
        yield error_at((*path, "with"), _("Name the workflow: its name, name@version or id."))
        return
    name, _at, version = step["with"].partition("@")
    own = document.get("name") or document["workspace"]
    if name == own and version in {"", document["version"]}:
        if "when" not in step:
            yield error_at((*path, "with"), _("The workflow would start itself without an end."))
        else:
            yield warning_at((*path, "with"), _("The workflow starts itself, at most 8 deep."))
    elif not template_startable(step["with"]):
        yield warning_at((*path, "with"), _("There is no such workflow that may be started, yet."))


def template_startable(reference: str) -> bool:
    """Whether a name, name@version or id means a version that may be started."""
    with suppress(ValueError):
        return configs_readable().filter(pk=UUID(reference), status__in=STARTABLE).exists()
    with suppress(NotFound):
        template_published(reference)
        return True
    return False
