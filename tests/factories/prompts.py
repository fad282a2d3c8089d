"""Prompts, versions and suites of someone."""

import uuid
from typing import Any
from uuid import UUID

from prompts_app.contracts import RunOptions
from prompts_app.models import EvalSuite, Prompt, PromptVersion
from prompts_app.services.evals import eval_run
from prompts_app.services.prompts import VersionDraft, prompt_create, version_create, version_publish
from prompts_app.services.suites import CaseDraft, suite_create
from tests.factories.accounts import Person
from tests.factories.replay import Replay, named_in_body, owned_object

MESSAGES = [
    {"role": "system", "content": "Answer with one sentence."},
    {"role": "user", "content": "<question>{{ question }}</question>"},
]
VARIABLES = [{"name": "question", "description": "What is asked.", "required": True, "default": "", "trusted": False}]


def draft_of(**fields: Any) -> VersionDraft:
    """Return a draft that the linter has nothing against."""
    content: dict[str, Any] = {"messages": MESSAGES, "variables": VARIABLES, **fields}
    return VersionDraft(**content)


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


def suite_of(owner: Person, *cases: CaseDraft, key: str = "") -> EvalSuite:
    """Return a new suite of ``owner``, with one case unless others are given."""
    drafts = cases or (CaseDraft("Says tea", [{"type": "icontains", "value": "tea"}], {"question": "What is tea?"}),)
    with owner.at_work():
        return suite_create(key=key or f"s_{uuid.uuid4().hex[:12]}", name="Suite", cases=drafts)


def eval_of(owner: Person) -> UUID:
    """Return the id of a stored eval run of ``owner``."""
    suite = suite_of(owner)
    with owner.at_work():
        return eval_run(suite_id=suite.pk, text="Tea.", options=options_of()).eval_run_id


_PROMPT = "api/prompts/<uuid:prompt_id>"


@owned_object(_PROMPT, f"{_PROMPT}/versions", f"{_PROMPT}/apply", f"{_PROMPT}/bootstrap/rewrite", f"{_PROMPT}/runs")
@owned_object(f"{_PROMPT}/copy")
def _prompt(owner: Person) -> Replay:
    return Replay({"prompt_id": prompt_of(owner).pk}, {"variables": {"question": "Why?"}, "messages": MESSAGES})


@owned_object(f"{_PROMPT}/versions/<uuid:version_id>", f"{_PROMPT}/versions/<uuid:version_id>/publish")
def _version(owner: Person) -> Replay:
    prompt = prompt_of(owner)
    return Replay({"prompt_id": prompt.pk, "version_id": version_of(owner, prompt).pk})


@owned_object("api/eval/suites/<uuid:suite_id>", "api/eval/suites/<uuid:suite_id>/cases")
def _suite(owner: Person) -> Replay:
    case = {"name": "One", "assertions": [{"type": "contains", "value": "a"}]}
    return Replay({"suite_id": suite_of(owner).pk}, case)


@owned_object("api/eval/runs/<uuid:eval_run_id>")
def _eval_run(owner: Person) -> Replay:
    return Replay({"eval_run_id": eval_of(owner)})


@named_in_body("api/linter/")
def _linted(owner: Person) -> Replay:
    return Replay(body={"prompt_id": str(prompt_of(owner).pk)})


@named_in_body("api/eval/run/")
def _evaluated(owner: Person) -> Replay:
    return Replay(body={"suite_id": str(suite_of(owner).pk), "text": "Tea."})
