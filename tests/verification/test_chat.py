"""Chat through the official client: whole, streamed, with tools, with a schema, with pictures."""

import asyncio
import json
from decimal import Decimal
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.factories.gateway import cost
from tests.factories.wire import OTHER_NAME
from tests.support.accounts import Account
from tests.support.processes import wait_until
from tests.support.upstream import Behaviour
from tests.support.upstream_script import tool_call
from tests.support.v1 import V1, arrived, async_sdk, charged, is_usd, raw, sdk, settled_books, until_error, user

TOOLS: Any = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]


class Tea(BaseModel):
    """What the model is asked to fill in."""

    text: str


def _chunks(account: Account, **fields: Any) -> list[Any]:
    values: dict[str, Any] = {"model": "scripted", "messages": user(), "stream": True, **fields}
    return list(sdk(account).chat.completions.create(**values))


def test_whole_answer_with_its_money_in_headers(v1: V1, caller: Account) -> None:
    answer = sdk(caller).chat.completions.with_raw_response.create(model="scripted", messages=user(), max_tokens=40)
    completion = answer.parse()
    assert completion.usage is not None
    expected = cost(completion.usage.prompt_tokens, completion.usage.completion_tokens)
    assert charged(caller.organization_id) == expected
    headers = answer.headers
    assert headers["x-deepspace-cost"] == f"{expected:.10f}"
    assert headers["x-deepspace-balance"] == f"{10 - expected:.10f}"
    assert is_usd(headers["x-deepspace-hold"])
    assert headers["x-deepspace-model"] == "scripted"
    assert len(headers["x-deepspace-trace-id"]) == 32
    assert headers["x-request-id"]
    assert int(headers["openai-processing-ms"]) >= 0
    assert completion._request_id == headers["x-request-id"]


async def test_asynchronous_client_is_served_the_same(caller: Account) -> None:
    async with async_sdk(caller) as client:
        whole = await client.chat.completions.create(model="scripted", messages=user())
        stream = await client.chat.completions.create(model="scripted", messages=user(), stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == whole.choices[0].message.content


def test_stream_has_no_chunk_without_choices_unless_asked(v1: V1, caller: Account) -> None:
    chunks = _chunks(caller)
    assert all(len(chunk.choices) == 1 for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert v1.upstream.served[-1].body["stream_options"] == {"include_usage": True}
    assert charged(caller.organization_id) > 0


def test_usage_chunk_comes_last_with_the_cost(v1: V1, caller: Account) -> None:
    *chunks, last = _chunks(caller, stream_options={"include_usage": True})
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert last.choices == []
    expected = cost(last.usage.prompt_tokens, last.usage.completion_tokens)
    assert last.model_extra["deepspace"]["cost"] == f"{expected:.10f}"
    assert charged(caller.organization_id) == expected


def test_stream_arrives_as_the_provider_wrote_it(v1: V1, caller: Account) -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"q": "\\u8336"'}}
    lines = [
        '{"id":"c","created":1.0e9,"x_unknown":[1.50,1e-7],"choices":[{"index":0,"delta":{"role":"assistant"}}]}',
        json.dumps({"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}),
        '{"choices" : [ {"delta":{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]},"index":0} ] , "id":"c"}',
        '{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}',
    ]
    events = "".join(f"data: {line}\n\n" for line in lines).encode()
    usage = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}\n\n'
    done = b"data: [DONE]\n\n"
    for split in (0, 1, 7):
        told = {"prompt_tokens": 7, "completion_tokens": 5}
        v1.upstream.behave(Behaviour(raw=events + usage + done, split=split, usage=told))
        with raw(caller) as client:
            body = {"model": "scripted", "messages": user(), "stream": True}
            answer = client.post("/chat/completions", json=body)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.content == events + done
    assert charged(caller.organization_id) == 3 * cost(7, 5)


def test_whole_answer_arrives_as_the_provider_wrote_it(v1: V1, caller: Account) -> None:
    body = (
        b'{ "id":"c", "x_unknown": 1.50e+01, "choices" :[{"index":0,"message":{"role":"assistant",'
        b'"content":"\\u8336\\/\xe8\x8c\xb6"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":5}}\n'
    )
    v1.upstream.behave(Behaviour(raw=body, usage={"prompt_tokens": 7, "completion_tokens": 5}))
    with raw(caller) as client:
        answer = client.post("/chat/completions", json={"model": "scripted", "messages": user()})
    assert answer.content == body
    assert charged(caller.organization_id) == cost(7, 5)


def test_request_reaches_the_provider_as_it_was_written(v1: V1, caller: Account) -> None:
    body = (
        b'{"x_unknown" : {"a":1.50, "b":[1e-7]},\n "messages":[{"role":"user","content":"\\u8336\\/\xe8\x8c\xb6"}],'
        b' "model":"%s","temperature":0.70,"stream":false }'
    )
    with raw(caller) as client:
        content = {"content-type": "application/json"}
        answer = client.post("/chat/completions", content=body % OTHER_NAME.encode(), headers=content)
    assert answer.status_code == 200
    assert v1.upstream.served[-1].raw_body == body % b"scripted"
    assert answer.headers["x-deepspace-model"] == OTHER_NAME


def test_tool_calls_are_put_together_by_the_client(v1: V1, caller: Account) -> None:
    v1.upstream.always = Behaviour(tool_calls=(tool_call("look_up", {"query": "茶"}),))
    whole = sdk(caller).chat.completions.create(model="scripted", messages=user(), tools=TOOLS)
    assert whole.choices[0].message.tool_calls is not None
    with sdk(caller).chat.completions.stream(model="scripted", messages=user(), tools=TOOLS) as stream:
        stream.until_done()
        final = stream.get_final_completion()
    assert final.choices[0].message.tool_calls is not None
    function = final.choices[0].message.tool_calls[0].function
    assert (function.name, json.loads(function.arguments)) == ("look_up", {"query": "茶"})
    assert final.choices[0].finish_reason == "tool_calls"


def test_structured_output_is_parsed_by_the_client(v1: V1, caller: Account) -> None:
    parsed = sdk(caller).chat.completions.parse(model="scripted", messages=user(), response_format=Tea)
    assert parsed.choices[0].message.parsed is not None
    assert parsed.choices[0].message.parsed.text.startswith("# Green tea")
    assert v1.upstream.served[-1].body["response_format"]["json_schema"]["name"] == "Tea"


def test_pictures_reach_the_provider(v1: V1, caller: Account) -> None:
    picture = "data:image/png;base64," + "A" * 400_000
    content: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": picture, "detail": "low"}},
    ]
    answer = sdk(caller).chat.completions.with_raw_response.create(
        model="scripted", messages=[{"role": "user", "content": content}], max_tokens=50
    )
    assert v1.upstream.served[-1].messages[0]["content"] == content
    # Held by what the picture can cost, not by its bytes: 400,000 tokens would be 0.40 USD.
    assert float(answer.headers["x-deepspace-hold"]) < 0.01


def test_several_answers_are_paid_for_together(caller: Account) -> None:
    answer = sdk(caller).chat.completions.create(model="scripted", messages=user(), n=3, max_tokens=10)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 30
    assert charged(caller.organization_id) == cost(answer.usage.prompt_tokens, 30)


def test_cached_and_reasoning_tokens_are_priced_once(v1: V1, caller: Account) -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 600}, "completion_tokens_details": {"reasoning_tokens": 30}}
    v1.upstream.behave(Behaviour(usage={"prompt_tokens": 1_000, "completion_tokens": 50, **details}))
    answer = sdk(caller).chat.completions.create(model="scripted", messages=user())
    assert answer.usage is not None
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 600
    (row,) = settled_books(caller.organization_id, calls=1).usage
    assert (row.tokens.input, row.tokens.cached_input, row.tokens.output, row.tokens.reasoning) == (400, 600, 20, 30)


@pytest.mark.parametrize("model", ["scripted--error", "scripted--cut"])
def test_failure_in_mid_stream_is_raised_by_the_client(caller: Account, model: str) -> None:
    chunks, error = until_error(sdk(caller).chat.completions.create(model=model, messages=user(), stream=True))
    assert len(chunks) >= 3
    assert not isinstance(error, openai.APIConnectionError)
    assert error.message
    now = settled_books(caller.organization_id, calls=1)
    assert now.call.ending == "upstream_cut"
    assert now.captured > 0


def test_signs_of_life_before_the_first_token_are_borne(v1: V1, caller: Account) -> None:
    v1.upstream.always = Behaviour(first_delay=2_300)
    assert _chunks(caller)[-1].choices[0].finish_reason == "stop"
    with raw(caller) as client:
        body = {"model": "scripted", "messages": user(), "stream": True}
        answer = client.post("/chat/completions", json=body)
    assert answer.text.startswith(": ping\n\n: ping\n\ndata: ")
    lines = {line.partition(":")[0] for line in answer.text.split("\n") if line}
    assert lines == {"", "data"}


def test_comments_ids_and_retries_of_the_provider_are_kept_from_the_client(v1: V1, caller: Account) -> None:
    chunk = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    v1.upstream.behave(Behaviour(raw=b": hello\n\nid: 1\nretry: 5\n" + chunk + b"data: [DONE]\n\n", omit_usage=True))
    assert [piece.choices[0].delta.content for piece in _chunks(caller)] == ["a"]


def test_leaving_a_stream_closes_the_provider_at_once_and_pays_for_what_came(v1: V1, caller: Account) -> None:
    stream = sdk(caller).chat.completions.create(model="scripted--slow=60", messages=user(), stream=True)
    for _ in range(4):
        next(stream)
    stream.close()
    (served,) = wait_until(lambda: [one for one in v1.upstream.served if one.outcome != "open"])
    assert served.outcome == "client_gone"
    assert 3 <= served.completion_tokens < 40
    now = settled_books(caller.organization_id, calls=1)
    assert now.call.ending == "client_gone"
    assert 0 < now.call.tokens.output <= served.completion_tokens * 5


async def test_cancelled_task_closes_the_provider(v1: V1, caller: Account) -> None:
    async with async_sdk(caller) as client:
        task = asyncio.create_task(client.chat.completions.create(model="scripted--hang", messages=user()))
        await arrived(v1.upstream)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [served.outcome for served in await asyncio.to_thread(v1.upstream.wait_idle)] == ["client_gone"]


def test_empty_answer_costs_nothing(caller: Account) -> None:
    answer = sdk(caller).chat.completions.create(model="scripted--zero", messages=user())
    assert answer.choices[0].message.content == ""
    now = settled_books(caller.organization_id, calls=1)
    assert (now.call.ending, now.captured) == ("zero_output", Decimal(0))


def test_answer_without_usage_is_paid_by_estimate(caller: Account) -> None:
    answer = sdk(caller).chat.completions.create(model="scripted--nousage", messages=user())
    assert answer.usage is None
    now = settled_books(caller.organization_id, calls=1)
    assert now.call.ending == "no_usage"
    assert now.captured == cost(now.call.tokens.input, now.call.tokens.output) > 0
