"""What the page of one prompt shows; three views share it."""

import uuid
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from gateway_app.selectors import local_model_notice
from prompts_app.models import Prompt, PromptVersion
from prompts_app.selectors import (
    rewrites_of,
    run_get,
    runs_of,
    specs_from,
    version_current,
    version_of,
    version_to_rewrite,
    versions_of,
)
from prompts_app.services.languages import active_language
from prompts_app.services.templating import specs_for
from prompts_app.web.forms import RewriteForm, TryForm
from prompts_app.web.shown import shown_version

RUNS_SHOWN = 10
_REWRITES_SHOWN = 5


def try_form(version: PromptVersion, data: Any = None) -> TryForm:
    """Return the form with a field for each variable of ``version``."""
    specs = specs_for(version.messages, specs_from(version.variables))
    return TryForm(specs, data, translate=version.is_shared)


def _first_shown(prompt: Prompt) -> PromptVersion:
    # A shared prompt has a version for each language; of one's own, the newest is being worked on.
    return version_current(prompt, active_language()) if prompt.is_shared else version_to_rewrite(prompt)


def _described(version: PromptVersion) -> list[dict[str, Any]]:
    # Descriptions of initial data are stored in English.
    if not version.is_shared:
        return list(version.variables)
    return [{**item, "description": item["description"] and gettext(item["description"])} for item in version.variables]


def detail_context(
    prompt: Prompt, *, version_id: UUID | None = None, run_id: UUID | None = None, form: TryForm | None = None
) -> dict[str, Any]:
    """Return what ``detail.html`` needs; raises NotFound when version or run are not there."""
    version = _first_shown(prompt) if version_id is None else version_of(prompt, version_id)
    return {
        "prompt": prompt,
        "version": version,
        "versions": list(versions_of(prompt)),
        "shown": shown_version(version),
        "variables": _described(version),
        "try_form": form or try_form(version),
        "operation": uuid.uuid4().hex,
        "run": run_get(run_id) if run_id else None,
        "runs": list(runs_of(prompt)[:RUNS_SHOWN]),
        "rewrites": list(rewrites_of(prompt)[:_REWRITES_SHOWN]),
        "rewrite_form": RewriteForm(),
        "local_model": local_model_notice(),
    }
