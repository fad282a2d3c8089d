"""Tasks advanced by the real engine, prompts, gateway and ledger, in this process; only the model is scripted."""

import threading
import time
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from accounts_app.services.trace import bind_trace
from accounts_app.tenancy.context import tenant_context
from billing_app.selectors import usage_for_task, wallet_summary
from tasks_app.models import Task, TaskEvent
from tests.factories.accounts import Person
from tests.factories.tasks import BRIEF, funded, make_task, start
from tests.support.upstream import Behaviour, ScriptedUpstream
from workflows_app.services.execution import run_advance

pytestmark = pytest.mark.usefixtures("committed_db", "upstream")

DRAFT = "# Tea\n\nTea is a drink that is made from leaves.\n\n## Making it\n\nPour hot water over 2 g of leaves."
BETTER = DRAFT + "\n\nEnjoy it."


@pytest.fixture
def ada(committed_db: None) -> Person:
    with transaction.atomic():
        return funded()


def made(ada: Person, input_text: str = BRIEF) -> Task:
    with ada.at_work():
        return make_task(input_text)


def advanced(ada: Person, task: Task, stage: str, action: str = "generate", **params: Any) -> Task:
    """Advance and carry the run to its end, as a worker does."""
    with bind_trace(), ada.at_work():
        started = start(task, stage, action, **params)
    if started.run_id is not None:
        with tenant_context(ada.organization_id, ada.id, "owner"):
            run_advance(run_id=started.run_id)
    return again(ada, task)


def again(ada: Person, task: Task) -> Task:
    with ada.at_work():
        return Task.objects.get(pk=task.pk)


def events(ada: Person, task: Task) -> list[TaskEvent]:
    with ada.at_work():
        return list(TaskEvent.objects.filter(task=task).order_by("seq"))


def books_agree(ada: Person, task: Task) -> Decimal:
    """What the events bear, what the usage records say and what the wallet paid are one sum, which is returned."""
    with ada.at_work():
        stored = Task.objects.get(pk=task.pk)
        borne = TaskEvent.objects.filter(task=task).aggregate(
            cost=Sum("cost_usd"), read=Sum("input_tokens"), written=Sum("output_tokens")
        )
        used = usage_for_task(ada.organization_id, task.pk)
        wallet = wallet_summary(ada.organization_id)
    assert borne["cost"] == stored.cost_usd == used.charged_usd == Decimal(10) - wallet.balance
    assert (borne["read"], borne["written"]) == (stored.input_tokens, stored.output_tokens)
    assert (used.input_tokens, used.output_tokens) == (stored.input_tokens, stored.output_tokens)
    assert wallet.frozen == 0
    return stored.cost_usd


def chained(log: list[TaskEvent]) -> bool:
    links = zip([None, *log], log, strict=False)
    return all(event.prev_event_id == (before.id if before else None) for before, event in links)


def test_a_sentence_becomes_a_finished_article(ada: Person, upstream: ScriptedUpstream) -> None:
    upstream.script(DRAFT, BETTER)
    task = made(ada)
    task = advanced(ada, task, "A")
    assert (task.status, task.current_stage, task.finished_stage, task.active_run_id) == ("active", "D", "A", None)
    assert (task.text, task.metadata["previous_text"]) == (BETTER, DRAFT)
    assert isinstance(task.metadata["findings"], list)
    log = events(ada, task)
    assert [event.event_key for event in log] == [
        "create", "advance:A", "save_brief", "linter", "apply", "linter", "rewrite", "complete:A",
    ]  # fmt: skip
    assert chained(log)
    written = log[4]
    assert (written.model, written.run_id, written.step_key) == ("scripted", log[1].run_id, "generate")
    assert written.cost_usd > 0
    assert written.input_tokens > 0
    assert written.output_tokens > 0
    assert {"run_id", "prompt_run_id", "version_id", "cost_usd", "tokens"} <= set(written.output)
    assert log[5].cost_usd == 0
    assert books_agree(ada, task) > 0

    task = advanced(ada, task, "D")
    assert (task.current_stage, task.finished_stage, task.stages_count) == ("E", "D", 2)
    task = advanced(ada, task, "E", "finish")
    assert (task.status, task.current_stage, task.stages_count) == ("completed", "E", 3)
    log = events(ada, task)
    assert chained(log)
    assert log[-1].event_key == "finish"
    assert len({event.trace_id for event in log if event.run_id == written.run_id}) == 1
    books_agree(ada, task)


def test_without_a_brief_one_is_written_and_names_the_task(ada: Person, upstream: ScriptedUpstream) -> None:
    upstream.script("Topic: Green tea.\nReaders: beginners.", DRAFT)
    task = advanced(ada, made(ada, "write me a blog post"), "B")
    assert (task.title, task.current_stage, task.text) == ("Green tea.", "D", DRAFT)
    assert task.metadata["brief"].startswith("Topic: Green tea.")
    assert [event.event_key for event in events(ada, task)][2:] == ["apply", "linter", "apply", "linter", "complete:B"]
    books_agree(ada, task)


def test_given_text_is_rewritten_in_its_language(ada: Person, upstream: ScriptedUpstream) -> None:
    upstream.script("今天天气很好，我们在公园里玩得很开心。")
    task = advanced(ada, made(ada, "润色：今天天气很好我们去了公园玩的很开心。"), "C")
    assert task.text == "今天天气很好，我们在公园里玩得很开心。"
    assert task.metadata["previous_text"] == "今天天气很好我们去了公园玩的很开心。"
    assert any("一" <= character <= "鿿" for character in str(upstream.served[0].messages[0]))


@pytest.mark.parametrize(
    ("action", "event_key"), [("linter", "linter"), ("eval", "eval"), ("rewrite", "rewrite"), ("apply", "apply")]
)
def test_one_step_alone_leaves_the_stage(ada: Person, upstream: ScriptedUpstream, action: str, event_key: str) -> None:
    upstream.script(BETTER)
    task = advanced(ada, made(ada, f"Polish this: {DRAFT}"), "C", action)
    assert (task.status, task.current_stage, task.finished_stage) == ("active", "C", "")
    log = events(ada, task)
    assert event_key in [event.event_key for event in log]
    assert log[-1].event_key == "complete:C"
    assert task.text == (BETTER if action in {"rewrite", "apply"} else DRAFT)
    books_agree(ada, task)


def test_a_prompt_is_bound_to_its_task(ada: Person, upstream: ScriptedUpstream) -> None:
    upstream.script("You summarise.\n\n<text>{{ text }}</text>\n\nAnswer in three sentences.")
    task = advanced(ada, made(ada, "I want a prompt that summarises meeting notes"), "A")
    saved = next(event for event in events(ada, task) if event.event_key == "save_version")
    assert str(task.prompt_id) == saved.output["prompt_id"]
    books_agree(ada, task)


def test_a_question_is_answered_as_a_whole(ada: Person, upstream: ScriptedUpstream) -> None:
    upstream.script("Because of Rayleigh scattering.")
    task = advanced(ada, made(ada, "Review this code:\n```python\nprint('hi')\n```"), "A")
    assert task.text == "Because of Rayleigh scattering."
    assert "print('hi')" in str(upstream.served[0].messages)


def test_failed_advance_leaves_the_task_and_can_be_repeated(ada: Person, upstream: ScriptedUpstream) -> None:
    task = made(ada)
    with upstream.down():
        task = advanced(ada, task, "A")
    assert (task.status, task.current_stage, task.finished_stage, task.active_run_id) == ("active", "A", "", None)
    assert task.text == ""
    assert task.last_error is not None
    log = events(ada, task)
    assert log[-1].event_key == "failed"
    assert log[-1].output["error"] == task.last_error
    upstream.script(DRAFT, BETTER)
    task = advanced(ada, task, "A")
    assert (task.current_stage, task.text, task.last_error) == ("D", BETTER, None)
    assert chained(events(ada, task))
    books_agree(ada, task)


def test_repeated_advance_goes_on_at_the_failed_step_and_pays_no_draft_twice(
    ada: Person, upstream: ScriptedUpstream
) -> None:
    upstream.behave(Behaviour(text=DRAFT), *[Behaviour(status=400)] * 6)
    task = advanced(ada, made(ada), "A")
    paid = books_agree(ada, task)
    upstream.reset()
    upstream.script(BETTER)
    task = advanced(ada, task, "A")
    assert (task.current_stage, task.text, task.metadata["previous_text"]) == ("D", BETTER, DRAFT)
    assert len(upstream.served) == 1
    log = events(ada, task)
    assert len({event.run_id for event in log if event.run_id}) == 1
    assert [event.event_key for event in log].count("apply") == 1
    assert books_agree(ada, task) > paid


def test_advance_with_other_parameters_begins_anew(ada: Person, upstream: ScriptedUpstream) -> None:
    upstream.behave(Behaviour(text=DRAFT), *[Behaviour(status=400)] * 6)
    task = advanced(ada, made(ada), "A")
    upstream.reset()
    upstream.script(DRAFT, BETTER)
    task = advanced(ada, task, "A", instruction="Be brief.")
    assert (task.current_stage, task.text) == ("D", BETTER)
    assert len(upstream.served) == 2


def test_what_a_broken_call_was_charged_is_on_an_event(ada: Person, upstream: ScriptedUpstream) -> None:
    upstream.behave(*[Behaviour(cut_after=8)] * 6)
    task = advanced(ada, made(ada), "A")
    assert task.last_error is not None
    books_agree(ada, task)


def test_text_of_a_failed_run_is_not_the_tasks(ada: Person, upstream: ScriptedUpstream) -> None:
    upstream.behave(Behaviour(text=DRAFT), *[Behaviour(status=400)] * 6)
    task = advanced(ada, made(ada), "A")
    assert task.last_error is not None
    assert task.text == ""
    assert "running" not in task.metadata
    assert books_agree(ada, task) > 0


def test_money_that_runs_out_in_the_run_fails_it_cleanly(upstream: ScriptedUpstream) -> None:
    with transaction.atomic():
        poor = funded("0.0000001")
    task = advanced(poor, made(poor), "A")
    assert task.last_error is not None
    assert task.last_error["code"] == "insufficient_funds"
    assert (task.status, task.current_stage, task.cost_usd) == ("active", "A", Decimal(0))
    assert upstream.served == []


def test_finishing_twice_is_refused_and_a_closed_task_keeps_its_log(ada: Person, upstream: ScriptedUpstream) -> None:
    upstream.script("An answer.")
    task = advanced(ada, made(ada, "What is tea?"), "A")
    task = advanced(ada, task, "A", "finish")
    assert (task.status, task.finished_stage) == ("completed", "E")
    client = ada.client()
    body = {"stage": "A", "action": "finish"}
    refused = client.post(f"/api/tasks/{task.id}/advance", body, content_type="application/json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "task_closed")


def waited(ada: Person, task: Task, **fields: Any) -> Any:
    """Advance with ``Prefer: wait`` while another thread is the worker."""
    stop = threading.Event()

    def work() -> None:
        try:
            while not stop.is_set():
                run_id = again(ada, task).active_run_id
                if run_id is None:
                    time.sleep(0.02)
                    continue
                with tenant_context(ada.organization_id, ada.id, "owner"):
                    run_advance(run_id=run_id)
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        body = {"stage": "A", "action": "generate", **fields}
        path = f"/api/tasks/{task.id}/advance"
        return ada.api().post(path, body, content_type="application/json", headers={"Prefer": "wait=30"})
    finally:
        stop.set()
        worker.join(30)


def test_waiting_caller_is_told_the_version(ada: Person, upstream: ScriptedUpstream) -> None:
    upstream.script(DRAFT, BETTER)
    response = waited(ada, made(ada))
    assert (response.status_code, response["Preference-Applied"]) == (200, "wait=30")
    assert response.json()["versionId"]


@pytest.mark.parametrize(
    ("behaviour", "status"), [(Behaviour(status=400), (422, 502)), (Behaviour(status=500), (502, 503))]
)
def test_waiting_caller_is_told_of_a_failure(
    ada: Person, upstream: ScriptedUpstream, behaviour: Behaviour, status: tuple[int, ...]
) -> None:
    upstream.behave(*[behaviour] * 12)
    response = waited(ada, made(ada))
    assert response.status_code in status
    assert set(response.json()["error"]) == {"code", "message", "details", "trace_id"}
