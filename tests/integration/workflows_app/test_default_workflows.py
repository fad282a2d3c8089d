"""The shipped workflows with their real steps, prompts and ledger; only the model is scripted."""

import uuid
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from accounts_app.tenancy.context import Tenant, bound
from billing_app.selectors import wallet_summary
from gateway_app.services.streams import stream_open
from tests.factories.workflows import acting
from tests.support.accounts import account_create
from tests.support.upstream import Behaviour, ScriptedUpstream
from workflows_app.contracts import Json, RunDetail
from workflows_app.selectors import run_get, run_steps
from workflows_app.services.configs import config_for
from workflows_app.services.controls import run_retry
from workflows_app.services.execution import run_advance
from workflows_app.services.runs import run_start

pytestmark = pytest.mark.usefixtures("committed_db", "upstream")

ARTICLE = "# Tea\n\nTea is a drink. It is made from leaves.\n\n## Making it\n\nPour hot water over 2 g of leaves."


def stage(tenant: Tenant, workspace: str, key: str, context: Json) -> RunDetail:
    """Run one stage to its end."""
    subject = uuid.uuid4()
    with acting(tenant):
        config = config_for(workspace)
        ref = run_start(
            config_id=config.id,
            workspace_key=workspace,
            stage=key,
            subject_id=subject,
            context=context,
            stream_id=stream_open(kind="run", subject_id=subject),
            key=uuid.uuid4().hex,
        )
    return advanced(tenant, ref.id)


def advanced(tenant: Tenant, run_id: UUID) -> RunDetail:
    with bound(tenant):
        run_advance(run_id=run_id)
    with acting(tenant):
        return run_get(run_id)


def outputs(tenant: Tenant, run: RunDetail) -> dict[str, Any]:
    with acting(tenant):
        return {step.key: step.output for step in run_steps(run.id) if step.status == "completed"}


@pytest.fixture
def tenant() -> Tenant:
    return account_create(balance=10).tenant


def balance(tenant: Tenant) -> Decimal:
    assert tenant.organization_id is not None
    with acting(tenant):
        return wallet_summary(tenant.organization_id).balance


def test_a_brief_becomes_a_reviewed_and_optimized_article(tenant: Tenant, upstream: ScriptedUpstream) -> None:
    upstream.script(ARTICLE, ARTICLE + "\n\nEnjoy.")
    run = stage(tenant, "article", "A", {"brief": "An article about green tea for beginners."})
    assert (run.status, run.error) == ("completed", None)
    assert run.context["text"] == ARTICLE + "\n\nEnjoy."
    assert run.context["title"] == "An article about green tea for beginners."
    made = outputs(tenant, run)
    assert list(made) == ["save_brief", "topic_select", "generate", "review", "optimize"]
    assert made["generate"]["model"] == "scripted"
    assert made["generate"]["tokens"] > 0
    assert isinstance(made["review"]["findings"], list)
    assert made["optimize"]["changed"] is True
    assert Decimal(10) - balance(tenant) == run.cost_usd > 0
    assert len(upstream.served) == 2


def test_an_idea_becomes_a_brief_first(tenant: Tenant, upstream: ScriptedUpstream) -> None:
    upstream.script("Topic: Green tea.\nReaders: beginners.", ARTICLE)
    run = stage(tenant, "article", "B", {"brief": "tea"})
    assert (run.status, run.context["title"], run.context["text"]) == ("completed", "Green tea.", ARTICLE)
    assert run.context["brief"].startswith("Topic: Green tea.")
    assert "Topic: Green tea." in str(upstream.served[1].messages)


def test_a_given_text_is_reviewed_rewritten_and_reviewed_again(tenant: Tenant, upstream: ScriptedUpstream) -> None:
    upstream.script(ARTICLE)
    run = stage(tenant, "article", "C", {"brief": "polish", "original": "tea is drink. is good"})
    assert run.status == "completed"
    assert (run.context["original"], run.context["text"]) == ("tea is drink. is good", ARTICLE)
    assert list(outputs(tenant, run)) == ["save_original", "review", "optimize", "review-2"]


def test_review_and_polish_measures_the_text(tenant: Tenant, upstream: ScriptedUpstream) -> None:
    run = stage(tenant, "article", "D", {"brief": "tea", "text": ARTICLE})
    assert run.status == "completed"
    judged = outputs(tenant, run)["eval"]
    assert judged["suite"] == "article_basics"
    assert judged["passed"] + judged["failed"] > 0
    assert run.context["pass_rate"] == judged["pass_rate"]


def test_finalizing_needs_a_text(tenant: Tenant) -> None:
    assert stage(tenant, "article", "E", {"text": ARTICLE}).status == "completed"
    empty = stage(tenant, "article", "E", {})
    assert empty.error is not None
    assert (empty.status, empty.error["code"]) == ("failed", "step_failed")


def test_a_wish_for_a_prompt_becomes_a_version_that_is_improved(tenant: Tenant, upstream: ScriptedUpstream) -> None:
    drafted = "You summarise texts.\n\n<text>{{ text }}</text>\n\nAnswer in three sentences."
    upstream.script(drafted)
    run = stage(tenant, "prompt", "A", {"brief": "a prompt that summarises", "title": "Summaries"})
    assert (run.status, run.error) == ("completed", None)
    saved = outputs(tenant, run)["save_version"]
    assert saved["number"] == 1
    upstream.script('<message role="user">\n' + drafted + " Keep all numbers.\n</message>")
    polished = stage(tenant, "prompt", "D", run.context)
    assert (polished.status, polished.error) == ("completed", None)
    improved = outputs(tenant, polished)["optimize"]
    assert improved["changed"] is True
    assert improved["version_id"] != saved["version_id"]
    assert polished.context["version_id"] == improved["version_id"]


def test_a_question_is_answered(tenant: Tenant, upstream: ScriptedUpstream) -> None:
    upstream.script("Because of Rayleigh scattering.")
    run = stage(tenant, "general", "A", {"brief": "Why is the sky blue?"})
    assert (run.context["text"], run.next_stage) == ("Because of Rayleigh scattering.", "E")


def test_an_unusable_rewrite_leaves_the_text_and_says_so(tenant: Tenant, upstream: ScriptedUpstream) -> None:
    upstream.behave(Behaviour(text="Short.", finish_reason="length"))
    run = stage(tenant, "article", "C", {"original": ARTICLE})
    assert (run.status, run.context["text"]) == ("completed", ARTICLE)
    refused = outputs(tenant, run)["optimize"]
    assert refused["changed"] is False
    assert refused["message"]


def test_a_wish_of_the_person_overrides_what_the_run_knows(tenant: Tenant, upstream: ScriptedUpstream) -> None:
    stage(tenant, "article", "A", {"brief": "tea", "params": {"tone": "solemn", "instruction": "Use fewer words."}})
    first, second = upstream.served
    assert "solemn" in str(first.messages)
    assert "Use fewer words." in str(second.messages)


def test_no_funds_fail_the_step_and_keep_what_was_done(tenant: Tenant) -> None:
    poor = account_create(balance=0).tenant
    run = stage(poor, "article", "A", {"brief": "tea"})
    assert run.error is not None
    assert (run.status, run.cursor, run.error["code"]) == ("failed", 2, "insufficient_funds")


def test_a_refusing_provider_fails_the_step_and_a_retry_continues(tenant: Tenant, upstream: ScriptedUpstream) -> None:
    upstream.behave(Behaviour(status=400))
    run = stage(tenant, "article", "A", {"brief": "tea"})
    assert (run.status, run.cursor) == ("failed", 2)
    assert balance(tenant) == Decimal(10)
    with acting(tenant):
        run_retry(run_id=run.id)
    again = advanced(tenant, run.id)
    assert again.status == "completed"
    assert Decimal(10) - balance(tenant) == again.cost_usd


def test_chinese_wishes_are_answered_with_chinese_prompts(tenant: Tenant, upstream: ScriptedUpstream) -> None:
    stage(tenant, "general", "A", {"brief": "天空为什么是蓝色的？"})
    assert "乐于助人" in str(upstream.served[0].messages)
