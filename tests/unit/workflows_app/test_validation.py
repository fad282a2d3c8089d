"""Findings about workflow documents, each at its exact JSON pointer."""

import copy
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts_app.tenancy.context import Tenant
from tests.factories.workflows import acting, owner
from workflows_app.contracts import ConfigError
from workflows_app.services.documents import document_parse
from workflows_app.services.seeds import seed_documents
from workflows_app.services.validation import MAX_DEPTH, config_validate, errors_only, pointer_of

pytestmark = pytest.mark.django_db

SPEC = json.loads((Path(__file__).parent / "spec_article.json").read_text(encoding="utf-8"))


def findings(document: Any, workspace: str = "") -> tuple[ConfigError, ...]:
    with acting(owner()):
        return config_validate(document, workspace=workspace)


def pointers(document: Any, workspace: str = "") -> list[str]:
    return [item.pointer for item in errors_only(findings(document, workspace))]


def changed(path: list[str | int], value: Any) -> Any:
    document = copy.deepcopy(SPEC)
    place = document
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return document


def test_the_documented_article_workflow_loads_as_it_stands() -> None:
    assert pointers(SPEC, "article") == []


def test_the_shipped_workflows_are_right() -> None:
    documents = seed_documents()
    assert sorted(document["workspace"] for document in documents) == ["article", "general", "prompt"]
    for document in documents:
        # Stages that a person chooses are not led to; nothing else is to be said.
        warned = {item.pointer.split("/")[1] for item in findings(document, document["workspace"])}
        assert pointers(document, document["workspace"]) == []
        assert warned <= {"stages"}


def test_the_shipped_article_workflow_extends_the_documented_one() -> None:
    shipped = next(document for document in seed_documents() if document["workspace"] == "article")
    for key, stage in SPEC["stages"].items():
        ours = [{name: step[name] for name in step if name != "with"} for step in shipped["stages"][key]["steps"]]
        theirs = [{name: step[name] for name in step if name != "with"} for step in stage["steps"]]
        assert ours == theirs
    assert sorted(shipped["stages"]) == ["A", "B", "C", "D", "E"]
    assert {key: stage.get("next") for key, stage in shipped["stages"].items()} == {
        "A": "D",
        "B": "D",
        "C": "D",
        "D": "E",
        "E": None,
    }


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        (["workspace"], "music", "/workspace"),
        (["version"], "1.0", "/version"),
        (["version"], 1, "/version"),
        (["stages"], {}, "/stages"),
        (["stages", "A", "steps"], [], "/stages/A/steps"),
        (["stages", "A", "steps", 2], "generate", "/stages/A/steps/2"),
        (["stages", "A", "steps", 2, "action"], "Generate!", "/stages/A/steps/2/action"),
        (["stages", "A", "steps", 2, "colour"], "red", "/stages/A/steps/2"),
        (["stages", "A", "steps", 2, "retry"], {"attempts": 99}, "/stages/A/steps/2/retry/attempts"),
        (["stages", "A", "steps", 2, "via"], "teleport", "/stages/A/steps/2/via"),
        (["stages", "A", "steps", 0, "action"], "save_nothing", "/stages/A/steps/0/action"),
        (["stages", "A", "steps", 2, "with"], "no_such_prompt", "/stages/A/steps/2/with"),
        (["stages", "A", "steps", 0, "with"], "draft_template", "/stages/A/steps/0/with"),
        (["stages", "D", "steps", 1, "with"], "no_such_suite", "/stages/D/steps/1/with"),
        (["stages", "A", "steps", 4, "params"], {"instruction": 7}, "/stages/A/steps/4/params/instruction"),
        (["stages", "A", "steps", 0, "params"], {"x": 1}, "/stages/A/steps/0/params"),
        (["stages", "A", "next"], "Z", "/stages/A/next"),
        (["stages", "A", "next"], "A", "/stages/A/next"),
        (["defaults", "start"], "Z", "/defaults/start"),
    ],
)
def test_an_error_names_its_place(path: list[str | int], value: Any, pointer: str) -> None:
    assert pointers(changed(path, value)) == [pointer]


def test_apply_needs_a_template() -> None:
    document = copy.deepcopy(SPEC)
    del document["stages"]["A"]["steps"][2]["with"]
    assert pointers(document) == ["/stages/A/steps/2"]


def test_a_document_for_another_workspace_is_refused() -> None:
    assert pointers(SPEC, "general") == ["/workspace"]


def test_all_errors_come_at_once() -> None:
    document = changed(["stages", "A", "steps", 2, "via"], "teleport")
    document["stages"]["B"]["next"] = "Z"
    document["defaults"]["start"] = "Q"
    assert sorted(pointers(document)) == ["/defaults/start", "/stages/A/steps/2/via", "/stages/B/next"]


def test_stages_in_a_circle_are_refused_at_each_link() -> None:
    document = copy.deepcopy(SPEC)
    for key, following in (("A", "B"), ("B", "D"), ("D", "B")):
        document["stages"][key]["next"] = following
    assert pointers(document) == ["/stages/B/next", "/stages/D/next"]


def test_a_stage_that_nothing_leads_to_is_only_a_warning() -> None:
    found = [item for item in findings(SPEC) if item.pointer in {"/stages/A", "/stages/B", "/stages/D"}]
    assert [(item.pointer, item.severity) for item in found] == [("/stages/B", "warning"), ("/stages/D", "warning")]


@pytest.mark.parametrize("document", [None, [], "text", 7])
def test_what_is_no_object_is_refused(document: Any) -> None:
    assert pointers(document) == [""]


def test_each_missing_member_is_named() -> None:
    assert sorted(pointers({"workspace": "article"})) == ["/defaults", "/stages", "/version"]
    document = copy.deepcopy(SPEC)
    del document["stages"]["B"]["steps"][1]["action"]
    assert pointers(document) == ["/stages/B/steps/1/action"]


def test_a_deep_document_is_refused_before_anything_walks_it() -> None:
    deep: Any = {}
    for _level in range(100_000):
        deep = {"a": deep}
    (error,) = findings(deep)
    assert (error.pointer, error.severity) == ("", "error")
    assert str(MAX_DEPTH) in error.message
    while deep:  # or Python's own destructor recurses
        deep = deep.pop("a")


def test_a_huge_document_is_refused() -> None:
    (error,) = findings(changed(["notes"], "x" * 300_000))
    assert (error.pointer, error.severity) == ("", "error")


def test_steps_of_one_action_get_keys_of_their_own() -> None:
    shipped = next(document for document in seed_documents() if document["workspace"] == "article")
    stage = document_parse(uuid.uuid4(), shipped).stages["C"]
    assert [step.key for step in stage.steps] == ["save_original", "review", "optimize", "review-2"]


def test_pointers_are_escaped() -> None:
    assert pointer_of("a/b", "c~d", 0) == "/a~1b/c~0d/0"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children, max_size=4),
    max_leaves=12,
)


@pytest.fixture
def tenant() -> Tenant:
    return owner()


@settings(max_examples=80, suppress_health_check=list(HealthCheck))
@given(
    path=st.sampled_from(
        [["stages"], ["stages", "A"], ["stages", "A", "steps"], ["stages", "A", "steps", 2], ["defaults"], ["version"]]
    ),
    value=json_values,
)
def test_no_document_breaks_the_validator(tenant: Tenant, path: list[str | int], value: Any) -> None:
    with acting(tenant):
        for item in config_validate(changed(path, value)):
            assert item.message
            assert item.pointer == "" or item.pointer.startswith("/")
