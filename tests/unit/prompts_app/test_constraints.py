"""What the database itself refuses: one test for each named constraint, trigger and policy."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from accounts_app.tenancy.context import operator_atomic
from prompts_app.models import (
    EvalCase,
    EvalCaseResult,
    EvalRun,
    EvalSuite,
    Prompt,
    PromptBootstrapRun,
    PromptRun,
    PromptVersion,
)
from tests.factories.accounts import Person, person
from tests.factories.prompts import MESSAGES, prompt_of, shared_prompt, suite_of, version_of

pytestmark = pytest.mark.django_db

TABLES = [
    "prompts",
    "prompt_versions",
    "prompt_runs",
    "prompt_bootstrap_runs",
    "eval_suites",
    "eval_cases",
    "eval_runs",
    "eval_case_results",
]


@pytest.fixture
def owner(db: None) -> Person:
    return person()


def refused(name: str, make: Callable[[], Any]) -> None:
    """Assert that ``make`` breaks the constraint called ``name``."""
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        make()
    assert name in str(caught.value)


def version_fields(owner: Person, prompt: Prompt, **fields: Any) -> dict[str, Any]:
    base = {"organization_id": owner.organization_id, "prompt": prompt, "number": 9, "messages": MESSAGES}
    return base | {"content_hash": "x"} | fields


def run_fields(owner: Person, prompt: Prompt, **fields: Any) -> dict[str, Any]:
    version = prompt.versions.first()
    base = {"organization_id": owner.organization_id, "prompt": prompt, "version": version, "status": "completed"}
    return base | {"operation_key": "k"} | fields


def rewrite_fields(owner: Person, prompt: Prompt, **fields: Any) -> dict[str, Any]:
    version = prompt.versions.first()
    base = {"organization_id": owner.organization_id, "rewriter": version, "target": "text", "operation_key": "k"}
    return base | {"status": "completed"} | fields


def eval_fields(owner: Person, suite: EvalSuite, **fields: Any) -> dict[str, Any]:
    return {"organization_id": owner.organization_id, "suite": suite, "target": "text", "operation_key": "k"} | fields


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("prompt_key_once", {"key": "taken"}),
        ("prompt_category_known", {"key": "a", "category": "poem"}),
        ("prompt_key_of_lower_case_words", {"key": "Not a key"}),
    ],
)
def test_prompt_constraints(owner: Person, name: str, fields: dict[str, str]) -> None:
    prompt_of(owner, key="taken")
    with owner.at_work():
        refused(name, lambda: Prompt.objects.create(organization_id=owner.organization_id, name="x", **fields))


def test_shared_keys_are_unique_too() -> None:
    with operator_atomic("test"):
        refused("prompt_key_once", lambda: Prompt.objects.create(key="draft_template", name="x"))
        refused("eval_suite_key_once", lambda: EvalSuite.objects.create(key="article_basics", name="x"))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("prompt_version_number_once", {"number": 1}),
        ("prompt_version_number_from_one", {"number": 0}),
        ("prompt_version_language_known", {"language": "fr"}),
        ("prompt_version_published_with_time", {"status": "published"}),
        ("prompt_version_published_with_time", {"published_at": timezone.now()}),
    ],
)
def test_version_constraints(owner: Person, name: str, fields: dict[str, Any]) -> None:
    prompt = prompt_of(owner)
    with owner.at_work():
        refused(name, lambda: PromptVersion.objects.create(**version_fields(owner, prompt, **fields)))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("prompt_run_operation_once", {}),
        ("prompt_run_status_known", {"operation_key": "b", "status": "lost"}),
        ("prompt_run_cost_not_negative", {"operation_key": "b", "cost_usd": -1}),
    ],
)
def test_run_constraints(owner: Person, name: str, fields: dict[str, Any]) -> None:
    prompt = prompt_of(owner)
    with owner.at_work():
        PromptRun.objects.create(**run_fields(owner, prompt))
        refused(name, lambda: PromptRun.objects.create(**run_fields(owner, prompt, **fields)))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("rewrite_operation_once", {}),
        ("rewrite_status_known", {"operation_key": "b", "status": "lost"}),
        ("rewrite_cost_not_negative", {"operation_key": "b", "cost_usd": -1}),
        ("rewrite_of_a_version_or_a_text", {"operation_key": "b", "target": "prompt"}),
    ],
)
def test_rewrite_constraints(owner: Person, name: str, fields: dict[str, Any]) -> None:
    prompt = prompt_of(owner)
    with owner.at_work():
        PromptBootstrapRun.objects.create(**rewrite_fields(owner, prompt))
        refused(name, lambda: PromptBootstrapRun.objects.create(**rewrite_fields(owner, prompt, **fields)))


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("eval_run_operation_once", {}),
        ("eval_run_of_a_version_or_a_text", {"operation_key": "b", "target": "version"}),
        ("eval_run_pass_rate_between_0_and_1", {"operation_key": "b", "pass_rate": 2}),
    ],
)
def test_eval_run_constraints(owner: Person, name: str, fields: dict[str, Any]) -> None:
    suite = suite_of(owner)
    with owner.at_work():
        EvalRun.objects.create(**eval_fields(owner, suite))
        refused(name, lambda: EvalRun.objects.create(**eval_fields(owner, suite, **fields)))


def test_suite_case_and_result_constraints(owner: Person) -> None:
    suite = suite_of(owner)
    own = {"organization_id": owner.organization_id}
    with owner.at_work():
        refused("eval_suite_key_once", lambda: EvalSuite.objects.create(key=suite.key, name="x", **own))
        refused("eval_suite_key_of_lower_case_words", lambda: EvalSuite.objects.create(key="No No", name="x", **own))
        refused(
            "eval_case_position_once",
            lambda: EvalCase.objects.create(suite=suite, position=1, name="x", assertions=[], **own),
        )
        run = EvalRun.objects.create(**eval_fields(owner, suite))
        result = {"eval_run": run, "position": 1, "name": "x", **own}
        EvalCaseResult.objects.create(outcome="passed", **result)
        refused("eval_case_result_position_once", lambda: EvalCaseResult.objects.create(outcome="passed", **result))
        refused(
            "eval_case_result_outcome_known",
            lambda: EvalCaseResult.objects.create(outcome="lost", **{**result, "position": 2}),
        )


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "user", "content": "other"}]},
        {"variables": []},
        {"model": "other"},
        {"parameters": {"temperature": 1}},
        {"notes": "other"},
        {"number": 7},
        {"language": "en"},
        {"content_hash": "other"},
        {"provenance": {"source": "other"}},
        {"status": "draft", "published_at": None},
        {"published_at": timezone.now()},
    ],
)
def test_a_version_never_changes(owner: Person, change: dict[str, Any]) -> None:
    prompt = prompt_of(owner)
    for frame in (owner.at_work, lambda: operator_atomic("test")):
        with frame(), pytest.raises(IntegrityError, match="never changes"), transaction.atomic():
            PromptVersion.objects.filter(prompt=prompt).update(**change)


def test_a_draft_becomes_published_and_then_stays(owner: Person) -> None:
    prompt = prompt_of(owner, publish=False)
    with owner.at_work():
        drafts = PromptVersion.objects.filter(prompt=prompt)
        drafts.update(status="published", published_at=timezone.now())
        with pytest.raises(IntegrityError, match="stays"), transaction.atomic():
            drafts.delete()


def test_a_draft_can_be_thrown_away_and_its_children_stay(owner: Person) -> None:
    prompt = prompt_of(owner)
    draft = version_of(owner, prompt)
    child = version_of(owner, prompt, parent_id=draft.pk)
    with owner.at_work():
        draft.delete()
        child.refresh_from_db()
    assert child.parent_id is None


@pytest.mark.parametrize("table", TABLES)
def test_row_security_is_forced(table: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE relname = %s", [table])
        assert cursor.fetchone() == (True, True)


def test_others_see_and_change_nothing(owner: Person) -> None:
    prompt, suite, stranger = prompt_of(owner), suite_of(owner), person()
    with stranger.at_work():
        assert not Prompt.objects.filter(pk=prompt.pk).exists()
        assert not PromptVersion.objects.filter(prompt_id=prompt.pk).exists()
        assert not EvalCase.objects.filter(suite_id=suite.pk).exists()
        assert Prompt.objects.filter(pk=prompt.pk).update(name="stolen") == 0
        assert Prompt.objects.filter(organization=None).update(name="defaced") == 0


@pytest.mark.parametrize("exists", [True, False])
def test_naming_someone_elses_row_is_refused_as_if_it_were_not_there(owner: Person, *, exists: bool) -> None:
    stranger = person()
    prompt = prompt_of(owner)
    suite = suite_of(owner)
    with owner.at_work():
        version_id = prompt.versions.get().pk
    prompt_id, suite_id = prompt.pk, suite.pk
    if not exists:
        prompt_id, version_id, suite_id = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    own = {"organization_id": stranger.organization_id}
    attempts: list[Callable[[], Any]] = [
        lambda: PromptVersion.objects.create(prompt_id=prompt_id, number=1, messages=MESSAGES, content_hash="x", **own),
        lambda: PromptRun.objects.create(
            prompt_id=prompt_id, version_id=version_id, operation_key="k", status="failed", **own
        ),
        lambda: PromptBootstrapRun.objects.create(
            rewriter_id=version_id, target="text", operation_key="k", status="failed", **own
        ),
        lambda: EvalCase.objects.create(suite_id=suite_id, position=1, name="x", assertions=[], **own),
        lambda: EvalRun.objects.create(suite_id=suite_id, target="text", operation_key="k", **own),
    ]
    with stranger.at_work():
        for attempt in attempts:
            with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
                attempt()


def test_shared_rows_are_named_freely_and_added_to_by_nobody(owner: Person) -> None:
    with owner.at_work():
        shared = shared_prompt()
        PromptRun.objects.create(**run_fields(owner, shared))
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            PromptVersion.objects.create(**version_fields(owner, shared))
        with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
            Prompt.objects.create(key="for_all", name="x", organization=None)
