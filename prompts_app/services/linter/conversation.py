"""Rule 106: messages that a provider would refuse."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from prompts_app.contracts import Finding, Range
from prompts_app.services.linter.findings import finding_at

ROLES = ("system", "developer", "user", "assistant", "tool")
_WHOLE = Range(1, 1, 1, 1)


def malformed_messages(messages: tuple[Any, ...]) -> Iterator[Finding]:
    """106: an unknown role, no content, a tool's answer that nobody asked for, a tool call without a name."""
    if not messages:
        yield _problem("messages", _("There is no message."))
    asked: set[str] = set()
    for index, message in enumerate(messages):
        field = f"messages[{index}]"
        if not isinstance(message, dict):
            yield _problem(field, _("A message is an object with a role and a content."))
            continue
        yield from _role_problems(field, message)
        yield from _tool_problems(field, message, asked)
        yield from _content_problems(field, message)


def _role_problems(field: str, message: dict[str, Any]) -> Iterator[Finding]:
    role = message.get("role")
    if role not in ROLES:
        wrong = str(role) if isinstance(role, str) else ""
        at = Range(1, 1, 1, len(wrong) + 1)
        yield _problem(f"{field}.role", _("The role is one of: %(roles)s.") % {"roles": ", ".join(ROLES)}, at)


def _tool_problems(field: str, message: dict[str, Any], asked: set[str]) -> Iterator[Finding]:
    calls = message.get("tool_calls")
    if calls is not None:
        if message.get("role") != "assistant" or not isinstance(calls, list) or not calls:
            yield _problem(f"{field}.tool_calls", _("Only the assistant calls tools, with a list of calls."))
            return
        for number, call in enumerate(calls):
            name, identity = _call_parts(call)
            if not name or not identity:
                yield _problem(f"{field}.tool_calls[{number}]", _("A tool call needs an id and a function's name."))
            asked.add(identity)
    if message.get("role") == "tool":
        answered = message.get("tool_call_id")
        if not isinstance(answered, str) or not answered:
            yield _problem(f"{field}.tool_call_id", _("A tool's answer names the call that it answers."))
        elif answered not in asked:
            yield _problem(f"{field}.tool_call_id", _("No earlier message calls a tool with this id."))


def _call_parts(call: Any) -> tuple[str, str]:
    function = call.get("function") if isinstance(call, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    identity = call.get("id") if isinstance(call, dict) else None
    return name if isinstance(name, str) else "", identity if isinstance(identity, str) else ""


def _content_problems(field: str, message: dict[str, Any]) -> Iterator[Finding]:
    content = message.get("content")
    if content is None and message.get("tool_calls"):
        return
    if isinstance(content, list):
        yield from _part_problems(field, content)
    elif not isinstance(content, str):
        yield _problem(f"{field}.content", _("The content is a text or a list of parts."))
    elif not content.strip() and message.get("role") != "tool":
        yield _problem(f"{field}.content", _("This message is empty."))


def _part_problems(field: str, parts: list[Any]) -> Iterator[Finding]:
    if not parts:
        yield _problem(f"{field}.content", _("This message is empty."))
    for number, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str) or (kind == "text" and not isinstance(part.get("text"), str)):
            yield _problem(f"{field}.content[{number}]", _("A part is an object with a type and its text."))


def _problem(field: str, message: str, at: Range = _WHOLE) -> Finding:
    return finding_at("106", "error", field, at, message)
