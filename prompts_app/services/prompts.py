"""Prompts and their versions. Content never changes: every change is a new version, and a person publishes it."""

import uuid
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _

from accounts_app.exceptions import InvalidInput
from accounts_app.services.audit import audit_record
from accounts_app.tenancy.context import current_organization_id, current_tenant
from prompts_app.exceptions import SharedPromptReadOnly
from prompts_app.models import Language, Prompt, PromptCategory, PromptVersion, VersionStatus
from prompts_app.selectors import next_number, prompt_get, specs_from, version_get, version_of, versions_to_take
from prompts_app.services.content import KEY, content_hash, messages_clean, parameters_clean, variables_clean
from prompts_app.services.publishing import refuse_broken
from prompts_app.services.templating import specs_for

_EDITABLE = ("name", "description", "category", "workspace_key")


@dataclass(frozen=True)
class VersionDraft:
    """The content of a version that is to be made; everything in it is checked before it is stored.

    ``variables`` None declares those that the messages use, each as required and not trusted; ``declare_used`` adds
    such to those that are given.
    """

    messages: list[dict[str, Any]]
    variables: list[dict[str, Any]] | None = None
    declare_used: bool = False
    language: str = Language.ANY
    model: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    notes: str = ""
    parent_id: UUID | None = None
    provenance: dict[str, Any] = field(default_factory=lambda: {"source": "edit"})

    def cleaned(self) -> dict[str, Any]:
        """Return the model fields; raises InvalidInput naming the field at fault."""
        if self.language not in Language.values:
            raise InvalidInput.for_field("language", _("There is no such language."))
        messages = messages_clean(self.messages)
        variables = variables_clean(self.variables or [])
        if self.declare_used or self.variables is None:
            variables = [spec.as_json() for spec in specs_for(messages, specs_from(variables))]
        content = {
            "messages": messages,
            "variables": variables,
            "language": self.language,
            "model": self.model,
            "parameters": parameters_clean(self.parameters),
        }
        return {
            **content,
            "notes": self.notes,
            "provenance": self.provenance,
            "content_hash": content_hash(*content.values()),
        }


@transaction.atomic
def prompt_create(
    *,
    name: str,
    draft: VersionDraft,
    key: str = "",
    description: str = "",
    category: str = PromptCategory.TASK,
    workspace_key: str = "",
) -> Prompt:
    """Create a prompt of the bound organization with ``draft`` as its version 1.

    Without ``key`` one is made from the name. Raises InvalidInput for a bad or taken key and for bad content.
    """
    tenant = current_tenant()
    key = key or _key_from(name)
    _check_key(key)
    _check_category(category)
    prompt = Prompt.objects.create(
        organization_id=tenant.organization_id,
        user_id=tenant.user_id,
        key=key,
        name=name,
        description=description,
        category=category,
        workspace_key=workspace_key,
    )
    audit_record(action="prompt.create", target_type="prompt", target_id=prompt.pk, data={"key": key})
    version_create(prompt_id=prompt.pk, draft=draft)
    return prompt


@transaction.atomic
def prompt_update(*, prompt_id: UUID, changes: dict[str, Any]) -> Prompt:
    """Change name, description, category or workspace of a prompt, never its key: programs rely on it.

    ``archived`` True hides it from lists and keys, False brings it back. Raises NotFound, SharedPromptReadOnly,
    InvalidInput.
    """
    prompt = _own_prompt(prompt_id)
    _check_category(changes.get("category", prompt.category))
    for name in _EDITABLE:
        setattr(prompt, name, changes.get(name, getattr(prompt, name)))
    if "archived" in changes:
        prompt.archived_at = (prompt.archived_at or timezone.now()) if changes["archived"] else None
    prompt.save()
    audit_record(action="prompt.update", target_type="prompt", target_id=prompt.pk, data={"fields": sorted(changes)})
    return prompt


@transaction.atomic
def prompt_copy(*, prompt_id: UUID) -> Prompt:
    """Copy a prompt with its published versions (or its newest, if none is) into the bound organization.

    A copy of a shared prompt keeps the key, so that the organization's workflows use it from then on; if the key is
    taken, the copy gets a new one. The published state is kept.
    """
    source = prompt_get(prompt_id)
    tenant = current_tenant()
    prompt = Prompt.objects.create(
        organization_id=tenant.organization_id,
        user_id=tenant.user_id,
        key=_free_key(source.key),
        **{name: getattr(source, name) for name in _EDITABLE},
    )
    for number, version in enumerate(versions_to_take(source), start=1):
        _version_copy(version, prompt, number)
    audit_record(action="prompt.copy", target_type="prompt", target_id=prompt.pk, data={"from": str(source.pk)})
    return prompt


def _version_copy(version: PromptVersion, prompt: Prompt, number: int) -> None:
    same = ("language", "status", "messages", "variables", "model", "parameters", "notes", "content_hash")
    PromptVersion.objects.create(
        prompt=prompt,
        organization_id=prompt.organization_id,
        user_id=prompt.user_id,
        number=number,
        published_at=version.published_at,
        provenance={"source": "copy", "prompt_id": str(version.prompt_id), "version_id": str(version.pk)},
        **{name: getattr(version, name) for name in same},
    )


@transaction.atomic
def version_create(*, prompt_id: UUID, draft: VersionDraft) -> PromptVersion:
    """Add a draft version to a prompt of the bound organization; numbers rise without gaps being reused.

    Raises NotFound, SharedPromptReadOnly, and InvalidInput for bad content or a parent of another prompt.
    """
    prompt = _own_prompt(prompt_id)
    if draft.parent_id is not None:
        version_of(prompt, draft.parent_id)
    version = PromptVersion.objects.create(
        organization_id=prompt.organization_id,
        user_id=current_tenant().user_id,
        prompt=prompt,
        number=next_number(prompt),
        parent_id=draft.parent_id,
        **draft.cleaned(),
    )
    data = {"prompt_id": str(prompt.pk), "number": version.number}
    audit_record(action="prompt_version.create", target_type="prompt_version", target_id=version.pk, data=data)
    return version


@transaction.atomic
def version_publish(*, version_id: UUID) -> PromptVersion:
    """Make a draft what its prompt's key stands for, in its language. Publishing again changes nothing.

    Raises NotFound, SharedPromptReadOnly, and InvalidInput when the text has errors that break it when it is run.
    """
    version = version_get(version_id)
    _own_prompt(version.prompt_id)
    version.refresh_from_db()
    if version.is_published:
        return version
    refuse_broken(version)
    version.status, version.published_at = VersionStatus.PUBLISHED, timezone.now()
    version.save(update_fields=["status", "published_at"])
    data = {"prompt_id": str(version.prompt_id), "number": version.number}
    audit_record(action="prompt_version.publish", target_type="prompt_version", target_id=version.pk, data=data)
    return version


def _own_prompt(prompt_id: UUID) -> Prompt:
    # The lock puts version numbers in a row.
    prompt = Prompt.objects.select_for_update().filter(organization_id=current_organization_id(), pk=prompt_id).first()
    if prompt is None:
        prompt_get(prompt_id)
        raise SharedPromptReadOnly
    return prompt


def _check_key(key: str) -> None:
    if not KEY.fullmatch(key):
        rule = _("A key has at most 80 lower-case letters, digits, dots, dashes and underscores.")
        raise InvalidInput.for_field("key", rule)
    if Prompt.objects.filter(organization_id=current_organization_id(), key=key).exists():
        raise InvalidInput.for_field("key", _("This key is taken."))


def _check_category(category: str) -> None:
    if category not in PromptCategory.values:
        raise InvalidInput.for_field("category", _("There is no such category."))


def _key_from(name: str) -> str:
    return _free_key(slugify(name)[:60].replace("-", "_").strip("_") or "prompt")


def _free_key(wanted: str) -> str:
    taken = Prompt.objects.filter(organization_id=current_organization_id(), key=wanted).exists()
    return f"{wanted[:70]}_{uuid.uuid4().hex[:6]}" if taken else wanted
