"""The scripted upstream against the real openai client: a fake must keep the real thing's manners."""

from typing import Any

import openai
import pytest

from tests.support.upstream import Behaviour, ScriptedUpstream

_MESSAGES: list[Any] = [{"role": "user", "content": "I want an article about green tea"}]


@pytest.fixture
def client(upstream: ScriptedUpstream) -> openai.OpenAI:
    return openai.OpenAI(base_url=upstream.url, api_key="x", max_retries=0, timeout=5)


def _stream(client: openai.OpenAI, model: str = "scripted") -> "openai.Stream[openai.types.chat.ChatCompletionChunk]":
    return client.chat.completions.create(
        model=model,
        messages=_MESSAGES,
        stream=True,
        stream_options={"include_usage": True},
    )


def _whole(client: openai.OpenAI) -> "openai.types.chat.ChatCompletion":
    return client.chat.completions.create(model="scripted", messages=_MESSAGES)


def test_same_request_gets_the_same_answer_streamed_and_whole(client: openai.OpenAI) -> None:
    whole = _whole(client)
    chunks = list(_stream(client))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert (whole.choices[0].message.content or "").startswith("# Green tea")


def test_script_is_spoken_in_order(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.script("first text", "第二段")
    answers = [_whole(client) for _ in range(2)]
    assert [a.choices[0].message.content for a in answers] == ["first text", "第二段"]
    assert upstream.totals()[0] == 2


def test_tally_knows_after_how_many_tokens_the_caller_left(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    stream = _stream(client, "scripted--slow=20")
    for _ in range(4):  # the frame of the message, then three tokens
        next(stream)
    stream.close()
    (served,) = upstream.wait_idle()
    assert (served.outcome, served.completion_tokens) == ("client_gone", 3)


def test_switches_fail_as_the_real_thing_does(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    upstream.behave(Behaviour(status=429, retry_after=7))
    with pytest.raises(openai.RateLimitError) as limited:
        _stream(client)
    assert limited.value.response.headers["retry-after"] == "7"
    for switch, error in (
        ("500", openai.InternalServerError),
        ("refuse", openai.BadRequestError),
        ("reset", openai.APIConnectionError),
        ("cut=2", openai.APIConnectionError),
    ):
        with pytest.raises(error):
            list(_stream(client, f"scripted--{switch}"))
    with upstream.down(), pytest.raises(openai.APIConnectionError):
        _stream(client)
