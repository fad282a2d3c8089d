"""Steps that keep what there is: the brief, the original text, a prompt as a version."""

from django.db import transaction
from django.utils.translation import gettext as _

from prompts_app.selectors import prompts_visible, versions_of
from prompts_app.services.prompts import VersionDraft, prompt_create, version_create
from prompts_app.services.templating import variables_used
from workflows_app.contracts import StepContext, StepResult
from workflows_app.exceptions import StepFailed
from workflows_app.handlers import schemas
from workflows_app.handlers.inputs import id_of, required_text, text_of
from workflows_app.registry import step_handler

_SIZE = schemas.output(["characters"], characters={"type": "integer", "minimum": 0})


@step_handler("save_brief", output_schema=_SIZE, local=True)
def save_brief(ctx: StepContext) -> StepResult:
    """Keep the brief as the wish that everything after it follows."""
    brief = text_of(ctx, "brief")
    if not brief:
        raise StepFailed(_("There is no brief yet. Say what you want."))
    return StepResult(output={"characters": len(brief)}, set={"brief": brief})


@step_handler("save_original", output_schema=_SIZE, local=True)
def save_original(ctx: StepContext) -> StepResult:
    """Keep the given text as it came, and begin to work on a copy."""
    original = text_of(ctx, "original") or required_text(ctx)
    return StepResult(output={"characters": len(original)}, set={"original": original, "text": original})


@step_handler(
    "save_version",
    output_schema=schemas.output(
        ["prompt_id", "version_id", "number"],
        prompt_id=schemas.UUID_TEXT,
        version_id=schemas.UUID_TEXT,
        number={"type": "integer", "minimum": 1},
    ),
)
def save_version(ctx: StepContext) -> StepResult:
    """Save the drafted prompt: as version 1 of a new prompt, or as the next version of the task's own one."""
    text = required_text(ctx)
    messages = [{"role": "user", "content": text}]
    draft = VersionDraft(
        messages=messages,
        variables=[{"name": name} for name in variables_used(messages)],
        provenance={"source": "workflow", "run_id": str(ctx.run_id), "step": ctx.idempotency_key},
    )
    with transaction.atomic():
        prompt_id, version_id, number = _saved(ctx, draft)
    ids = {"prompt_id": prompt_id, "version_id": version_id}
    return StepResult(output={**ids, "number": number}, set=ids)


def _saved(ctx: StepContext, draft: VersionDraft) -> tuple[str, str, int]:
    # A worker may have died after it saved and before that was recorded.
    saved = prompts_visible().filter(versions__provenance__step=ctx.idempotency_key).first()
    if saved is not None:
        before = versions_of(saved).get(provenance__step=ctx.idempotency_key)
        return str(saved.pk), str(before.pk), before.number
    existing = id_of(ctx, "prompt_id")
    if existing is not None:
        version = version_create(prompt_id=existing, draft=draft)
        return str(existing), str(version.pk), version.number
    name = text_of(ctx, "title") or text_of(ctx, "brief") or _("Prompt")
    prompt = prompt_create(name=name.splitlines()[0][:80], draft=draft, workspace_key=ctx.workspace_key)
    first = prompt.versions.get()
    return str(prompt.pk), str(first.pk), first.number
