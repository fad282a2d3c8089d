"""Handlers by themselves: what they read, refuse and never do twice."""

import uuid
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from accounts_app.exceptions import InvalidInput
from accounts_app.tenancy.context import Tenant, bound
from prompts_app.selectors import prompts_visible, versions_of
from tests.factories.workflows import acting, owner
from workflows_app.contracts import Json, StepContext
from workflows_app.exceptions import StepFailed
from workflows_app.handlers.apply import apply
from workflows_app.handlers.finish import finish
from workflows_app.handlers.inputs import findings_of, id_of, options_of
from workflows_app.handlers.linter import linter, title_from
from workflows_app.handlers.saving import save_brief, save_original, save_version
from workflows_app.handlers.voice import Voice
from workflows_app.registry import handler_get, handler_names, step_handler

pytestmark = pytest.mark.usefixtures("committed_db")

SHIPPED = {"apply", "linter", "eval/run", "bootstrap/rewrite", "save_brief", "save_original", "save_version", "finish"}


class Said:
    """A publisher that remembers what readers would have."""

    def __init__(self) -> None:
        self.text = ""
        self.restarts = 0

    def publish(self, event_type: str, data: Json) -> None:
        raise AssertionError

    def delta(self, step: str, text: str) -> None:
        self.text += text

    def restart(self, step: str) -> None:
        self.text, self.restarts = "", self.restarts + 1

    def close(self, outcome: Json | None = None) -> None:
        raise AssertionError


def context(
    action: str = "save", workspace: str = "article", step_params: Json | None = None, **known: Any
) -> StepContext:
    return StepContext(
        run_id=uuid.uuid4(),
        step_key=action,
        action=action,
        via="",
        template="",
        params=step_params or {},
        attempt=1,
        idempotency_key=uuid.uuid4().hex,
        task_id=None,
        workspace_key=workspace,
        context=known,
        publisher=Said(),
        should_stop=lambda: False,
    )


@pytest.fixture
def tenant() -> Tenant:
    return owner()


def test_a_brief_is_needed() -> None:
    assert save_brief(context(brief="  tea  ")).set == {"brief": "tea"}
    for nothing in ("", "   ", None, 7):
        with pytest.raises(StepFailed):
            save_brief(context(brief=nothing))


def test_an_original_becomes_the_working_text() -> None:
    assert save_original(context(original="o", text="t")).set == {"original": "o", "text": "o"}
    assert save_original(context(text="t")).set == {"original": "t", "text": "t"}
    with pytest.raises(StepFailed):
        save_original(context())


def test_there_must_be_something_to_finish_with() -> None:
    assert finish(context(text="abc")).output == {"characters": 3}
    with pytest.raises(StepFailed):
        finish(context(brief="only a wish"))


def test_a_prompt_is_saved_once_however_often_the_step_runs(tenant: Tenant) -> None:
    ctx = context(workspace="prompt", text="Summarise.\n\n<text>{{ text }}</text>", title="Summaries\nof texts")
    with bound(tenant):
        first, again = save_version(ctx), save_version(ctx)
    assert first == again
    with acting(tenant):
        (prompt,) = prompts_visible().filter(organization__isnull=False)
        assert (prompt.name, prompt.workspace_key) == ("Summaries", "prompt")
        assert [spec["name"] for spec in versions_of(prompt).get().variables] == ["text"]
    later = replace(ctx, idempotency_key=uuid.uuid4().hex, context={**ctx.context, **first.set, "text": "Better."})
    with bound(tenant):
        assert save_version(later).output["number"] == 2
        assert save_version(later).output["number"] == 2


def test_the_topic_is_taken_from_the_brief(tenant: Tenant) -> None:
    with bound(tenant):
        result = linter(context("topic_select", brief="## Green tea\nfor beginners"))
        named = linter(context("topic_select", brief="tea", title="Mine"))
    assert (result.set["title"], result.output["target"]) == ("Green tea", "brief")
    assert named.set["title"] == named.set["topic"] == "Mine"


@pytest.mark.parametrize(
    ("brief", "title"),
    [
        ("Topic: Green tea\nReaders: all", "Green tea"),
        ("主题：绿茶\n读者：所有人", "绿茶"),
        ("\n\n> quoted", "quoted"),
        ("", ""),
        ("x" * 300, "x" * 119 + "…"),
    ],
)
def test_titles(brief: str, title: str) -> None:
    assert title_from(brief) == title


def test_parameters_of_the_advance_come_before_those_of_the_step() -> None:
    ctx = context(step_params={"model": "small", "max_tokens": 5}, params={"model": "large"})
    options = options_of(ctx)
    assert (options.model, options.max_tokens, options.operation_key) == ("large", 5, ctx.idempotency_key)
    odd = options_of(context(step_params={"model": 7, "max_tokens": True}))
    assert (odd.model, odd.max_tokens) == ("", None)


def test_what_a_run_carries_is_never_trusted_to_be_well_formed() -> None:
    assert findings_of(context(findings="none")) == []
    assert findings_of(context(findings=[{"code": "302"}, "odd"])) == [{"code": "302"}]
    assert id_of(context(prompt_id="odd"), "prompt_id") is None


def test_a_prompt_named_by_no_id_is_bad_input(tenant: Tenant) -> None:
    with bound(tenant), pytest.raises(InvalidInput) as caught:
        apply(context("apply", brief="tea", params={"prompt_id": "odd"}))
    assert [item.field for item in caught.value.details] == ["params.prompt_id"]


@pytest.mark.parametrize(("pieces", "restarts"), [(["a", "b"], 0), ([], 0), (["<a>", "b"], 1)])
def test_readers_end_with_the_true_text(pieces: list[str], restarts: int) -> None:
    said = Said()
    voice = Voice(replace(context(), publisher=said))
    for piece in pieces:
        voice.say(piece)
    voice.settle("ab")
    assert (said.text, said.restarts) == ("ab", restarts)


def test_every_handler_declares_schemas() -> None:
    assert set(handler_names()) >= SHIPPED
    for name in SHIPPED:
        handler = handler_get(name)
        assert handler is not None
        Draft202012Validator.check_schema(handler.params_schema)
        Draft202012Validator.check_schema(handler.output_schema)
        assert handler.function.__doc__


def test_a_handlers_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        step_handler("apply", output_schema={})(finish)
