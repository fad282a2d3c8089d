"""The prompts and eval suites of a pack that is imported: what exists here under the same key stays as it is."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import IntegrityError, transaction

from accounts_app.exceptions import FieldError, InvalidInput
from prompts_app.selectors import prompt_key_used, suite_key_used
from prompts_app.services.prompts import VersionDraft, prompt_create, version_create, version_publish
from prompts_app.services.suites import CaseDraft, suite_create
from workflows_app.contracts import Json
from workflows_app.exceptions import ConfigInvalid

_CONTENT = ("messages", "variables", "language", "model", "parameters", "notes")
_MEMBER = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True)
class PackItem:
    """One prompt or suite of a pack. ``kind`` is prompt or eval_suite."""

    kind: str
    key: str
    name: str


@dataclass(frozen=True)
class PackParts:
    """What came of a pack's prompts and suites: ``created``, and ``kept`` where the key was there already."""

    created: tuple[PackItem, ...] = ()
    kept: tuple[PackItem, ...] = ()


def parts_import(pack: Json) -> PackParts:
    """Create what a pack of the right shape brings and the organization lacks; in the caller's transaction.

    Raises ConfigInvalid with the errors of every prompt and suite, each by its JSON pointer: then nothing may stay.
    """
    created: list[PackItem] = []
    kept: list[PackItem] = []
    wrong: list[FieldError] = []
    for kind, name, is_used, create in _KINDS:
        for index, part in enumerate(pack.get(name, [])):
            item = PackItem(kind, part["key"], part["name"])
            try:
                is_new = not is_used(item.key) and _created(create, part)
            except InvalidInput as error:
                wrong += [FieldError(f"/{name}/{index}{_pointer(at.field)}", at.message) for at in error.details]
            else:
                (created if is_new else kept).append(item)
    if wrong:
        raise ConfigInvalid(details=tuple(wrong))
    return PackParts(tuple(created), tuple(kept))


def _created(create: Callable[[Json], None], part: Json) -> bool:
    try:
        with transaction.atomic():
            create(part)
    except IntegrityError:
        # Somebody else made one of this key at the same moment.
        return False
    return True


def _prompt(part: Json) -> None:
    first, *others = part["versions"]
    with _in_version(0):
        prompt = prompt_create(
            key=part["key"],
            name=part["name"],
            draft=_draft(first),
            description=part.get("description", ""),
            category=part.get("category", "task"),
            workspace_key=part.get("workspace", ""),
        )
    versions = [*prompt.versions.all()]
    for index, version in enumerate(others, start=1):
        with _in_version(index):
            versions.append(version_create(prompt_id=prompt.pk, draft=_draft(version)))
    for index, (version, given) in enumerate(zip(versions, part["versions"], strict=True)):
        if given.get("published"):
            with _in_version(index):
                version_publish(version_id=version.pk)


def _draft(version: Json) -> VersionDraft:
    given = {name: version[name] for name in _CONTENT if name in version}
    return VersionDraft(**given, provenance={"source": "pack"})


def _suite(part: Json) -> None:
    cases = [CaseDraft(case["name"], case["assertions"], case.get("variables", {})) for case in part["cases"]]
    suite_create(
        key=part["key"],
        name=part["name"],
        cases=cases,
        description=part.get("description", ""),
        workspace_key=part.get("workspace", ""),
    )


_KINDS = (
    ("prompt", "prompts", prompt_key_used, _prompt),
    ("eval_suite", "eval_suites", suite_key_used, _suite),
)


@contextmanager
def _in_version(index: int) -> Iterator[None]:
    try:
        yield
    except InvalidInput as error:
        places = tuple(FieldError(f"versions[{index}].{at.field}", at.message) for at in error.details)
        raise InvalidInput(error.message, details=places) from error


def _pointer(field: str) -> str:
    """The JSON pointer of a place such as ``messages[0].content:3:1``, without the line and column in its text."""
    return "".join(f"/{member}" for member in _MEMBER.findall(field.partition(":")[0]))
