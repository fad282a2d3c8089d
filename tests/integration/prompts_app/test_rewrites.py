"""Rewriting texts, and evals, as the workflows use them."""

from decimal import Decimal

import pytest

from accounts_app.exceptions import InvalidInput
from prompts_app.contracts import LintDocument
from prompts_app.exceptions import RewriteRefused, RunStopped
from prompts_app.models import EvalRun, PromptBootstrapRun, PromptVersion, RewriteTarget, RunStatus
from prompts_app.services.evals import eval_run
from prompts_app.services.linter import lint
from prompts_app.services.rewrites import text_rewrite
from prompts_app.services.suites import CaseDraft
from tests.factories.accounts import Person
from tests.factories.prompts import options_of, prompt_of, suite_of
from tests.support.upstream import Behaviour, ScriptedUpstream

TEXT = "Tea is made of leaves, water etc.\nAnd then it was"


def test_text_is_rewritten_by_findings_and_the_row_says_how(bound_writer: Person, upstream: ScriptedUpstream) -> None:
    findings = lint(LintDocument("text", text=TEXT))
    upstream.script("Tea is made of leaves and water.")
    outcome = text_rewrite(text=TEXT, findings=findings, instruction="Be brief.", options=options_of())
    assert outcome.text == "Tea is made of leaves and water."
    row = PromptBootstrapRun.objects.get(pk=outcome.rewrite_id)
    assert (row.target, row.source_text, row.result_text) == (RewriteTarget.TEXT, TEXT, outcome.text)
    assert [item["code"] for item in row.findings] == ["302", "606"]
    assert row.cost_usd == outcome.cost_usd > 0
    assert PromptVersion.objects.get(pk=outcome.version_id).prompt.key == "text_optimizer"
    asked = upstream.served[-1].messages[-1]["content"]
    assert TEXT in asked
    assert "(line 2, column 1) The text seems to be cut off here." in asked
    assert "Be brief." in asked


def test_findings_may_come_back_from_a_stored_run(bound_writer: Person, upstream: ScriptedUpstream) -> None:
    stored = [item.as_json() for item in lint(LintDocument("text", text=TEXT))]
    outcome = text_rewrite(text=TEXT, findings=stored, options=options_of())
    assert PromptBootstrapRun.objects.get(pk=outcome.rewrite_id).findings == stored


def test_same_operation_key_rewrites_once(bound_writer: Person, upstream: ScriptedUpstream) -> None:
    options = options_of()
    first = text_rewrite(text=TEXT, findings=(), options=options)
    again = text_rewrite(text=TEXT, findings=(), options=options)
    assert (again.rewrite_id, again.text, again.replayed) == (first.rewrite_id, first.text, True)
    assert len(upstream.served) == 1


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("<text>\nTea.\n</text>", "Tea."),
        ("```markdown\n# Tea\n\nGood.\n```", "# Tea\n\nGood."),
        ("  # Tea  ", "# Tea"),
    ],
)
def test_wrapping_around_the_answer_is_taken_off(
    bound_writer: Person, upstream: ScriptedUpstream, answer: str, text: str
) -> None:
    upstream.script(answer)
    assert text_rewrite(text="Tea", findings=(), options=options_of()).text == text


def test_an_answer_cut_off_before_the_sources_length_is_refused(
    bound_writer: Person, upstream: ScriptedUpstream
) -> None:
    upstream.behave(Behaviour(text="Tea is", finish_reason="length"))
    options = options_of()
    with pytest.raises(RewriteRefused):
        text_rewrite(text=TEXT, findings=(), options=options)
    row = PromptBootstrapRun.objects.get(operation_key=options.operation_key)
    assert (row.status, row.result_text) == (RunStatus.FAILED, "Tea is")
    upstream.behave(Behaviour(text=TEXT + " made", finish_reason="length"))
    assert text_rewrite(text=TEXT, findings=(), options=options_of()).finish_reason == "length"


def test_a_stopped_rewrite_is_recorded_as_stopped(bound_writer: Person, upstream: ScriptedUpstream) -> None:
    upstream.behave(Behaviour(text="one two three four five six", delay=20))
    options = options_of(should_stop=lambda: True)
    with pytest.raises(RunStopped):
        text_rewrite(text=TEXT, findings=(), options=options)
    assert PromptBootstrapRun.objects.get(operation_key=options.operation_key).status == RunStatus.STOPPED


@pytest.mark.usefixtures("upstream")
@pytest.mark.parametrize(
    ("text", "instruction", "field"),
    [(" ", "", "text"), ("x" * 200_001, "", "text"), ("x", "y" * 4_001, "instruction")],
)
def test_wrong_input_is_named(bound_writer: Person, text: str, instruction: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        text_rewrite(text=text, findings=(), instruction=instruction, options=options_of())
    assert caught.value.details[0].field == field


def test_an_own_rewriting_prompt_takes_the_shared_ones_place(bound_writer: Person, upstream: ScriptedUpstream) -> None:
    own = prompt_of(
        bound_writer,
        key="text_optimizer",
        messages=[{"role": "user", "content": "Answer with a list:\n{{ text }}"}],
        variables=None,
    )
    outcome = text_rewrite(text=TEXT, findings=(), options=options_of())
    assert PromptVersion.objects.get(pk=outcome.version_id).prompt_id == own.pk
    assert upstream.served[-1].messages == [{"role": "user", "content": f"Answer with a list:\n{TEXT}"}]


def test_eval_counts_errors_apart_and_is_stored_once(bound_writer: Person, upstream: ScriptedUpstream) -> None:
    suite = suite_of(
        bound_writer,
        CaseDraft("holds", [{"type": "icontains", "value": "tea"}]),
        CaseDraft("fails", [{"type": "icontains", "value": "tea"}, {"type": "contains", "value": "milk"}]),
    )
    suite.cases.filter(position=1).update(assertions=[{"type": "regex", "value": "("}])
    options = options_of()
    first = eval_run(suite_id=suite.pk, text="Green tea.", options=options)
    again = eval_run(suite_id=suite.pk, text="Green tea.", options=options)
    assert (first.passed, first.failed, first.errors, first.pass_rate) == (0, 1, 1, Decimal(0))
    assert [result.outcome for result in first.cases[1].assertions] == ["passed", "failed"]
    assert again == first
    assert EvalRun.objects.filter(suite=suite).count() == 1


def test_eval_of_a_version_stops_when_it_is_told_to(bound_writer: Person, upstream: ScriptedUpstream) -> None:
    prompt, suite = prompt_of(bound_writer), suite_of(bound_writer)
    options = options_of(should_stop=lambda: True)
    with pytest.raises(RunStopped):
        eval_run(suite_id=suite.pk, prompt_version_id=prompt.versions.get().pk, options=options)
    assert not EvalRun.objects.filter(suite=suite).exists()


def test_eval_with_the_model_down_is_all_errors_and_no_rate(bound_writer: Person, upstream: ScriptedUpstream) -> None:
    prompt, suite = prompt_of(bound_writer), suite_of(bound_writer)
    with upstream.down():
        outcome = eval_run(suite_id=suite.pk, prompt_version_id=prompt.versions.get().pk, options=options_of())
    assert (outcome.errors, outcome.failed, outcome.pass_rate) == (1, 0, None)
    assert outcome.cases[0].error_code == "model_unavailable"


def test_an_empty_suite_judges_nothing(bound_writer: Person) -> None:
    suite = suite_of(bound_writer)
    suite.cases.all().delete()
    with pytest.raises(InvalidInput):
        eval_run(suite_id=suite.pk, text="Tea.", options=options_of())
