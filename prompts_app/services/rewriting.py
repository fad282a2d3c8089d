"""What a model's answer must be like before it takes the place of a prompt or a text."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from prompts_app.contracts import LintDocument, VariableSpec, VersionRef
from prompts_app.exceptions import RewriteRefused
from prompts_app.services.linter import lint
from prompts_app.services.templating import variables_used

_BLOCK = re.compile(r"<message role=\"([a-z]{1,20})\">\s*(.*?)\s*</message>", re.DOTALL)
_FENCE = re.compile(r"\A```[a-z]{0,12}\n(.*)\n```\Z", re.DOTALL)
_TAGS = ("text", "original")


def as_blocks(messages: Sequence[dict[str, Any]]) -> str:
    """Return ``messages`` in the form in which the model is to give them back."""
    blocks = [f'<message role="{message["role"]}">\n{message["content"]}\n</message>' for message in messages]
    return "\n\n".join(blocks)


def rewritten_messages(source: VersionRef, answer: str, finish_reason: str) -> list[dict[str, str]]:
    """Return the messages in a model's ``answer``; raises RewriteRefused saying what is wrong with it.

    They must be complete, with the roles of the source in its order, the same variables, and no more errors than
    the source has.
    """
    if finish_reason == "length":
        raise RewriteRefused(_("The model's answer was cut off at its length limit. Nothing was changed."))
    messages = [{"role": role, "content": content} for role, content in _BLOCK.findall(answer)]
    if [message["role"] for message in messages] != [message["role"] for message in source.messages]:
        raise RewriteRefused(_("The model's answer does not hold the prompt's messages. Nothing was changed."))
    if not all(message["content"] for message in messages):
        raise RewriteRefused(_("The model's answer leaves a message empty. Nothing was changed."))
    if set(variables_used(messages)) != set(variables_used(source.messages)):
        raise RewriteRefused(_("The model's answer changes the prompt's variables. Nothing was changed."))
    if _errors(messages, source.variables) - _errors(source.messages, source.variables):
        raise RewriteRefused(_("The model's answer brings new errors into the prompt. Nothing was changed."))
    return messages


def _errors(messages: Sequence[dict[str, Any]], variables: tuple[VariableSpec, ...]) -> "Counter[str]":
    found = lint(LintDocument(target="prompt", messages=tuple(messages), variables=variables))
    return Counter(item.code for item in found if item.severity == "error")


def rewritten_text(source: str, answer: str, finish_reason: str) -> str:
    """Return the text in a model's ``answer``, without the tags or fence it may be wrapped in.

    Raises RewriteRefused when there is none, or when it was cut off before it was as long as the source.
    """
    text = answer.strip()
    for tag in _TAGS:
        if text.startswith(f"<{tag}>") and text.endswith(f"</{tag}>"):
            text = text.removeprefix(f"<{tag}>").removesuffix(f"</{tag}>").strip()
    fenced = _FENCE.match(text)
    if fenced is not None and "```" not in source:
        text = fenced[1].strip()
    if not text:
        raise RewriteRefused(_("The model's answer is empty. Nothing was changed."))
    if finish_reason == "length" and len(text) < len(source):
        raise RewriteRefused(_("The model's answer was cut off at its length limit. Nothing was changed."))
    return text
