"""Prompts, versions and suites of someone."""

import uuid
from typing import Any

from prompts_app.contracts import RunOptions
from prompts_app.models import EvalSuite, Prompt, PromptVersion
from prompts_app.services.prompts import VersionDraft, prompt_create, version_create, version_publish
from tests.factories.accounts import Person

MESSAGES = [
    {"role": "system", "content": "Answer with one sentence."},
    {"role": "user", "content": "<question>{{ question }}</question>"},
]
VARIABLES = [{"name": "question", "description": "What is asked.", "required": True, "default": "", "trusted": False}]


def draft_of(**fields: Any) -> VersionDraft:
    """Return a draft that the linter has nothing against."""
    return VersionDraft(**({"messages": MESSAGES, "variables": VARIABLES} | fields))


def prompt_of(owner: Person, *, key: str = "", publish: bool = True, **fields: Any) -> Prompt:
    """Return a new prompt of ``owner`` with one version, published unless said otherwise."""
    with owner.at_work():
        prompt = prompt_create(
            name=fields.pop("name", "Question"), key=key or f"p_{uuid.uuid4().hex[:12]}", draft=draft_of(**fields)
        )
        if publish:
            version_publish(version_id=prompt.versions.get().pk)
    return prompt


def version_of(owner: Person, prompt: Prompt, *, publish: bool = False, **fields: Any) -> PromptVersion:
    """Return a further version of ``prompt``."""
    with owner.at_work():
        version = version_create(prompt_id=prompt.pk, draft=draft_of(**fields))
        return version_publish(version_id=version.pk) if publish else version


def options_of(**fields: Any) -> RunOptions:
    """Return run options with a key of their own."""
    return RunOptions(**({"operation_key": uuid.uuid4().hex} | fields))


def shared_prompt(key: str = "draft_template") -> Prompt:
    """Return one of the initial prompts; needs a bound tenant or operator."""
    return Prompt.objects.get(organization=None, key=key)


def shared_suite(key: str = "article_basics") -> EvalSuite:
    """Return one of the initial suites; needs a bound tenant or operator."""
    return EvalSuite.objects.get(organization=None, key=key)
