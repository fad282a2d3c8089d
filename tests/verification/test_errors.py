"""Every failure is the official client's own error class, with OpenAI's members, tried again only where that helps."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import openai
import pytest

from tests.factories.wire import request_limit
from tests.support.accounts import Account
from tests.support.upstream import Behaviour
from tests.support.v1 import V1, arrived, async_sdk, raw, sdk, settled_books, until_error, user


def _refused(client: openai.OpenAI, kind: type[openai.APIStatusError], **fields: Any) -> openai.APIStatusError:
    with pytest.raises(kind) as refused:
        client.chat.completions.create(**{"model": "scripted", "messages": user(), **fields})
    error = refused.value
    body = error.response.json()["error"]
    assert set(body) >= {"message", "type", "param", "code"}
    assert body["message"]
    assert error.request_id
    return error


@pytest.mark.parametrize("key", ["sk-wrong", "ds_" + "x" * 40])
def test_wrong_key_is_an_authentication_error(v1: V1, caller: Account, key: str) -> None:
    error = _refused(sdk(caller, api_key=key, max_retries=2), openai.AuthenticationError)
    assert (error.code, error.type) == ("invalid_api_key", "invalid_request_error")
    assert v1.upstream.served == []


def test_no_funds_is_told_once(v1: V1, make_caller: Callable[..., Account]) -> None:
    poor = make_caller(balance=0)
    error = _refused(sdk(poor, max_retries=2), openai.APIStatusError)
    assert (error.status_code, error.code, error.type) == (402, "insufficient_quota", "insufficient_quota")
    assert error.response.headers["x-should-retry"] == "false"
    assert v1.upstream.served == []
    assert settled_books(poor.organization_id).usage == []


def test_unknown_model_is_not_found(caller: Account) -> None:
    error = _refused(sdk(caller), openai.NotFoundError, model="no-such-model")
    assert (error.code, error.param) == ("model_not_found", "model")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"n": 0}, "n"),
        ({"model": ""}, "model"),
        ({"extra_body": {"stream": "yes"}}, "stream"),
    ],
)
def test_nonsense_is_a_bad_request_with_its_param(v1: V1, caller: Account, fields: dict[str, Any], param: str) -> None:
    error = _refused(sdk(caller, max_retries=2), openai.BadRequestError, **fields)
    assert (error.type, error.param) == ("invalid_request_error", param)
    assert v1.upstream.served == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model":"scripted","model":"x"}', b'{"a":NaN}', b"\xff"])
def test_body_that_is_no_json_is_a_bad_request(v1: V1, caller: Account, body: bytes) -> None:
    with raw(caller) as client:
        answer = client.post("/chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert v1.upstream.served == []


def test_refusal_of_the_provider_comes_through_as_it_is(v1: V1, caller: Account) -> None:
    error = _refused(sdk(caller, max_retries=2), openai.BadRequestError, model="scripted--refuse")
    assert (error.code, error.body) == (
        "content_policy_violation",
        {
            "message": "Scripted 400.",
            "type": "invalid_request_error",
            "param": None,
            "code": "content_policy_violation",
        },
    )
    assert len(v1.upstream.served) == 1
    now = settled_books(caller.organization_id, calls=1)
    assert (now.captured, now.call.ending) == (Decimal(0), "refused")


def test_provider_that_is_down_is_a_server_error_after_every_retry(v1: V1, caller: Account) -> None:
    error = _refused(sdk(caller, max_retries=1), openai.InternalServerError, model="scripted--500")
    assert error.status_code == 503
    now = settled_books(caller.organization_id, calls=2)
    assert now.captured == 0
    assert len(v1.upstream.served) == sum(1 for _attempt in now.attempts) > 2


def test_retries_of_the_client_are_answered_when_the_provider_is_back(v1: V1, caller: Account) -> None:
    v1.upstream.behave(*[Behaviour(status=500)] * 5)
    with sdk(caller, max_retries=3) as client:
        answer = client.chat.completions.with_raw_response.create(model="scripted", messages=user())
    assert int(answer.http_request.headers["x-stainless-retry-count"]) >= 1
    now = settled_books(caller.organization_id)
    assert len([call for call in now.calls if call.charged_usd]) == 1


def test_rate_limit_is_told_with_when_to_come_again(v1: V1, caller: Account) -> None:
    request_limit(caller.organization_id, 2)
    client = sdk(caller)
    for left in ("1", "0"):
        answer = client.chat.completions.with_raw_response.create(model="scripted", messages=user())
        assert answer.headers["x-ratelimit-limit-requests"] == "2"
        assert answer.headers["x-ratelimit-remaining-requests"] == left
        assert answer.headers["x-ratelimit-reset-requests"].endswith("s")
    error = _refused(client, openai.RateLimitError)
    assert (error.code, error.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert 0 < int(error.response.headers["retry-after-ms"]) <= 61_000
    assert int(error.response.headers["retry-after"]) >= 1
    assert len(v1.upstream.served) == 2


def test_same_idempotency_key_is_answered_with_the_same_bytes(v1: V1, caller: Account) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    client = sdk(caller)
    first, again = (
        client.chat.completions.with_raw_response.create(model="scripted", messages=user(), extra_headers=key)
        for _ in range(2)
    )
    assert again.content == first.content
    assert first.parse().choices == again.parse().choices
    assert len(v1.upstream.served) == 1
    assert len(settled_books(caller.organization_id).usage) == 1


def test_same_idempotency_key_replays_a_stream(v1: V1, caller: Account) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    client = sdk(caller)
    first, again = (
        [
            chunk.to_dict()
            for chunk in client.chat.completions.create(
                model="scripted",
                messages=user(),
                stream=True,
                stream_options={"include_usage": True},
                extra_headers=key,
            )
        ]
        for _ in range(2)
    )
    assert again == first
    assert len(v1.upstream.served) == 1


def test_idempotency_key_of_another_request_is_a_conflict_at_once(v1: V1, caller: Account) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    client = sdk(caller, max_retries=2)
    client.chat.completions.create(model="scripted", messages=user(), extra_headers=key)
    error = _refused(client, openai.ConflictError, messages=user("Something else"), extra_headers=key)
    assert error.response.headers["x-should-retry"] == "false"
    assert len(v1.upstream.served) == 1


async def test_operation_in_progress_is_waited_for_by_the_clients_own_retry(v1: V1, caller: Account) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    v1.upstream.behave(Behaviour(first_delay=1_500))
    async with async_sdk(caller, max_retries=0) as client, async_sdk(caller, max_retries=5) as patient:
        first = asyncio.create_task(
            client.chat.completions.create(model="scripted", messages=user(), extra_headers=key)
        )
        await arrived(v1.upstream)
        with pytest.raises(openai.ConflictError) as refused:
            await client.chat.completions.create(model="scripted", messages=user(), extra_headers=key)
        assert refused.value.response.headers["retry-after"]
        again = await patient.chat.completions.create(model="scripted", messages=user(), extra_headers=key)
        assert again == await first
    assert len(v1.upstream.served) == 1


def test_connection_that_is_refused_is_a_connection_error(caller: Account) -> None:
    with pytest.raises(openai.APIConnectionError):
        sdk(caller, base_url="http://127.0.0.1:1/v1").models.list()


def test_impatient_client_is_its_own_timeout_and_pays_nothing(v1: V1, caller: Account) -> None:
    with pytest.raises(openai.APITimeoutError):
        sdk(caller, timeout=0.5).chat.completions.create(model="scripted--hang", messages=user())
    now = settled_books(caller.organization_id, calls=1)
    assert (now.call.ending, now.captured) == ("client_gone", Decimal(0))
    assert [served.outcome for served in v1.upstream.wait_idle()] == ["client_gone"]


def test_silent_provider_is_a_timeout(caller: Account) -> None:
    # The first token may take three seconds; signs of life come after one, so that the head is out by then.
    stream = sdk(caller).chat.completions.create(model="scripted--hang", messages=user(), stream=True)
    chunks, error = until_error(stream)
    assert (chunks, error.code) == ([], "upstream_timeout")
    now = settled_books(caller.organization_id, calls=1)
    assert (now.call.ending, now.captured) == ("timeout", Decimal(0))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/chat/completions", 405), ("POST", "/models", 405), ("POST", "/files", 404), ("GET", "/nothing", 404)],
)
def test_wrong_address_is_told_in_the_same_shape(caller: Account, method: str, path: str, status: int) -> None:
    with raw(caller) as client:
        answer = client.request(method, path)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_path_that_nothing_prices_reaches_no_provider(v1: V1, caller: Account) -> None:
    with pytest.raises(openai.NotFoundError):
        sdk(caller).audio.speech.create(model="scripted", voice="alloy", input="Hello")
    with pytest.raises(openai.NotFoundError):
        sdk(caller).moderations.create(model="scripted", input="Hello")
    assert v1.upstream.served == []


def test_trace_id_of_the_caller_is_the_one_of_the_answer(caller: Account) -> None:
    trace = uuid4().hex
    with raw(caller) as client:
        answer = client.post("/chat/completions", content=json.dumps({}), headers={"x-trace-id": trace})
    assert answer.headers["x-deepspace-trace-id"] == trace
