"""What a version may contain. Everything that comes from outside goes through here before it is stored."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from accounts_app.exceptions import FieldError, InvalidInput
from prompts_app.contracts import VariableSpec
from prompts_app.services.templating import NAME
from prompts_app.services.texts import is_storable, is_storable_json

ROLES = ("system", "developer", "user", "assistant")
MAX_MESSAGES = 50
MAX_CONTENT_CHARS = 100_000
MAX_VARIABLES = 50
MAX_DEFAULT_CHARS = 20_000
KEY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,79}")
_NAME = re.compile(NAME)
_SPEC_FIELDS = {"name", "description", "required", "default", "trusted"}


def messages_clean(messages: Any) -> list[dict[str, str]]:
    """Return ``messages`` as they are stored; raises InvalidInput naming the message at fault."""
    if not isinstance(messages, list) or not messages:
        raise InvalidInput.for_field("messages", _("A prompt needs at least one message."))
    if len(messages) > MAX_MESSAGES:
        raise InvalidInput.for_field(
            "messages", _("A prompt has at most %(count)d messages.") % {"count": MAX_MESSAGES}
        )
    _raise_if(problem for index, message in enumerate(messages) for problem in _message_problems(index, message))
    return [{"role": message["role"], "content": message["content"]} for message in messages]


def _message_problems(index: int, message: Any) -> Iterable[FieldError]:
    place = f"messages[{index}]"
    if not isinstance(message, dict):
        yield FieldError(place, _("A message is an object with a role and a content."))
        return
    for name in message.keys() - {"role", "content"}:
        yield FieldError(f"{place}.{name}", _("There is no such field."))
    if message.get("role") not in ROLES:
        yield FieldError(f"{place}.role", _("The role is one of: %(roles)s.") % {"roles": ", ".join(ROLES)})
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        yield FieldError(f"{place}.content", _("A message needs a text."))
    elif len(content) > MAX_CONTENT_CHARS:
        limit = _("A message has at most %(count)d characters.") % {"count": MAX_CONTENT_CHARS}
        yield FieldError(f"{place}.content", limit)
    elif not is_storable(content):
        yield FieldError(f"{place}.content", _("The text contains characters that cannot be stored."))


def variables_clean(variables: Any) -> list[dict[str, Any]]:
    """Return ``variables`` as they are stored; raises InvalidInput naming the variable at fault."""
    if not isinstance(variables, list) or len(variables) > MAX_VARIABLES:
        limit = _("Variables are a list of at most %(count)d entries.") % {"count": MAX_VARIABLES}
        raise InvalidInput.for_field("variables", limit)
    _raise_if(problem for index, item in enumerate(variables) for problem in _variable_problems(index, item))
    specs = [VariableSpec(**item) for item in variables]
    _refuse_repeated([spec.name for spec in specs])
    return [spec.as_json() for spec in specs]


def _variable_problems(index: int, item: Any) -> Iterable[FieldError]:
    place = f"variables[{index}]"
    if not isinstance(item, dict):
        yield FieldError(place, _("A variable is an object with a name."))
        return
    for name in item.keys() - _SPEC_FIELDS:
        yield FieldError(f"{place}.{name}", _("There is no such field."))
    if not isinstance(item.get("name"), str) or not _NAME.fullmatch(item["name"]):
        rule = _("A name begins with a letter and has at most 64 letters, digits and underscores.")
        yield FieldError(f"{place}.name", rule)
    for name in ("description", "default"):
        value = item.get(name, "")
        if not isinstance(value, str) or len(value) > MAX_DEFAULT_CHARS or not is_storable(value):
            limit = _("This is a text of at most %(count)d characters.") % {"count": MAX_DEFAULT_CHARS}
            yield FieldError(f"{place}.{name}", limit)
    for name in ("required", "trusted"):
        if not isinstance(item.get(name, False), bool):
            yield FieldError(f"{place}.{name}", _("This is true or false."))


def _refuse_repeated(names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise InvalidInput.for_field(f"variables[{index}].name", _("This name is there twice."))


def parameters_clean(parameters: Any) -> dict[str, Any]:
    """Return model parameters as they are stored; raises InvalidInput naming the one at fault."""
    if not isinstance(parameters, dict) or not is_storable_json(parameters):
        raise InvalidInput.for_field("parameters", _("Parameters are an object."))
    checks: dict[str, tuple[Callable[[Any], bool], str]] = {
        "temperature": (_is_temperature, _("This is a number from 0 to 2.")),
        "max_tokens": (_is_count, _("This is a whole number from 1 to 200000.")),
        "response_format": (lambda value: isinstance(value, dict), _("This is an object.")),
    }
    unknown = [
        FieldError(f"parameters.{name}", _("There is no such parameter.")) for name in parameters.keys() - checks
    ]
    wrong = [
        FieldError(f"parameters.{name}", message)
        for name, (is_good, message) in checks.items()
        if name in parameters and not is_good(parameters[name])
    ]
    _raise_if([*unknown, *wrong])
    return dict(parameters)


def _is_temperature(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 2


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 200_000


def _raise_if(problems: Iterable[FieldError]) -> None:
    found = tuple(problems)
    if found:
        raise InvalidInput(found[0].message, details=found)


def content_hash(*parts: Any) -> str:
    """Return the SHA-256 of a version's content: the same content has the same hash wherever it stands."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def joined(messages: Iterable[Mapping[str, Any]]) -> str:
    """Return the contents of ``messages`` as one text, for display."""
    return "\n\n".join(str(message.get("content", "")) for message in messages)
