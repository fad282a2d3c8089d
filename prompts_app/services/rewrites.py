"""Rewrites by findings: a prompt becomes a new draft version, a task's text becomes a new text.

Both are calls of a shared prompt (``prompt_optimizer``, ``text_optimizer``), which an organization may replace by its
own of the same key. Each leaves a row in ``prompt_bootstrap_runs``; nothing is published by itself.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.tenancy.context import current_organization_id, current_tenant
from prompts_app.contracts import Finding, RewriteOutcome, RunOptions, VersionRef
from prompts_app.exceptions import RewriteRefused, SharedPromptReadOnly
from prompts_app.models import PromptBootstrapRun, PromptVersion, RewriteTarget, RunStatus
from prompts_app.selectors import prompt_get, version_of, version_ref, version_to_rewrite
from prompts_app.services.calls import Call, call_model, request_for, row_fields, tokens_of
from prompts_app.services.content import joined
from prompts_app.services.linter.wording import estimate_tokens
from prompts_app.services.prompts import VersionDraft, version_create
from prompts_app.services.publishing import version_findings
from prompts_app.services.reports import findings_json, findings_text
from prompts_app.services.rewriting import as_blocks, rewritten_messages, rewritten_text
from prompts_app.services.runs import version_resolve
from prompts_app.services.templating import render_messages, specs_for, values_for, variables_used

Findings = Iterable[Finding | Mapping[str, Any]]
MAX_FINDINGS = 50
MAX_INSTRUCTION_CHARS = 4_000
MAX_TEXT_CHARS = 200_000


def prompt_rewrite(
    *,
    prompt_id: UUID,
    options: RunOptions,
    version_id: UUID | None = None,
    findings: Findings | None = None,
    instruction: str = "",
) -> RewriteOutcome:
    """Let the model improve a prompt by ``findings`` (None: what the linter says now) and save a new draft version.

    Without ``version_id`` the newest version is rewritten. Needs a bound tenant and no open transaction; the same
    operation key again returns the stored rewrite. Raises NotFound, SharedPromptReadOnly (before anything is spent),
    RewriteRefused when the answer is not usable, RunStopped, InsufficientFunds and the gateway's errors.
    """
    _check_instruction(instruction)
    with transaction.atomic():
        done = _completed(options.operation_key)
        if done is not None:
            return _outcome(done, replayed=True)
        source = _source_version(prompt_id, version_id)
        ref = version_ref(source)
        found = findings_json(version_findings(source) if findings is None else findings)[:MAX_FINDINGS]
        rewriter = version_resolve(prompt_key="prompt_optimizer", texts=[joined(ref.messages)])
    values = {
        "prompt": as_blocks(ref.messages),
        "variables": ", ".join("{{ " + name + " }}" for name in variables_used(ref.messages)),
        "findings": findings_text(found),
        "instruction": instruction,
    }
    call = _call(rewriter, values, options, purpose="prompt_rewrite")
    messages: list[dict[str, str]] = []
    if call.error is None and call.result is not None:
        try:
            messages = rewritten_messages(ref, call.text, call.result.finish_reason)
        except RewriteRefused as error:
            call = replace(call, error=error)
    about = {"target": RewriteTarget.PROMPT, "prompt_id": prompt_id, "source_version_id": ref.id}
    with transaction.atomic():
        row = _store(rewriter, call, options, {**about, "findings": found, "instruction": instruction})
        if call.error is None:
            _save_draft(row, ref, messages)
    return _answer(row, call)


def text_rewrite(*, text: str, findings: Findings, options: RunOptions, instruction: str = "") -> RewriteOutcome:
    """Let the model correct ``text`` by ``findings`` and ``instruction``; the new text is in the outcome.

    Needs a bound tenant and no open transaction; the same operation key again returns the stored rewrite. Raises
    InvalidInput (empty or over 200,000 characters), RewriteRefused, RunStopped, InsufficientFunds and the gateway's
    errors.
    """
    _check_instruction(instruction)
    if not text.strip() or len(text) > MAX_TEXT_CHARS:
        raise InvalidInput.for_field(
            "text", _("A text of 1 to %(count)d characters is needed.") % {"count": MAX_TEXT_CHARS}
        )
    found = findings_json(findings)[:MAX_FINDINGS]
    with transaction.atomic():
        done = _completed(options.operation_key)
        if done is not None:
            return _outcome(done, replayed=True)
        rewriter = version_resolve(prompt_key="text_optimizer", texts=[text])
    values = {"text": text, "findings": findings_text(found), "instruction": instruction}
    call = _call(rewriter, values, _with_room(options, rewriter, text), purpose="text_rewrite")
    if call.error is None and call.result is not None:
        try:
            call = replace(call, text=rewritten_text(text, call.text, call.result.finish_reason))
        except RewriteRefused as error:
            call = replace(call, error=error)
    about = {"target": RewriteTarget.TEXT, "source_text": text, "findings": found, "instruction": instruction}
    with transaction.atomic():
        row = _store(rewriter, call, options, about)
    return _answer(row, call)


def _check_instruction(instruction: str) -> None:
    if len(instruction) > MAX_INSTRUCTION_CHARS:
        limit = _("An instruction has at most %(count)d characters.") % {"count": MAX_INSTRUCTION_CHARS}
        raise InvalidInput.for_field("instruction", limit)


def _source_version(prompt_id: UUID, version_id: UUID | None) -> PromptVersion:
    prompt = prompt_get(prompt_id)
    if prompt.is_shared:
        raise SharedPromptReadOnly
    return version_of(prompt, version_id) if version_id is not None else version_to_rewrite(prompt)


def _with_room(options: RunOptions, rewriter: VersionRef, text: str) -> RunOptions:
    # The corrected text is about as long as the text; half as much again leaves room for a longer one.
    needed = int(estimate_tokens(text) * 1.5) + 300
    usual = rewriter.parameters.get("max_tokens") or 0
    return options if options.max_tokens else replace(options, max_tokens=max(needed, usual))


def _call(rewriter: VersionRef, values: dict[str, str], options: RunOptions, *, purpose: str) -> Call:
    # An organization's own rewriting prompt may do without some of the values.
    specs = specs_for(rewriter.messages, rewriter.variables)
    known = {spec.name for spec in specs}
    filled = values_for(specs, {name: value for name, value in values.items() if name in known})
    messages = render_messages(rewriter.messages, filled)
    return call_model(request_for(rewriter, messages, options, purpose=purpose), options)


def _completed(operation_key: str) -> PromptBootstrapRun | None:
    return PromptBootstrapRun.objects.filter(
        organization_id=current_organization_id(), operation_key=operation_key, status=RunStatus.COMPLETED
    ).first()


def _store(rewriter: VersionRef, call: Call, options: RunOptions, about: dict[str, Any]) -> PromptBootstrapRun:
    row, _created = PromptBootstrapRun.objects.update_or_create(
        organization_id=current_organization_id(),
        operation_key=options.operation_key,
        defaults={
            "user_id": current_tenant().user_id,
            "rewriter_id": rewriter.id,
            "result_text": call.text,
            **about,
            **row_fields(call, options),
        },
    )
    return row


def _save_draft(row: PromptBootstrapRun, source: VersionRef, messages: list[dict[str, str]]) -> None:
    draft = VersionDraft(
        messages=messages,
        variables=[spec.as_json() for spec in source.variables],
        language=source.language,
        model=source.model,
        parameters=source.parameters,
        notes=row.instruction,
        parent_id=source.id,
        provenance={"source": "rewrite", "rewrite_id": str(row.pk), "from_version_id": str(source.id)},
    )
    row.result_version = version_create(prompt_id=source.prompt_id, draft=draft)
    row.result_text = joined(messages)
    row.save(update_fields=["result_version", "result_text"])


def _answer(row: PromptBootstrapRun, call: Call) -> RewriteOutcome:
    if call.error is not None:
        raise call.error
    return _outcome(row, replayed=bool(call.result and call.result.replayed))


def _outcome(row: PromptBootstrapRun, *, replayed: bool) -> RewriteOutcome:
    return RewriteOutcome(
        rewrite_id=row.pk,
        version_id=row.result_version_id or row.rewriter_id,
        text=row.result_text,
        model=row.model,
        tokens=tokens_of(row),
        cost_usd=row.cost_usd,
        latency_ms=row.latency_ms,
        finish_reason=row.finish_reason,
        call_id=row.call_id,
        replayed=replayed,
    )
