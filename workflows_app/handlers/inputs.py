"""What handlers read: the run's context, the parameters of the step and of this advance."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from prompts_app.contracts import RunOptions
from workflows_app.contracts import Json, StepContext
from workflows_app.exceptions import StepFailed
from workflows_app.handlers.voice import Voice

MAX_FINDINGS = 50


def params_of(ctx: StepContext) -> Json:
    """Return the step's own parameters, overridden by those that the person gave for this run."""
    given = ctx.context.get("params")
    return {**ctx.params, **(given if isinstance(given, dict) else {})}


def text_of(ctx: StepContext, name: str) -> str:
    """Return a text of the context, or an empty one."""
    value = ctx.context.get(name)
    return value.strip() if isinstance(value, str) else ""


def working_text(ctx: StepContext) -> str:
    """Return the text that is being worked on: the newest one, or else the original."""
    return text_of(ctx, "text") or text_of(ctx, "original")


def required_text(ctx: StepContext) -> str:
    """Return the text being worked on. Raises StepFailed when there is none yet."""
    text = working_text(ctx)
    if not text:
        raise StepFailed(_("There is no text yet. Write or paste one first."))
    return text


def findings_of(ctx: StepContext) -> list[Json]:
    """Return what the last review found."""
    findings = ctx.context.get("findings")
    return [item for item in findings if isinstance(item, dict)] if isinstance(findings, list) else []


def id_of(ctx: StepContext, name: str) -> UUID | None:
    """Return an id from the context, None when there is none."""
    value = ctx.context.get(name)
    try:
        return UUID(str(value)) if value else None
    except ValueError:
        return None


def options_of(ctx: StepContext, voice: Voice | None = None) -> RunOptions:
    """Return how this step's model call is made: once, stoppable, heard by the stream."""
    params = params_of(ctx)
    model, limit = params.get("model"), params.get("max_tokens")
    return RunOptions(
        operation_key=ctx.idempotency_key,
        task_id=ctx.task_id,
        run_id=ctx.run_id,
        step_key=ctx.step_key,
        on_delta=voice.say if voice else None,
        should_stop=ctx.should_stop,
        model=model if isinstance(model, str) else "",
        max_tokens=limit if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0 else None,
    )


def call_facts(outcome: Any) -> Json:
    """Return what every model call leaves in a step's output: model, tokens in total, cost in USD as text."""
    return {"model": outcome.model, "tokens": outcome.tokens.total, "cost_usd": str(outcome.cost_usd)}
