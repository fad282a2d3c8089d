"""The whole format: what is read from it, and a corpus of documents that are wrong, each at its place."""

import copy
import json
import re
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from accounts_app.tenancy.context import Tenant
from gateway_app.selectors import model_list
from tests.factories.workflows import acting, made_up_config, owner
from workflows_app.contracts import ConfigError, Limits, ParallelSpec, Transition
from workflows_app.handlers.evaluate import suite_known
from workflows_app.services.conditions import expression_problem
from workflows_app.services.documents import document_parse
from workflows_app.services.ordering import document_ordered
from workflows_app.services.seeds import seed_documents
from workflows_app.services.validation import config_validate, workflow_schema

pytestmark = pytest.mark.django_db

WHOLE: dict[str, Any] = {
    "$schema": "https://deepspace.example/api/v1/schemas/workflow.json",
    "workspace": "general",
    "version": "1.0.0",
    "name": "Newsletter",
    "description": "Everything that a document can say.",
    "notes": "The first one.",
    "limits": {"max_cost": "0.50", "max_steps": 40, "max_duration": 172800, "max_runs": 5},
    "stages": {
        "A": {
            "name": "Write",
            "parallel": {"over": "context.topics", "as": "topic", "into": "drafts", "max": 3},
            "next": "B",
            "steps": [
                {
                    "action": "generate",
                    "via": "apply",
                    "with": "draft_template",
                    "params": {"tone": "calm"},
                    "when": "has(context.topic)",
                    "retry": {"max_attempts": 4, "backoff": 1, "jitter": 0.5, "retry_on": ["rate_limited"]},
                    "timeout": 120,
                    "heartbeat": 30,
                    "on_error": {"goto": "C"},
                    "eval_suite_id": "article_basics",
                    "concurrency_key": "writers",
                    "concurrency": 2,
                }
            ],
        },
        "B": {
            "name": "Choose",
            "next": [{"when": "visits.B < 3 && context.?again.orValue(false)", "to": "A"}, {"to": "C"}],
            "steps": [
                {"action": "review", "via": "linter", "on_error": "continue"},
                {"action": "pause", "via": "wait", "params": {"seconds": 60}},
                {"action": "until", "via": "wait", "params": {"until": "now + duration('1h')"}},
                {"action": "wait", "params": {"signal": "chosen", "timeout": 3600}},
                {"action": "child", "via": "workflow/run", "with": "General", "params": {"input": {}, "into": "child"}},
                {"action": "approve", "params": {"message": "Send it?", "timeout": 86400}},
            ],
        },
        "C": {"name": "Finish", "steps": [{"action": "finish", "retry": {"attempts": 2}}, {"action": "finish"}]},
    },
    "defaults": {"start": "A"},
}


@pytest.fixture
def tenant() -> Tenant:
    return owner()


def findings(tenant: Tenant, document: Any) -> tuple[ConfigError, ...]:
    with acting(tenant):
        return config_validate(document)


def changed(**changes: Any) -> Any:
    """The whole document with values put at paths: ``changed(**{"/stages/A/next": "Z"})``; ``...`` takes one away."""
    document = copy.deepcopy(WHOLE)
    for pointer, value in changes.items():
        *path, last = [int(part) if part.isdigit() else part for part in pointer.split("/")[1:]]
        place: Any = document
        for part in path:
            place = place[part]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return document


def pointers(tenant: Tenant, document: Any, severity: str = "error") -> list[str]:
    return [item.pointer for item in findings(tenant, document) if item.severity == severity]


def test_the_whole_format_is_right_and_draws_no_warning(tenant: Tenant) -> None:
    assert findings(tenant, WHOLE) == ()


def test_every_field_is_read() -> None:
    config = document_parse(uuid.uuid4(), WHOLE)
    assert config.limits == Limits(Decimal("0.50"), 40, 172800, 5)
    first, evaluated = config.stages["A"].steps
    assert (first.key, first.handler, first.template, first.params) == (
        "generate",
        "apply",
        "draft_template",
        {"tone": "calm"},
    )
    assert (first.attempts, first.backoff, first.jitter, first.retry_on) == (4, 1.0, 0.5, ("rate_limited",))
    assert (first.when, first.timeout, first.heartbeat) == ("has(context.topic)", 120, 30)
    assert (first.on_error, first.goto, first.concurrency_key, first.concurrency) == ("goto", "C", "writers", 2)
    assert (evaluated.key, evaluated.handler, evaluated.template) == ("generate-eval", "eval/run", "article_basics")
    assert evaluated.when == first.when
    assert config.stages["A"].parallel == ParallelSpec("context.topics", "topic", "drafts", 3)
    assert config.stages["B"].transitions == (
        Transition("A", "visits.B < 3 && context.?again.orValue(false)"),
        Transition("C"),
    )
    assert [step.on_error for step in config.stages["B"].steps][:2] == ["continue", "fail"]
    assert [(step.key, step.attempts) for step in config.stages["C"].steps] == [("finish", 2), ("finish-2", 0)]


def test_defaults_are_those_of_the_engine() -> None:
    document = changed(**{"/limits": ..., "/stages/A/parallel": {"over": "context.l"}, "/stages/B/next": ...})
    config = document_parse(uuid.uuid4(), document)
    assert config.limits == Limits()
    assert config.stages["A"].parallel == ParallelSpec("context.l")
    assert config.stages["B"].transitions == ()
    assert document_parse(uuid.uuid4(), changed(**{"/limits/max_cost": 0.1})).limits.max_cost == Decimal("0.1")


STEP = "/stages/A/steps/0"
WAITING = "/stages/B/steps/1"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"/colour": "red"}, [""]),
        ({"/name": "news@1"}, ["/name"]),
        ({"/name": " "}, ["/name"]),
        ({"/limits/max_cost": "-1"}, ["/limits/max_cost"]),
        ({"/limits/max_cost": "0.00"}, ["/limits/max_cost"]),
        ({"/limits/max_cost": 0}, ["/limits/max_cost"]),
        ({"/limits/max_cost": 1e9}, ["/limits/max_cost"]),
        ({"/limits/max_steps": 0}, ["/limits/max_steps"]),
        ({"/limits/max_duration": 1.5}, ["/limits/max_duration"]),
        ({"/limits/max_runs": True}, ["/limits/max_runs"]),
        ({"/limits/max_tokens": 5}, ["/limits"]),
        ({"/defaults/start": "Z"}, ["/defaults/start"]),
        ({"/stages/A/next": "Z"}, ["/stages/A/next"]),
        ({"/stages/A/next": 7}, ["/stages/A/next"]),
        ({"/stages/A/next": []}, ["/stages/A/next"]),
        ({"/stages/A/next": [{"when": "true"}]}, ["/stages/A/next/0/to"]),
        (
            {"/stages/A/next": [{"to": "Z"}, {"when": "1 +", "to": "B"}]},
            ["/stages/A/next/0/to", "/stages/A/next/1/when"],
        ),
        ({"/stages/B/next/0/when": "visits.B"}, ["/stages/B/next/0/when"]),
        ({"/stages/B/next/0/when": "stage + 1 == 2"}, ["/stages/B/next/0/when"]),
        ({"/stages/B/next/0/when": ""}, ["/stages/B/next/0/when"]),
        ({"/stages/B/next/0/when": "x" * 1001}, ["/stages/B/next/0/when"]),
        ({"/stages/A/parallel/over": "stage"}, ["/stages/A/parallel/over"]),
        ({"/stages/A/parallel/over": ...}, ["/stages/A/parallel/over"]),
        ({"/stages/A/parallel/as": "drafts"}, ["/stages/A/parallel/into"]),
        ({"/stages/A/parallel/as": "two words"}, ["/stages/A/parallel/as"]),
        ({"/stages/A/parallel/max": 0}, ["/stages/A/parallel/max"]),
        ({"/stages/A/steps": [{}]}, ["/stages/A/steps/0/action"]),
        ({f"{STEP}/via": "teleport"}, [f"{STEP}/via"]),
        ({f"{STEP}/with": "no_such_prompt"}, [f"{STEP}/with"]),
        ({f"{STEP}/when": "context.n + 1"}, [f"{STEP}/when"]),
        ({f"{STEP}/when": "unknown == 1"}, [f"{STEP}/when"]),
        ({f"{STEP}/retry": {}}, [f"{STEP}/retry"]),
        ({f"{STEP}/retry/attempts": 2}, [f"{STEP}/retry/attempts"]),
        ({f"{STEP}/retry/max_attempts": 21}, [f"{STEP}/retry/max_attempts"]),
        ({f"{STEP}/retry/backoff": -1}, [f"{STEP}/retry/backoff"]),
        ({f"{STEP}/retry/jitter": 1.1}, [f"{STEP}/retry/jitter"]),
        ({f"{STEP}/retry/retry_on": ["a", "a"]}, [f"{STEP}/retry/retry_on"]),
        ({f"{STEP}/retry/retry_on": ["Rate Limited"]}, [f"{STEP}/retry/retry_on/0"]),
        ({f"{STEP}/timeout": 0}, [f"{STEP}/timeout"]),
        ({f"{STEP}/timeout": 3601}, [f"{STEP}/timeout"]),
        ({f"{STEP}/on_error": "ignore"}, [f"{STEP}/on_error"]),
        ({f"{STEP}/on_error": {}}, [f"{STEP}/on_error/goto"]),
        ({f"{STEP}/on_error/goto": "Z"}, [f"{STEP}/on_error/goto"]),
        ({f"{STEP}/fallback_model": "no-such-model"}, [f"{STEP}/fallback_model"]),
        ({f"{STEP}/params/model": "no-such-model"}, [f"{STEP}/params/model"]),
        ({f"{STEP}/eval_suite_id": "no_such_suite"}, [f"{STEP}/eval_suite_id"]),
        ({f"{STEP}/eval_suite_id": str(uuid.uuid4())}, [f"{STEP}/eval_suite_id"]),
        ({f"{STEP}/concurrency_key": ...}, [f"{STEP}/concurrency"]),
        ({f"{STEP}/concurrency": 0}, [f"{STEP}/concurrency"]),
        ({f"{STEP}/concurrency_key": "a b"}, [f"{STEP}/concurrency_key"]),
        ({"/stages/B/steps/0/concurrency_key": "writers"}, ["/stages/B/steps/0/concurrency"]),
        ({f"{WAITING}/params": {}}, [f"{WAITING}/params"]),
        ({f"{WAITING}/params": ...}, [f"{WAITING}/params"]),
        ({f"{WAITING}/params": {"seconds": 1, "signal": "x"}}, [f"{WAITING}/params"]),
        ({f"{WAITING}/params": {"seconds": 1, "timeout": 5}}, [f"{WAITING}/params/timeout"]),
        ({f"{WAITING}/params": {"seconds": 0}}, [f"{WAITING}/params/seconds"]),
        ({f"{WAITING}/params": {"until": "1 + 1"}}, [f"{WAITING}/params/until"]),
        ({f"{WAITING}/params": {"until": 5}}, [f"{WAITING}/params/until"]),
        ({f"{WAITING}/params": {"signal": "no spaces"}}, [f"{WAITING}/params/signal"]),
        ({f"{WAITING}/with": "draft_template"}, [f"{WAITING}/with"]),
        ({"/stages/B/steps/5/params/timeout": "soon"}, ["/stages/B/steps/5/params/timeout"]),
        ({"/stages/B/steps/5/params/who": "me"}, ["/stages/B/steps/5/params"]),
        ({"/stages/B/steps/4/with": ...}, ["/stages/B/steps/4/with"]),
        ({"/stages/B/steps/4/with": "Newsletter"}, ["/stages/B/steps/4/with"]),
        ({"/stages/B/steps/4/with": "Newsletter@1.0.0"}, ["/stages/B/steps/4/with"]),
        ({"/stages/B/steps/4/params/input": []}, ["/stages/B/steps/4/params/input"]),
        ({"/stages/C/next": "A", "/stages/B/next": "C"}, ["/stages/A/next", "/stages/B/next", "/stages/C/next"]),
        ({"/stages/C/next": [{"when": " true ", "to": "C"}]}, ["/stages/A/next", "/stages/B/next", "/stages/C/next"]),
        ({"/notes": "nul \0"}, [""]),
        ({"/notes": "half \ud800"}, [""]),
        ({f"{STEP}/params": {"x": float("nan")}}, [""]),
    ],
)
def test_a_wrong_document_is_told_its_place(tenant: Tenant, changes: Any, expected: list[str]) -> None:
    found = findings(tenant, changed(**changes))
    assert [item.pointer for item in found if item.severity == "error"] == expected
    assert all(item.message for item in found)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"/limits/max_cost": ...}, ["/limits/max_cost"]),
        ({"/limits": {}}, ["/limits/max_cost", "/limits/max_steps"]),
        ({"/limits/max_duration": 60}, [f"{STEP}/timeout"]),
        ({"/limits/max_steps": 1, "/defaults/start": "B"}, ["/limits/max_steps"]),
        ({f"{STEP}/retry": ...}, [STEP]),
        ({f"{STEP}/timeout": ...}, [STEP]),
        ({f"{STEP}/heartbeat": 120}, [f"{STEP}/heartbeat"]),
        ({"/stages/B/steps/5/params": {}}, ["/stages/B/steps/5"]),
        ({"/stages/B/steps/5/timeout": 60}, ["/stages/B/steps/5/timeout"]),
        ({"/stages/B/steps/5/concurrency_key": "people"}, ["/stages/B/steps/5/concurrency_key"]),
        ({"/stages/B/steps/3/params": {"signal": "x"}}, ["/stages/B/steps/3/params"]),
        ({"/stages/B/steps/4/with": "no such workflow"}, ["/stages/B/steps/4/with"]),
        ({"/stages/B/steps/4/with": str(uuid.uuid4())}, ["/stages/B/steps/4/with"]),
        ({"/stages/B/steps/4/with": "Newsletter", "/stages/B/steps/4/when": "cost < 1"}, ["/stages/B/steps/4/with"]),
        ({"/stages/B/next/0/when": "visits.Q < 3"}, ["/stages/B/next/0/when"]),
        ({"/stages/B/next/0": {"to": "A", "when": "true"}}, ["/stages/B/next/1"]),
        ({"/stages/B/next": ..., f"{STEP}/on_error": "fail"}, ["/stages/C"]),
    ],
)
def test_a_careless_document_is_warned(tenant: Tenant, changes: Any, expected: list[str]) -> None:
    # A stage that is always come back to is an error as well, which is not what is looked at here.
    assert sorted(pointers(tenant, changed(**changes), "warning")) == sorted(expected)


def test_a_model_of_the_catalogue_may_stand_in(tenant: Tenant) -> None:
    with acting(tenant):
        priced = next(card for card in model_list() if card.price is not None and card.kind == "chat")
    found = findings(tenant, changed(**{f"{STEP}/fallback_model": priced.key}))
    assert [item for item in found if item.severity == "error"] == []
    useless = findings(tenant, changed(**{"/stages/C/steps/0/fallback_model": priced.key}))
    assert "/stages/C/steps/0/fallback_model" in [item.pointer for item in useless]


def test_a_child_may_be_named_by_version_or_id(tenant: Tenant) -> None:
    config = made_up_config(tenant, "finish")
    for reference in (f"made up@{config.version}", "made up", str(config.pk)):
        assert pointers(tenant, changed(**{"/stages/B/steps/4/with": reference}), "warning") == []
    assert pointers(tenant, changed(**{"/stages/B/steps/4/with": "made up@9.9.9"}), "warning") != []


def test_a_circle_with_a_conditional_way_out_is_fine(tenant: Tenant) -> None:
    stages = {"/stages/C/next": [{"when": "visits.C < 3", "to": "B"}]}
    assert pointers(tenant, changed(**stages)) == []


def test_an_island_of_stages_is_told_once(tenant: Tenant) -> None:
    island = {
        "/stages/X": {"name": "X", "next": [{"when": "cost < 1", "to": "Y"}], "steps": [{"action": "finish"}]},
        "/stages/Y": {"name": "Y", "next": "Z", "steps": [{"action": "finish"}]},
        "/stages/Z": {"name": "Z", "steps": [{"action": "finish"}]},
    }
    assert pointers(tenant, changed(**island), "warning") == ["/stages/X"]


def test_errors_are_not_hidden_behind_warnings(tenant: Tenant) -> None:
    many = [{"action": "generate", "via": "apply", "with": "draft_template"}] * 40
    stages = {f"/stages/S{number}": {"name": "S", "steps": many} for number in range(6)}
    found = findings(tenant, changed(**stages, **{"/stages/C/next": "Q"}))
    assert len(found) == 100
    assert (found[0].pointer, found[0].severity) == ("/stages/C/next", "error")


def test_a_suite_may_be_named_by_its_id(tenant: Tenant) -> None:
    from prompts_app.selectors import suite_by_key

    with acting(tenant):
        assert suite_known(str(suite_by_key("article_basics").pk))
        assert not suite_known(str(uuid.uuid4()))


def test_the_schema_is_one_and_says_what_each_field_is_for() -> None:
    schema = workflow_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == "/api/v1/schemas/workflow.json"
    step = schema["$defs"]["step"]["properties"]
    assert all("description" in field for field in step.values())
    assert set(step) >= {"action", "via", "with", "when", "retry", "timeout", "heartbeat", "on_error", "fallback_model"}


def documented() -> list[Any]:
    text = (Path(__file__).parents[3] / "docs" / "workflows.md").read_text(encoding="utf-8")
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


def test_every_shipped_workflow_and_documented_example_is_right(tenant: Tenant) -> None:
    whole = [document for document in documented() if "stages" in document]
    assert len(whole) >= 3
    for document in [*seed_documents(), *whole]:
        assert Draft202012Validator(workflow_schema()).is_valid(document)
        assert pointers(tenant, document) == []


def test_every_documented_fragment_has_the_form_of_the_schema() -> None:
    schema = workflow_schema()
    forms = {"steps": "stage", "action": "step"}
    fragments = [piece for piece in documented() if "stages" not in piece]
    assert fragments
    for piece in fragments:
        form = next(forms[name] for name in forms if name in piece)
        validator = Draft202012Validator({"$ref": f"#/$defs/{form}", "$defs": schema["$defs"]})
        assert [error.message for error in validator.iter_errors(piece)] == []


def test_the_documented_conditions_are_conditions() -> None:
    text = (Path(__file__).parents[3] / "docs" / "workflows.md").read_text(encoding="utf-8")
    table = text.split("| to say | write |")[1].split("\n\n")[0].replace("\\|", "|")
    expressions = [item for item in re.findall(r"`([^`]+)`", table) if not item.startswith(".")]
    assert len(expressions) > 15
    assert {item: expression_problem(item) for item in expressions} == dict.fromkeys(expressions)


def test_a_document_is_shown_as_a_person_would_write_it() -> None:
    stored = json.loads(json.dumps(WHOLE, sort_keys=True))
    stages = {key: stored["stages"][key] for key in ("C", "B", "A")} | {"0": {"name": "Lost", "steps": [], "next": "Z"}}
    ordered = document_ordered(stored | {"stages": stages, "more": 1})
    assert list(ordered)[:4] == ["$schema", "workspace", "name", "version"]
    assert list(ordered)[-1] == "more"
    assert list(ordered["stages"]) == ["A", "B", "C", "0"]
    assert list(ordered["stages"]["A"]["steps"][0])[:5] == ["action", "via", "with", "params", "when"]
    assert document_ordered(stored) == WHOLE
    for shapeless in (
        {},
        {"stages": 7},
        {"stages": {"A": 1, "B": {"next": [3], "steps": "x", "parallel": 0}}, "defaults": 1},
    ):
        assert document_ordered(shapeless) == shapeless
