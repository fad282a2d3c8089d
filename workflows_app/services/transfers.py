"""Templates and packs as files: export and import. Every problem is told; one of shape hinders the whole."""

import json
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from accounts_app.exceptions import Conflict, FieldError
from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id
from workflows_app.contracts import ConfigError, Json
from workflows_app.exceptions import ConfigInvalid
from workflows_app.models import WorkflowConfig
from workflows_app.services.configs import refuse
from workflows_app.services.pack_parts import PackItem, parts_import
from workflows_app.services.packs import MAX_BYTES, MAX_TEMPLATES, PARTS, refuse_unfit
from workflows_app.services.templates import document_named, next_version, template_create, template_document
from workflows_app.services.validation import config_shape


@dataclass(frozen=True)
class Imported:
    """What an import made, and the prompts and suites of a pack that it left as they are here."""

    templates: tuple[WorkflowConfig, ...]
    created: tuple[PackItem, ...]
    kept: tuple[PackItem, ...]


def template_export(config: WorkflowConfig, *, schema_url: str) -> Json:
    """Return the document to be kept as a file; importing it gives the same version again."""
    return {"$schema": schema_url} | template_document(config)


def file_read(content: bytes) -> Any:
    """Return the JSON of an uploaded file.

    Raises ConfigInvalid for what is no JSON, is too large or too deep, and for a name that stands twice in an object,
    of which JSON would drop one without a word.
    """
    if len(content) > MAX_BYTES:
        raise _unreadable(_("The file is larger than %(limit)d KiB.") % {"limit": MAX_BYTES // 1024})
    try:
        return json.loads(content.decode("utf-8-sig"), object_pairs_hook=_without_twins, parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise _unreadable(_("The file is not text in UTF-8.")) from error
    except json.JSONDecodeError as error:
        place = {"line": error.lineno, "column": error.colno}
        raise _unreadable(_("The file is not JSON: line %(line)d, column %(column)d.") % place) from error
    except (RecursionError, ValueError) as error:
        raise _unreadable(_("The document is nested too deeply.")) from error


@transaction.atomic
def templates_import(content: Any, *, take_next_version: bool = False) -> Imported:
    """Save one document, a list of them, or a pack: all of it, or nothing. Workflows become drafts.

    ``take_next_version`` gives a version that exists already the next free number; a prompt or suite whose key exists
    stays as it is. Raises ConfigInvalid with every error of shape, then with every error of the pack's prompts and
    suites; Conflict with every version that exists. Errors of meaning, such as a prompt that is not here, are for the
    drafts' editor: they do not hinder the import, and publishing refuses them.
    """
    pack = content if isinstance(content, dict) and not {*PARTS}.isdisjoint(content) else {}
    if pack:
        refuse_unfit(pack)
    documents, prefix = (pack.get("templates", []), "/templates/") if pack else _documents(content)
    named = _named(documents, prefix, take_next_version=take_next_version)
    taken = list(_taken(named, prefix))
    if taken:
        raise Conflict(_("Some of these versions exist already. Nothing was imported."), details=tuple(taken))
    parts = parts_import(pack)
    saved = tuple(template_create(config=document) for document in named)
    brought = {"templates": [str(config.pk) for config in saved], "parts": [item.key for item in parts.created]}
    audit_record(action="workflow.import", data=brought)
    return Imported(saved, parts.created, parts.kept)


def _documents(content: Any) -> tuple[list[Any], str]:
    """The documents, and before which number of theirs an error's pointer stands; "" for a single one."""
    if not isinstance(content, list):
        return [content], ""
    if not 1 <= len(content) <= MAX_TEMPLATES:
        refuse((ConfigError("", _("Give a list of 1 to %(limit)d workflows.") % {"limit": MAX_TEMPLATES}),))
    return content, "/"


def _named(documents: list[Any], prefix: str, *, take_next_version: bool) -> list[Json]:
    found: list[ConfigError] = []
    named: list[Json] = []
    for index, document in enumerate(documents):
        shape = config_shape(document)
        found += [ConfigError(f"{_place(prefix, index)}{item.pointer}", item.message) for item in shape]
        if shape:
            continue
        complete = document_named({"name": document["workspace"]} | document, {})
        if take_next_version:
            complete["version"] = next_version(complete["name"], complete["version"])
        named.append(complete)
    refuse(tuple(found))
    return named


def _taken(documents: list[Json], prefix: str) -> list[FieldError]:
    seen: set[tuple[str, str]] = set()
    taken = []
    for index, document in enumerate(documents):
        name, version = document["name"], document["version"]
        if (name, version) in seen or _exists(name, version):
            message = _("“%(name)s” %(version)s exists already.") % {"name": name, "version": version}
            taken.append(FieldError(f"{_place(prefix, index)}/version", message))
        seen.add((name, version))
    return taken


def _exists(name: str, version: str) -> bool:
    own = WorkflowConfig.objects.filter(organization_id=current_organization_id())
    return own.filter(name=name, version=version).exists()


def _place(prefix: str, index: int) -> str:
    return f"{prefix}{index}" if prefix else ""


def _without_twins(pairs: list[tuple[str, Any]]) -> Json:
    whole = dict(pairs)
    if len(whole) != len(pairs):
        names = [name for name, _value in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise _unreadable(_("“%(name)s” stands twice in one object.") % {"name": twin[:60]})
    return whole


def _no_number(text: str) -> Any:
    raise _unreadable(_("%(text)s is no number of JSON.") % {"text": text})


def _unreadable(message: str) -> ConfigInvalid:
    return ConfigInvalid(message, details=(FieldError("", message),))
