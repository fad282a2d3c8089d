"""The scripted upstream against the real openai client: a fake must keep the real thing's manners."""

from typing import Any

import openai
import pytest

from tests.support.upstream import Behaviour, Faults, ScriptedUpstream

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


def test_every_path_answers_in_the_shapes_of_the_official_client(
    client: openai.OpenAI, upstream: ScriptedUpstream
) -> None:
    completion = client.completions.create(model="scripted", prompt=["a b", "c"], n=2)
    assert [choice.index for choice in completion.choices] == [0, 1, 2, 3]
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == 3
    vectors = client.embeddings.create(model="scripted", input=["tea", "绿茶"])  # asks for base64
    numbers = client.embeddings.create(model="scripted", input=["tea", "绿茶"], encoding_format="float")
    assert [item.embedding for item in vectors.data] == [item.embedding for item in numbers.data]
    image = client.images.generate(model="gpt-image-1", prompt="A cup of tea", n=2, quality="low")
    assert image.usage is not None
    assert (len(image.data or []), image.usage.output_tokens) == (2, 544)
    edited = client.images.edit(model="dall-e-2", prompt="More tea", image=b"\x89PNG\r\n--x\r\n", n=1)
    assert (len(edited.data or []), edited.usage) == (1, None)
    assert upstream.served[-1].body["image"] == [b"\x89PNG\r\n--x\r\n"]
    assert client.moderations.create(model="scripted", input="tea").results[0].flagged is False


def test_response_is_the_same_streamed_and_whole(client: openai.OpenAI) -> None:
    whole = client.responses.create(model="scripted", input="I want an article about green tea")
    with client.responses.stream(model="scripted", input="I want an article about green tea") as stream:
        numbers = [event.sequence_number for event in stream]
        final = stream.get_final_response()
    assert numbers == list(range(len(numbers)))
    assert final.output_text == whole.output_text
    assert final.usage == whole.usage


def test_pieces_line_ends_and_comments_make_no_difference(client: openai.OpenAI, upstream: ScriptedUpstream) -> None:
    plain = [chunk.choices for chunk in _stream(client)]
    upstream.behave(Behaviour(split=3, crlf=True, pings=True))
    assert [chunk.choices for chunk in _stream(client)] == plain


def test_tally_keeps_the_tries_of_a_call_together(upstream: ScriptedUpstream) -> None:
    upstream.behave(Behaviour(status=500))
    again = openai.OpenAI(base_url=upstream.url, api_key="x", max_retries=1, timeout=5)
    again.chat.completions.create(model="scripted", messages=_MESSAGES, extra_headers={"x-client-request-id": "one"})
    tally = upstream.tally()["one"]
    assert [(served.number, served.status) for served in tally.tries] == [(1, 500), (2, 200)]
    assert tally.told is not None
    assert tally.told["prompt_tokens"] == tally.last.prompt_tokens


def test_faults_are_the_same_for_the_same_seed() -> None:
    faults = [Faults(seed=4)("mark", number) for number in range(200)]
    assert faults == [Faults(seed=4)("mark", number) for number in range(200)]
    assert faults != [Faults(seed=5)("mark", number) for number in range(200)]
    assert {fault.status for fault in faults} >= {200, 400, 429, 500}
