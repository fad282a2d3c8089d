"""``apply``: a prompt writes."""

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput, NotFound
from prompts_app.contracts import VersionRef
from prompts_app.selectors import prompt_by_key
from prompts_app.services.reports import findings_text
from prompts_app.services.runs import prompt_apply, version_resolve
from workflows_app.contracts import Json, StepContext, StepResult
from workflows_app.handlers import schemas
from workflows_app.handlers.inputs import call_facts, findings_of, options_of, params_of, text_of, working_text
from workflows_app.handlers.voice import Voice
from workflows_app.registry import step_handler
from workflows_app.services.documents import APPLY

# An action that writes something else than the text itself.
_WRITES = {"brief_generate": "brief"}


def prompt_known(key: str) -> bool:
    """Whether the tenant has, or shares, a prompt of this key."""
    try:
        prompt_by_key(key)
    except NotFound:
        return False
    return True


@step_handler(
    APPLY,
    params_schema={
        "type": "object",
        "description": "Values for the prompt's variables, where the run's context should not give them.",
        "properties": {**schemas.MODEL_PARAMS, "prompt_id": schemas.UUID_TEXT, "version_id": schemas.UUID_TEXT},
        "additionalProperties": {"type": "string", "maxLength": 20000},
    },
    output_schema=schemas.output(
        ["prompt_run_id", "prompt_id", "version_id", "model", "tokens", "cost_usd", "characters", "finish_reason"],
        **schemas.CALL,
        prompt_run_id=schemas.UUID_TEXT,
        prompt_id=schemas.UUID_TEXT,
        version_id=schemas.UUID_TEXT,
        characters={"type": "integer"},
        finish_reason={"type": "string"},
        latency_ms={"type": "integer"},
    ),
    template_known=prompt_known,
    template_required=True,
)
def apply(ctx: StepContext) -> StepResult:
    """Fill the prompt named by ``with`` from the run's context, stream what the model writes, and keep it."""
    values = _values(ctx)
    with transaction.atomic():
        version = _version(ctx, values)
    voice = Voice(ctx)
    variables = {spec.name: values[spec.name] for spec in version.variables if values.get(spec.name)}
    outcome = prompt_apply(version_id=version.id, variables=variables, options=options_of(ctx, voice))
    text = outcome.text.strip()
    voice.settle(outcome.text)
    output = {
        **call_facts(outcome),
        "prompt_run_id": str(outcome.run_id),
        "prompt_id": str(version.prompt_id),
        "version_id": str(version.id),
        "characters": len(text),
        "finish_reason": outcome.finish_reason,
        "latency_ms": outcome.latency_ms,
    }
    return StepResult(output=output, set={_WRITES.get(ctx.action, "text"): text})


def _values(ctx: StepContext) -> dict[str, str]:
    """Everything that a prompt may ask for by name: the context's texts, then what the parameters say."""
    from_context = {name: text_of(ctx, name) for name in ctx.context}
    from_params = {name: value for name, value in params_of(ctx).items() if isinstance(value, str)}
    derived = {"text": working_text(ctx), "findings": findings_text(findings_of(ctx))}
    return {**from_context, **derived, **from_params}


def _version(ctx: StepContext, values: dict[str, str]) -> VersionRef:
    params = params_of(ctx)
    prompt_id, version_id = _id(params, "prompt_id"), _id(params, "version_id")
    # The language of the wish decides, or that of the text when there is no wish.
    texts = [values.get("brief") or values["text"]]
    if prompt_id is None and version_id is None:
        return version_resolve(prompt_key=ctx.template, texts=texts)
    return version_resolve(prompt_id=prompt_id, version_id=version_id, texts=texts)


def _id(params: Json, name: str) -> UUID | None:
    value = params.get(name)
    if not value:
        return None
    try:
        return UUID(str(value))
    except ValueError as error:
        raise InvalidInput.for_field(f"params.{name}", _("This is no id.")) from error
