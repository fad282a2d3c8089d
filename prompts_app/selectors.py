"""Reads. Every one asks for the bound organization's own rows or shared ones, whatever the policies let through."""

import re
from collections.abc import Iterable
from uuid import UUID

from django.db.models import Case, Exists, IntegerField, Max, OuterRef, Q, QuerySet, Subquery, Value, When

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id
from prompts_app.contracts import PromptRef, VariableSpec, VersionRef
from prompts_app.exceptions import PromptNotPublished
from prompts_app.models import (
    EvalCase,
    EvalRun,
    EvalSuite,
    Language,
    Prompt,
    PromptBootstrapRun,
    PromptRun,
    PromptVersion,
    VersionStatus,
)

_NUMBERED = re.compile(r"(?P<family>.+)\.v(?P<number>\d+)")


def own_or_shared() -> Q:
    """The rows that the bound organization may read; raises TenantRequired."""
    return Q(organization_id=current_organization_id()) | Q(organization_id__isnull=True)


def prompts_visible() -> QuerySet[Prompt]:
    """Return the prompts that are not archived, newest first."""
    return Prompt.objects.filter(own_or_shared(), archived_at__isnull=True)


def prompt_list() -> QuerySet[Prompt]:
    """Return the visible prompts with ``latest_number``, ``is_live``, ``last_run_at`` and ``last_run_status``."""
    versions = PromptVersion.objects.filter(prompt=OuterRef("pk")).order_by("-number")
    runs = PromptRun.objects.filter(organization_id=current_organization_id(), prompt=OuterRef("pk"))
    last_run = runs.order_by("-created_at")
    return prompts_visible().annotate(
        latest_number=Subquery(versions.values("number")[:1]),
        is_live=Exists(versions.filter(status=VersionStatus.PUBLISHED)),
        last_run_at=Subquery(last_run.values("created_at")[:1]),
        last_run_status=Subquery(last_run.values("status")[:1]),
    )


def prompt_get(prompt_id: UUID) -> Prompt:
    """Return the prompt, archived or not; raises NotFound when it is not there or not the caller's."""
    prompt = Prompt.objects.filter(own_or_shared(), pk=prompt_id).first()
    if prompt is None:
        raise NotFound
    return prompt


def prompt_by_key(key: str) -> Prompt:
    """Return the organization's own prompt called ``key``, else the shared one; raises NotFound.

    ``mode.chat.v*`` stands for the newest of its family by number: v10 is newer than v9.
    """
    if key.endswith(".v*"):
        return _newest_of(key.removesuffix(".v*"))
    own_first = Case(When(organization_id__isnull=True, then=Value(1)), default=Value(0), output_field=IntegerField())
    prompt = prompts_visible().filter(key=key).order_by(own_first).first()
    if prompt is None:
        raise NotFound
    return prompt


def _newest_of(family: str) -> Prompt:
    candidates = prompts_visible().filter(key__startswith=f"{family}.v")
    numbered = [(_key_number(prompt.key, family), not prompt.is_shared, prompt) for prompt in candidates]
    known = [entry for entry in numbered if entry[0] >= 0]
    if not known:
        raise NotFound
    return max(known, key=lambda entry: entry[:2])[2]


def _key_number(key: str, family: str) -> int:
    match = _NUMBERED.fullmatch(key)
    return int(match["number"]) if match and match["family"] == family else -1


def prompt_key_used(key: str) -> bool:
    """Whether the organization has, or shares, a prompt of this key; one that it archived counts."""
    return Prompt.objects.filter(own_or_shared(), key=key).exists()


def version_get(version_id: UUID) -> PromptVersion:
    """Return the version with its prompt; raises NotFound when it is not there or not the caller's."""
    version = PromptVersion.objects.filter(own_or_shared(), pk=version_id).select_related("prompt").first()
    if version is None:
        raise NotFound
    return version


def version_of(prompt: Prompt, version_id: UUID) -> PromptVersion:
    """Return the version if it is one of ``prompt``'s; raises NotFound otherwise."""
    version = version_get(version_id)
    if version.prompt_id != prompt.pk:
        raise NotFound
    return version


def version_current(prompt: Prompt, language: str) -> PromptVersion:
    """Return what the prompt stands for in ``language``: the newest published version for it.

    One for any language comes next, then English, then whatever is published; raises PromptNotPublished.
    """
    order = [language, Language.ANY, Language.ENGLISH, Language.CHINESE]
    preference = Case(
        *(When(language=name, then=Value(rank)) for rank, name in enumerate(dict.fromkeys(order))),
        output_field=IntegerField(),
    )
    published = prompt.versions.filter(own_or_shared(), status=VersionStatus.PUBLISHED)
    version = published.order_by(preference, "-number").select_related("prompt").first()
    if version is None:
        raise PromptNotPublished
    return version


def version_to_rewrite(prompt: Prompt) -> PromptVersion:
    """Return the newest version, drafts included; raises NotFound when the prompt has none."""
    version = versions_of(prompt).select_related("prompt").first()
    if version is None:
        raise NotFound
    return version


def versions_of(prompt: Prompt) -> QuerySet[PromptVersion]:
    """Return the prompt's versions, newest first."""
    return prompt.versions.filter(own_or_shared()).order_by("-number")


def versions_to_take(prompt: Prompt) -> list[PromptVersion]:
    """Return what a copy of the prompt needs: the newest published version of each language, else the newest draft."""
    versions = list(prompt.versions.filter(own_or_shared()).order_by("number"))
    newest = {version.language: version for version in versions if version.is_published}
    return sorted(newest.values(), key=lambda version: version.number) or versions[-1:]


def next_number(prompt: Prompt) -> int:
    """Return the number of the next version; the caller has locked the prompt's row."""
    return (prompt.versions.aggregate(highest=Max("number"))["highest"] or 0) + 1


def runs_of(prompt: Prompt) -> QuerySet[PromptRun]:
    """Return the organization's runs of a prompt, newest first."""
    runs = PromptRun.objects.filter(organization_id=current_organization_id(), prompt=prompt)
    return runs.select_related("version").order_by("-created_at", "-id")


def run_get(run_id: UUID) -> PromptRun:
    """Return one of the organization's runs; raises NotFound."""
    run = (
        PromptRun.objects.filter(organization_id=current_organization_id(), pk=run_id).select_related("version").first()
    )
    if run is None:
        raise NotFound
    return run


def rewrites_of(prompt: Prompt) -> QuerySet[PromptBootstrapRun]:
    """Return the organization's rewrites of a prompt, newest first."""
    rewrites = PromptBootstrapRun.objects.filter(organization_id=current_organization_id(), prompt=prompt)
    return rewrites.select_related("result_version").order_by("-created_at", "-id")


def suite_list() -> QuerySet[EvalSuite]:
    """Return the visible eval suites, newest first."""
    return EvalSuite.objects.filter(own_or_shared())


def suite_get(suite_id: UUID) -> EvalSuite:
    """Return the suite; raises NotFound."""
    suite = suite_list().filter(pk=suite_id).first()
    if suite is None:
        raise NotFound
    return suite


def suite_by_key(key: str) -> EvalSuite:
    """Return the organization's own suite called ``key``, else the shared one; raises NotFound."""
    own_first = Case(When(organization_id__isnull=True, then=Value(1)), default=Value(0), output_field=IntegerField())
    suite = suite_list().filter(key=key).order_by(own_first).first()
    if suite is None:
        raise NotFound
    return suite


def suite_key_used(key: str) -> bool:
    """Whether the organization has, or shares, an eval suite of this key."""
    return suite_list().filter(key=key).exists()


def cases_of(suite: EvalSuite) -> QuerySet[EvalCase]:
    """Return a suite's cases in their order."""
    return suite.cases.filter(own_or_shared()).order_by("position")


def eval_runs() -> QuerySet[EvalRun]:
    """Return the organization's eval runs, newest first."""
    return EvalRun.objects.filter(organization_id=current_organization_id()).select_related("suite", "version")


def prompt_ref(prompt: Prompt) -> PromptRef:
    """Return ``prompt`` as other rooms see it."""
    return PromptRef(
        id=prompt.pk,
        key=prompt.key,
        name=prompt.name,
        category=prompt.category,
        workspace_key=prompt.workspace_key,
        shared=prompt.is_shared,
    )


def version_ref(version: PromptVersion) -> VersionRef:
    """Return ``version`` as other rooms see it."""
    return VersionRef(
        id=version.pk,
        prompt_id=version.prompt_id,
        number=version.number,
        status=version.status,
        messages=tuple(version.messages),
        variables=specs_from(version.variables),
        model=version.model,
        parameters=version.parameters,
        language=version.language,
    )


def specs_from(stored: Iterable[dict[str, object]]) -> tuple[VariableSpec, ...]:
    """Return stored variables as dataclasses."""
    return tuple(
        VariableSpec(
            name=str(item["name"]),
            description=str(item.get("description", "")),
            required=bool(item.get("required", True)),
            default=str(item.get("default", "")),
            trusted=bool(item.get("trusted", False)),
        )
        for item in stored
    )
