"""Whose money or calls a rule is about: the choices of a form, and their names."""

from typing import Any
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts_app.exceptions import InvalidInput
from billing_app.selectors.names import Names

ORGANIZATION = "organization"
GROUPS: dict[str, str | Promise] = {
    "project": gettext_lazy("Projects"),
    "member": gettext_lazy("Members"),
    "key": gettext_lazy("API keys"),
}


def subject_choices(names: Names) -> list[tuple[Any, Any]]:
    """Return the choices of a select: ``organization``, or ``scope:id`` in a group for each scope."""
    known = {"project": names.projects, "member": names.members, "key": names.keys}
    groups: list[tuple[Any, Any]] = [
        (words, [(f"{scope}:{pk}", name) for pk, name in known[scope].items()]) for scope, words in GROUPS.items()
    ]
    return [(ORGANIZATION, _("The whole organization")), *(group for group in groups if group[1])]


def subject_parsed(chosen: str) -> tuple[str, UUID | None]:
    """Return scope and id of a choice; raises InvalidInput for a text that is none."""
    scope, _colon, pk = chosen.partition(":")
    try:
        return scope, UUID(pk) if pk else None
    except ValueError:
        raise InvalidInput from None


def subject_named(names: Names, scope: str, subject_id: UUID | None) -> str:
    """Return what people call the subject."""
    named = {"project": names.project, "member": names.member, "key": names.key}
    return named[scope](subject_id) if scope in named else _("The whole organization")
