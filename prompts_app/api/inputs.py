"""From checked bodies to what the services take."""

import uuid
from typing import Any

from django.utils.translation import gettext as _
from rest_framework.request import Request

from accounts_app.exceptions import InvalidInput
from prompts_app.contracts import LintDocument, RunOptions, VariableSpec
from prompts_app.selectors import prompt_get, specs_from, version_get, version_of, version_ref, version_to_rewrite
from prompts_app.services.content import variables_clean
from prompts_app.services.prompts import VersionDraft
from prompts_app.services.suites import CaseDraft

MAX_LINT_MESSAGES = 200
MAX_LINT_CHARS = 400_000
MAX_KEY_CHARS = 120


def options_from(request: Request, body: dict[str, Any]) -> RunOptions:
    """Return run options; the same ``Idempotency-Key`` header makes the same operation."""
    key = request.headers.get("Idempotency-Key", "")
    if len(key) > MAX_KEY_CHARS or not key.isprintable():
        limit = _("This header has at most %(count)d printable characters.") % {"count": MAX_KEY_CHARS}
        raise InvalidInput.for_field("Idempotency-Key", limit)
    operation = f"api:{request.path.rstrip('/')}:{key}" if key else f"api:{uuid.uuid4().hex}"
    return RunOptions(operation_key=operation, model=body.get("model", ""), max_tokens=body.get("max_tokens"))


def draft_from(body: dict[str, Any]) -> VersionDraft:
    """Return the version that a body describes."""
    return VersionDraft(**body)


def case_from(body: dict[str, Any]) -> CaseDraft:
    """Return the eval case that a body describes."""
    return CaseDraft(**body)


def document_from(body: dict[str, Any]) -> LintDocument:
    """Return what a body asks to be linted: a stored prompt, messages, or a text. Raises InvalidInput, NotFound."""
    given = [name for name in ("prompt_id", "version_id", "messages", "text") if body[name] is not None]
    if not given or (set(given) - {"prompt_id", "version_id"} and len(given) > 1):
        raise InvalidInput.for_field("text", _("Give one of: text, messages, prompt_id or version_id."))
    if "text" in given:
        return _text_document(body)
    common: dict[str, Any] = {"schema": body["response_format"], "token_budget": body["token_budget"]}
    if "messages" in given:
        messages = _messages_checked(body["messages"])
        return LintDocument("prompt", messages=messages, variables=_specs(body["variables"]), **common)
    return _stored_document(body, common)


def _text_document(body: dict[str, Any]) -> LintDocument:
    if body.get("target") == "prompt":
        messages = ({"role": "user", "content": body["text"]},)
        return LintDocument(
            "prompt",
            messages=messages,
            variables=_specs(body["variables"]),
            schema=body["response_format"],
            token_budget=body["token_budget"],
        )
    return LintDocument("text", text=body["text"], title=body["title"])


def _messages_checked(messages: Any) -> tuple[dict[str, Any], ...]:
    if not isinstance(messages, list) or len(messages) > MAX_LINT_MESSAGES:
        limit = _("This is a list of at most %(count)d messages.") % {"count": MAX_LINT_MESSAGES}
        raise InvalidInput.for_field("messages", limit)
    if len(str(messages)) > MAX_LINT_CHARS:
        limit = _("The messages have more than %(count)d characters.") % {"count": MAX_LINT_CHARS}
        raise InvalidInput.for_field("messages", limit)
    return tuple(messages)


def _specs(variables: Any) -> tuple[VariableSpec, ...] | None:
    """Names alone will do: ``["title"]`` is ``[{"name": "title"}]``."""
    if variables is None:
        return None
    if isinstance(variables, list):
        variables = [{"name": item} if isinstance(item, str) else item for item in variables]
    return specs_from(variables_clean(variables))


def _stored_document(body: dict[str, Any], common: dict[str, Any]) -> LintDocument:
    if body["prompt_id"] is None:
        version = version_get(body["version_id"])
    else:
        prompt = prompt_get(body["prompt_id"])
        version = version_of(prompt, body["version_id"]) if body["version_id"] else version_to_rewrite(prompt)
    ref = version_ref(version)
    common["schema"] = common["schema"] or ref.parameters.get("response_format")
    return LintDocument("prompt", messages=ref.messages, variables=ref.variables, **common)
