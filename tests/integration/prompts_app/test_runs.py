"""Applying prompts through the gateway to the scripted upstream."""

from decimal import Decimal

import pytest
from django.utils import translation

from accounts_app.exceptions import DeepSpaceError, InvalidInput, NotFound
from accounts_app.tenancy.context import tenant_context
from billing_app.exceptions import InsufficientFunds
from prompts_app.contracts import PromptRunOutcome
from prompts_app.exceptions import PromptNotPublished, RunStopped
from prompts_app.models import Language, PromptRun, PromptVersion, RunStatus
from prompts_app.services.runs import prompt_apply
from tests.factories.accounts import Person, person
from tests.factories.prompts import options_of, prompt_of, version_of
from tests.support.upstream import Behaviour, ScriptedUpstream


def test_apply_streams_the_text_and_stores_run_with_tokens_and_cost(
    bound_writer: Person, upstream: ScriptedUpstream
) -> None:
    prompt = prompt_of(bound_writer)
    upstream.script("It is a drink.")
    deltas: list[str] = []
    outcome = prompt_apply(
        prompt_id=prompt.pk, variables={"question": "What is tea?"}, options=options_of(on_delta=deltas.append)
    )
    assert (outcome.text, "".join(deltas)) == ("It is a drink.", "It is a drink.")
    assert len(deltas) > 1
    run = PromptRun.objects.get(pk=outcome.run_id)
    assert (run.status, run.output, run.version_id) == (RunStatus.COMPLETED, outcome.text, outcome.version_id)
    assert (run.cost_usd, run.total_tokens) == (outcome.cost_usd, outcome.tokens.total)
    assert run.cost_usd > 0
    assert run.call_id is not None
    assert run.variables == {"question": {"chars": 12, "start": "What is tea?"}}
    sent = upstream.served[-1].messages
    assert sent[-1]["content"] == "<question>What is tea?</question>"


def test_same_operation_key_returns_the_stored_run_and_calls_nobody(
    bound_writer: Person, upstream: ScriptedUpstream
) -> None:
    prompt, options = prompt_of(bound_writer), options_of()
    first = prompt_apply(prompt_id=prompt.pk, variables={"question": "Why?"}, options=options)
    again = prompt_apply(prompt_id=prompt.pk, variables={"question": "Why?"}, options=options)
    assert (again.run_id, again.text, again.replayed) == (first.run_id, first.text, True)
    assert len(upstream.served) == 1


def test_a_run_lost_after_the_call_was_settled_is_stored_without_a_second_call(
    bound_writer: Person, upstream: ScriptedUpstream
) -> None:
    prompt, options = prompt_of(bound_writer), options_of()
    first = prompt_apply(prompt_id=prompt.pk, variables={"question": "Why?"}, options=options)
    PromptRun.objects.filter(pk=first.run_id).delete()
    again = prompt_apply(prompt_id=prompt.pk, variables={"question": "Why?"}, options=options)
    assert (again.text, again.cost_usd, again.replayed) == (first.text, first.cost_usd, True)
    assert len(upstream.served) == 1


def test_should_stop_ends_the_call_and_keeps_what_had_come(bound_writer: Person, upstream: ScriptedUpstream) -> None:
    prompt, seen = prompt_of(bound_writer), list[str]()
    upstream.behave(Behaviour(text="one two three four five six seven eight nine ten", delay=20))
    options = options_of(on_delta=seen.append, should_stop=lambda: len(seen) >= 2)
    with pytest.raises(RunStopped):
        prompt_apply(prompt_id=prompt.pk, variables={"question": "Count."}, options=options)
    run = PromptRun.objects.get(operation_key=options.operation_key)
    assert (run.status, run.error_code) == (RunStatus.STOPPED, "run_stopped")
    assert run.output == "".join(seen) != ""
    assert upstream.wait_idle()[-1].outcome == "client_gone"


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (Behaviour(status=400, error_code="content_policy_violation"), "upstream_refused"),
        (Behaviour(text="one two three four five", cut_after=2), "upstream_cut"),
        (Behaviour(text=""), "empty_answer"),
    ],
)
def test_a_failed_call_leaves_a_failed_run_that_a_retry_completes(
    bound_writer: Person, upstream: ScriptedUpstream, behaviour: Behaviour, code: str
) -> None:
    prompt, options = prompt_of(bound_writer), options_of()
    upstream.behave(behaviour)
    with pytest.raises(DeepSpaceError) as caught:
        prompt_apply(prompt_id=prompt.pk, variables={"question": "Why?"}, options=options)
    assert caught.value.code == code
    run = PromptRun.objects.get(operation_key=options.operation_key)
    assert (run.status, run.error_code) == (RunStatus.FAILED, code)
    outcome = prompt_apply(prompt_id=prompt.pk, variables={"question": "Why?"}, options=options_of())
    assert outcome.text


def test_upstream_down_is_told_and_recorded(bound_writer: Person, upstream: ScriptedUpstream) -> None:
    prompt, options = prompt_of(bound_writer), options_of()
    with upstream.down(), pytest.raises(DeepSpaceError) as caught:
        prompt_apply(prompt_id=prompt.pk, variables={"question": "Why?"}, options=options)
    assert (caught.value.code, caught.value.status) == ("model_unavailable", 503)
    assert PromptRun.objects.get(operation_key=options.operation_key).status == RunStatus.FAILED


@pytest.mark.django_db
def test_no_funds_is_told_and_nothing_is_sent(upstream: ScriptedUpstream) -> None:
    poor = person()
    prompt = prompt_of(poor)
    with tenant_context(poor.organization_id, poor.id, poor.role):
        with pytest.raises(InsufficientFunds):
            prompt_apply(prompt_id=prompt.pk, variables={"question": "Why?"}, options=options_of())
        run = PromptRun.objects.get(prompt=prompt)
    assert upstream.served == []
    assert (run.status, run.error_code, run.cost_usd) == (RunStatus.FAILED, "insufficient_funds", Decimal(0))


@pytest.mark.usefixtures("upstream")
@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({}, "variables.question"),
        ({"question": "a", "tone": "b"}, "variables.tone"),
        ({"question": "\x00"}, "variables.question"),
    ],
)
def test_wrong_variables_are_named_and_nothing_is_stored(
    bound_writer: Person, variables: dict[str, str], field: str
) -> None:
    prompt = prompt_of(bound_writer)
    with pytest.raises(InvalidInput) as caught:
        prompt_apply(prompt_id=prompt.pk, variables=variables, options=options_of())
    assert caught.value.details[0].field == field
    assert not PromptRun.objects.filter(prompt=prompt).exists()


@pytest.mark.usefixtures("upstream")
def test_key_means_the_own_prompt_before_the_shared_one(bound_writer: Person) -> None:
    def apply() -> PromptRunOutcome:
        return prompt_apply(prompt_key="general_answer", variables={"brief": "What is tea?"}, options=options_of())

    shared = apply()
    own = prompt_of(
        bound_writer,
        key="general_answer",
        messages=[{"role": "user", "content": "Answer with one word: {{ brief }}"}],
        variables=None,
    )
    mine = apply()
    assert PromptVersion.objects.get(pk=shared.version_id).organization_id is None
    assert PromptVersion.objects.get(pk=mine.version_id).prompt_id == own.pk


@pytest.mark.usefixtures("upstream")
@pytest.mark.parametrize(
    ("brief", "active", "language"),
    [
        ("茶的历史", "en", Language.CHINESE),
        ("the history of tea", "zh-hans", Language.ENGLISH),
        ("1 2 3", "zh-hans", Language.CHINESE),
    ],
)
def test_the_language_of_the_variables_chooses_the_version(
    bound_writer: Person, brief: str, active: str, language: str
) -> None:
    with translation.override(active):
        outcome = prompt_apply(prompt_key="brief_generator", variables={"brief": brief}, options=options_of())
    assert PromptVersion.objects.get(pk=outcome.version_id).language == language


@pytest.mark.usefixtures("upstream")
def test_a_draft_runs_only_when_it_is_named(bound_writer: Person) -> None:
    prompt = prompt_of(bound_writer, publish=False)
    with pytest.raises(PromptNotPublished):
        prompt_apply(prompt_id=prompt.pk, variables={"question": "Why?"}, options=options_of())
    draft = version_of(bound_writer, prompt)
    outcome = prompt_apply(
        prompt_id=prompt.pk, version_id=draft.pk, variables={"question": "Why?"}, options=options_of()
    )
    assert outcome.version_id == draft.pk


@pytest.mark.usefixtures("upstream")
def test_someone_elses_prompt_and_version_are_not_there(bound_writer: Person) -> None:
    theirs = prompt_of(person())
    own = prompt_of(bound_writer)
    with pytest.raises(NotFound):
        prompt_apply(prompt_id=theirs.pk, variables={"question": "Why?"}, options=options_of())
    with pytest.raises(NotFound):
        prompt_apply(prompt_id=own.pk, version_id=theirs.pk, variables={"question": "Why?"}, options=options_of())
