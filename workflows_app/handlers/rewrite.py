"""``bootstrap/rewrite``: the model corrects the text, or the prompt, by what the review found."""

from django.utils.translation import gettext as _

from prompts_app.contracts import RewriteOutcome
from prompts_app.exceptions import RewriteRefused
from prompts_app.services.rewrites import prompt_rewrite, text_rewrite
from workflows_app.contracts import Json, StepContext, StepResult
from workflows_app.handlers import schemas
from workflows_app.handlers.inputs import call_facts, findings_of, id_of, options_of, params_of, required_text
from workflows_app.handlers.voice import Voice
from workflows_app.registry import step_handler


@step_handler(
    "bootstrap/rewrite",
    params_schema=schemas.params(**schemas.MODEL_PARAMS, instruction={"type": "string", "maxLength": 4000}),
    output_schema=schemas.output(
        ["target", "changed"],
        **schemas.CALL,
        target={"enum": ["text", "prompt"]},
        changed={"type": "boolean"},
        message={"type": "string"},
        rewrite_id=schemas.UUID_TEXT,
        prompt_run_id=schemas.UUID_TEXT,
        version_id=schemas.UUID_TEXT,
        characters={"type": "integer"},
    ),
)
def rewrite(ctx: StepContext) -> StepResult:
    """Rewrite what is being worked on. An answer that is not usable changes nothing, and says so."""
    prompt_id = id_of(ctx, "prompt_id") if ctx.workspace_key == "prompt" else None
    target = "text" if prompt_id is None else "prompt"
    voice = Voice(ctx)
    try:
        if prompt_id is None:
            return _text(ctx, voice)
        outcome = prompt_rewrite(
            prompt_id=prompt_id,
            version_id=id_of(ctx, "version_id"),
            findings=findings_of(ctx),
            instruction=_instruction(ctx),
            options=options_of(ctx, voice),
        )
    except RewriteRefused as refusal:
        ctx.log(refusal.message, level="warning", code=refusal.code)
        return StepResult(output={"target": target, "changed": False, "message": refusal.message})
    voice.settle(outcome.text)
    output = {**_facts(outcome, target), "changed": True, "version_id": str(outcome.version_id)}
    return StepResult(output=output, set={"text": outcome.text, "version_id": str(outcome.version_id), "findings": []})


def _text(ctx: StepContext, voice: Voice) -> StepResult:
    before = required_text(ctx)
    outcome = text_rewrite(
        text=before, findings=findings_of(ctx), instruction=_instruction(ctx), options=options_of(ctx, voice)
    )
    voice.settle(outcome.text)
    output = {**_facts(outcome, "text"), "changed": outcome.text != before, "version_id": str(outcome.version_id)}
    # The findings spoke of the text before; the next review finds its own.
    return StepResult(output=output, set={"text": outcome.text, "findings": []})


def _facts(outcome: RewriteOutcome, target: str) -> Json:
    return {
        **call_facts(outcome),
        "target": target,
        "rewrite_id": str(outcome.rewrite_id),
        "characters": len(outcome.text),
    }


def _instruction(ctx: StepContext) -> str:
    wish = params_of(ctx).get("instruction")
    if isinstance(wish, str) and wish.strip():
        return wish.strip()[:4000]
    return "" if findings_of(ctx) else _("Make it clearer and more fluent; keep what it says.")
