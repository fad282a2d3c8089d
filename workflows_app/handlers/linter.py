"""``linter``: what is wrong with the brief, the text or the prompt, found without a model."""

from collections import Counter

from django.db import transaction

from prompts_app.contracts import LintDocument
from prompts_app.selectors import version_get, version_ref
from prompts_app.services.linter import lint
from workflows_app.contracts import Json, StepContext, StepResult
from workflows_app.handlers import schemas
from workflows_app.handlers.inputs import MAX_FINDINGS, id_of, required_text, text_of
from workflows_app.registry import step_handler

TOPIC_SELECT = "topic_select"
_MAX_TITLE = 120


@step_handler(
    "linter",
    output_schema=schemas.output(
        ["target", "findings", "count"],
        target={"enum": ["brief", "text", "prompt"]},
        findings=schemas.FINDINGS,
        count={"type": "integer", "minimum": 0},
        errors={"type": "integer", "minimum": 0},
        warnings={"type": "integer", "minimum": 0},
        title={"type": "string"},
        version_id=schemas.UUID_TEXT,
    ),
    local=True,
)
def linter(ctx: StepContext) -> StepResult:
    """Lint what is being worked on; ``topic_select`` lints the brief and settles the title."""
    if ctx.action == TOPIC_SELECT:
        return _topic(ctx)
    version_id = id_of(ctx, "version_id") if ctx.workspace_key == "prompt" else None
    if version_id is None:
        return _review("text", LintDocument(target="text", text=required_text(ctx), title=text_of(ctx, "title")))
    with transaction.atomic():
        version = version_ref(version_get(version_id))
    document = LintDocument(target="prompt", messages=version.messages, variables=version.variables)
    return _review("prompt", document, version_id=str(version_id))


def _topic(ctx: StepContext) -> StepResult:
    brief = text_of(ctx, "brief") or required_text(ctx)
    title = text_of(ctx, "title") or title_from(brief)
    message = {"role": "user", "content": brief}
    result = _review("brief", LintDocument(target="prompt", messages=(message,)), title=title)
    return StepResult(output=result.output, set={**result.set, "title": title, "topic": title})


def _review(target: str, document: LintDocument, **facts: str) -> StepResult:
    found = lint(document)
    severities = Counter(item.severity for item in found)
    findings: list[Json] = [item.as_json() for item in found[:MAX_FINDINGS]]
    output: Json = {
        "target": target,
        "findings": findings,
        "count": len(found),
        "errors": severities["error"],
        "warnings": severities["warning"],
        **facts,
    }
    return StepResult(output=output, set={"findings": findings})


def title_from(brief: str) -> str:
    """Return the first line of a brief, without its label and Markdown, as a title of at most 120 characters."""
    line = next((line.strip() for line in brief.splitlines() if line.strip()), "")
    for label in ("Topic:", "主题：", "主题:"):
        line = line.removeprefix(label).strip()
    line = line.lstrip("#*>- ").strip()
    return line if len(line) <= _MAX_TITLE else line[: _MAX_TITLE - 1].rstrip() + "…"
