"""What operators see of calls at /v1: figures, spans, the trace page; and what logs never show."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from accounts_app.services.api_keys import api_key_create
from accounts_app.services.projects import project_create
from accounts_app.services.trace import new_trace_id
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import bound
from config.runtime.ports import free_port
from tests.fixtures.stack import AccountMaker
from tests.support.accounts import Account
from tests.support.collector import Collector
from tests.support.processes import wait_until
from tests.support.stack import Stack

CHAT = "/v1/chat/completions"


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.stop()


def ask(account: Account, prompt: str, *, base_url: str = "", stream: bool = False, **headers: str) -> httpx2.Response:
    """Make one call to its end."""
    body = {"model": "scripted", "stream": stream, "messages": [{"role": "user", "content": prompt}]}
    return httpx2.post((base_url or account.base_url) + CHAT, json=body, headers=account.headers | headers, timeout=30)


def log_text(stack: Stack) -> str:
    return "\n".join(file.read_text(errors="replace") for file in (stack.home / "logs").glob("*.log"))


def log_lines(stack: Stack, message: str) -> list[dict[str, Any]]:
    lines = (line for line in log_text(stack).splitlines() if f'"{message}"' in line)
    return [json.loads(line) for line in lines]


def test_neither_prompts_nor_answers_nor_keys_are_in_any_log(stack: Stack, make_account: AccountMaker) -> None:
    account, canary, answer = make_account(), f"prompt-{uuid.uuid4().hex}", f"answer-{uuid.uuid4().hex}"
    stack.upstream.script(answer, answer)
    assert answer in ask(account, canary).text
    assert answer in ask(account, canary, stream=True).text
    wrong = httpx2.post(
        account.base_url + CHAT, json={"messages": canary}, headers={"Authorization": f"Bearer {account.secret}x"}
    )
    assert wrong.status_code == 401
    # Something that is logged, with the key in the address as people do by mistake.
    httpx2.get(f"{account.base_url}/no-such-page/", params={"api_key": account.secret})
    httpx2.get(f"{account.base_url}/{account.secret}/")
    wait_until(lambda: "/no-such-page/" in log_text(stack))
    text = log_text(stack)
    for secret in (canary, answer, account.secret, account.password, "scripted-secret"):
        assert secret not in text


def test_a_project_that_asks_for_it_has_its_prompts_in_a_log_of_their_own(
    stack: Stack, make_account: AccountMaker
) -> None:
    account, canary = make_account(), f"prompt-{uuid.uuid4().hex}"
    with bound(account.tenant), transaction.atomic():
        project = project_create(name="logged", log_prompts=True)
        key = api_key_create(name="logged", project_id=project.pk)
    stack.upstream.script("whole words", "streamed words")
    logged = Account(account.user, account.tenant, key.secret, account.base_url)
    ask(logged, canary)
    ask(logged, canary, stream=True)

    def exchanges() -> list[dict[str, Any]]:
        return [line for line in log_lines(stack, "call.exchange") if canary in line["request"]]

    wait_until(lambda: len(exchanges()) == 2)
    mine = exchanges()
    assert {line["logger"] for line in mine} == {"deepspace.prompts"}
    assert "whole words" in mine[0]["answer"]
    assert "data: " in mine[1]["answer"]
    assert key.secret not in log_text(stack)


def test_calls_are_counted_for_prometheus(stack: Stack, make_account: AccountMaker) -> None:
    def figure(name: str) -> float:
        lines = httpx2.get(f"{stack.url}/metrics", timeout=20).text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    calls = 'deepspace_calls_total{ending="completed",model="scripted"}'
    before, requests = figure(calls), figure('deepspace_http_requests_total{method="POST",route="/v1/chat/completions"')
    assert ask(make_account(), "count me").status_code == 200
    wait_until(lambda: figure(calls) == before + 1)
    assert figure('deepspace_http_requests_total{method="POST",route="/v1/chat/completions"') == requests + 1
    for name in (
        'deepspace_step_seconds_count{step="Authenticate"}',
        'deepspace_step_seconds_count{step="hold"}',
        'deepspace_step_seconds_count{step="settle"}',
        'deepspace_tokens_total{bucket="output",model="scripted"}',
        'deepspace_charged_usd_total{model="scripted"}',
        'deepspace_provider_attempts_total{outcome="answered"',
    ):
        assert figure(name) > 0, name


def test_a_call_is_one_trace_of_spans_and_its_provider_is_told_nothing_of_it(
    stack: Stack, make_account: AccountMaker, collector: Collector
) -> None:
    trace_id, port = new_trace_id(), free_port()
    stack.spawn_web({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}, port)
    canary = f"prompt-{uuid.uuid4().hex}"
    answer = ask(
        make_account(), canary, base_url=f"http://127.0.0.1:{port}", traceparent=f"00-{trace_id}-b7ad6b7169203331-01"
    )
    assert answer.headers["x-deepspace-trace-id"] == trace_id
    wanted = {"v1", "step Authenticate", "step hold", "provider call", "step settle"}
    wait_until(lambda: wanted <= {span.name for span in collector.spans})
    assert {span.trace_id.hex() for span in collector.spans} == {trace_id}
    request = collector.named("v1")
    assert request.parent_span_id.hex() == "b7ad6b7169203331"
    assert all(span.parent_span_id == request.span_id for span in collector.spans if span is not request)
    provider = {each.key: each.value.string_value for each in collector.named("provider call").attributes}
    assert (provider["model"], provider["outcome"]) == ("scripted", "answered")
    assert not [span for span in collector.spans if canary.encode() in span.SerializeToString()]
    assert not {"traceparent", "tracestate", "x-trace-id"} & stack.upstream.served[-1].headers.keys()


def test_the_trace_page_tells_a_calls_whole_story(stack: Stack, make_account: AccountMaker, client: Client) -> None:
    account = make_account()
    trace_id = ask(account, "tell my story").headers["x-deepspace-trace-id"]
    client.force_login(user_create(email=f"{uuid.uuid4().hex}@example.com", is_operator=True))
    address = reverse("admin:trace", args=[trace_id])
    wait_until(lambda: "trace-row--usage" in client.get(address).content.decode())
    page = client.get(address).content.decode()
    for kind in ("call", "attempt", "hold", "ledger", "usage"):
        assert f"trace-row--{kind}" in page, kind
    assert page.count("trace-row--ledger") == 3, "hold, capture, release of the rest"
    owner = Client()
    owner.force_login(account.user)
    own = owner.get(reverse("accounts:trace", args=[trace_id])).content.decode()
    assert "trace-row--call" in own
    assert "trace-row--attempt" not in own, "what a call took is for operators"
