"""Puts the catalogue into the database, as often as one likes: what is there already stays as it is."""

from django.utils import timezone

from prompts_app.models import EvalCase, EvalSuite, Prompt, PromptCategory, PromptVersion, VersionStatus
from prompts_app.seeds.catalogue import LANGUAGES, PROMPTS, SUITES, SeedPrompt, SeedSuite
from prompts_app.selectors import next_number
from prompts_app.services.content import content_hash


def load() -> str:
    """Create or refresh the shared prompts and suites, in the caller's operator context; returns a short summary."""
    added = sum(_load_prompt(seed) for seed in PROMPTS)
    for suite in SUITES:
        _load_suite(suite)
    return f"{len(PROMPTS)} prompts ({added} new versions), {len(SUITES)} eval suites"


def _load_prompt(seed: SeedPrompt) -> int:
    prompt, _created = Prompt.objects.update_or_create(
        organization=None,
        key=seed.key,
        defaults={
            "name": seed.name,
            "description": seed.description,
            "category": PromptCategory.TASK,
            "workspace_key": seed.workspace_key,
        },
    )
    return sum(_load_version(seed, prompt, language) for language in LANGUAGES)


def _load_version(seed: SeedPrompt, prompt: Prompt, language: str) -> int:
    content = {
        "messages": seed.messages(language),
        "variables": seed.specs(language),
        "language": language,
        "model": "",
        "parameters": {"temperature": seed.temperature, "max_tokens": seed.max_tokens},
    }
    digest = content_hash(*content.values())
    newest = prompt.versions.filter(organization=None, language=language).order_by("-number").first()
    if newest is not None and newest.content_hash == digest:
        return 0
    PromptVersion.objects.create(
        prompt=prompt,
        number=next_number(prompt),
        status=VersionStatus.PUBLISHED,
        published_at=timezone.now(),
        content_hash=digest,
        parent=newest,
        provenance={"source": "seed"},
        **content,
    )
    return 1


def _load_suite(seed: SeedSuite) -> None:
    suite, _created = EvalSuite.objects.update_or_create(
        organization=None,
        key=seed.key,
        defaults={"name": seed.name, "description": seed.description, "workspace_key": seed.workspace_key},
    )
    for position, case in enumerate(seed.cases, start=1):
        EvalCase.objects.update_or_create(
            organization=None,
            suite=suite,
            position=position,
            defaults={"name": case.name, "variables": case.variables, "assertions": list(case.assertions)},
        )
    suite.cases.filter(position__gt=len(seed.cases)).delete()
