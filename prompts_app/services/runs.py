"""Applying a prompt: variables in, a model's text out, one row in ``prompt_runs``."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.tenancy.context import current_organization_id, current_tenant
from prompts_app.contracts import PromptRunOutcome, RunOptions, VersionRef
from prompts_app.models import PromptRun, RunStatus
from prompts_app.selectors import prompt_by_key, prompt_get, version_current, version_get, version_of, version_ref
from prompts_app.services.calls import Call, call_model, request_for, row_fields, tokens_of
from prompts_app.services.languages import language_of
from prompts_app.services.templating import render_messages, specs_for, values_for

_START = 120


def prompt_apply(
    *,
    variables: Mapping[str, str],
    options: RunOptions,
    prompt_id: UUID | None = None,
    prompt_key: str = "",
    version_id: UUID | None = None,
) -> PromptRunOutcome:
    """Render a prompt with ``variables``, let the model write, and store the run.

    The prompt is named by id, by key (the organization's own before the shared one) or by one of its versions; without
    a version its published one is taken, in the language of the variables. Needs a bound tenant and no open
    transaction. The same ``options.operation_key`` again returns the stored run and calls nobody.

    Raises InvalidInput (variables), NotFound, PromptNotPublished, RunStopped, InsufficientFunds and the gateway's
    errors; whatever came before an error is on the run's row.
    """
    with transaction.atomic():
        done = _completed(options.operation_key)
        if done is not None:
            return _outcome(done, replayed=True)
        version = version_resolve(
            prompt_id=prompt_id, prompt_key=prompt_key, version_id=version_id, texts=variables.values()
        )
    values = values_for(specs_for(version.messages, version.variables), variables)
    messages = render_messages(version.messages, values)
    call = call_model(request_for(version, messages, options, purpose="prompt_apply"), options)
    with transaction.atomic():
        run = _store(version, values, call, options)
    if call.error is not None:
        raise call.error
    return _outcome(run, replayed=bool(call.result and call.result.replayed))


def version_resolve(
    *,
    prompt_id: UUID | None = None,
    prompt_key: str = "",
    version_id: UUID | None = None,
    texts: Iterable[str] = (),
) -> VersionRef:
    """Return the version that a call for this prompt would use now; ``texts`` tell the language.

    Raises NotFound, PromptNotPublished, and InvalidInput when neither prompt nor version is named.
    """
    if prompt_id is None and not prompt_key:
        if version_id is None:
            raise InvalidInput.for_field("prompt_id", _("Say which prompt."))
        return version_ref(version_get(version_id))
    prompt = prompt_get(prompt_id) if prompt_id is not None else prompt_by_key(prompt_key)
    if version_id is not None:
        return version_ref(version_of(prompt, version_id))
    return version_ref(version_current(prompt, language_of(texts)))


def _completed(operation_key: str) -> PromptRun | None:
    return PromptRun.objects.filter(
        organization_id=current_organization_id(), operation_key=operation_key, status=RunStatus.COMPLETED
    ).first()


def _store(version: VersionRef, values: Mapping[str, str], call: Call, options: RunOptions) -> PromptRun:
    # A failed attempt's row becomes the row of the attempt that follows it under the same key.
    run, _created = PromptRun.objects.update_or_create(
        organization_id=current_organization_id(),
        operation_key=options.operation_key,
        defaults={
            "user_id": current_tenant().user_id,
            "prompt_id": version.prompt_id,
            "version_id": version.id,
            "variables": _summary(values),
            "output": call.text,
            **row_fields(call, options),
        },
    )
    return run


def _summary(values: Mapping[str, str]) -> dict[str, dict[str, int | str]]:
    # The whole values may be long and private; their size and beginning are enough to recognise a run by.
    return {name: {"chars": len(value), "start": value[:_START]} for name, value in values.items()}


def _outcome(run: PromptRun, *, replayed: bool) -> PromptRunOutcome:
    return PromptRunOutcome(
        run_id=run.pk,
        version_id=run.version_id,
        prompt_id=run.prompt_id,
        text=run.output,
        model=run.model,
        tokens=tokens_of(run),
        cost_usd=run.cost_usd,
        latency_ms=run.latency_ms,
        finish_reason=run.finish_reason,
        call_id=run.call_id,
        replayed=replayed,
    )
