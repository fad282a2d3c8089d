"""Chat: what a request asks for, what the provider is sent, what of the answer is handed on."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.exceptions import InvalidInput
from billing_app.contracts import TokenBuckets
from gateway_app.services import tokens
from gateway_app.wire import WIRES, Reading
from gateway_app.wire.media import UNKNOWN_INPUT
from tests.unit.gateway_app.wire.helpers import JSON, event, field_at_fault, raw, reading, upstream, wanted

PATH = "chat/completions"
HELLO = [{"role": "user", "content": "Hello, 你好"}]
USAGE = {"prompt_tokens": 30, "completion_tokens": 12, "total_tokens": 42}


def _chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "logprobs": None, "finish_reason": finish}
    return event({"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **fields})


def _usage(**fields: Any) -> bytes:
    return event({"id": "c1", "object": "chat.completion.chunk", "choices": [], "usage": {**USAGE, **fields}})


def _stream(*events: bytes, **values: Any) -> tuple[Reading, bytes]:
    found = reading(PATH, messages=HELLO, stream=True, **values)
    return found, b"".join([found.feed(data) for data in events])


def test_request_is_read() -> None:
    found = wanted(PATH, messages=HELLO, stream=True, max_tokens=50, n=3, stream_options={"include_usage": True})
    assert (found.model, found.is_stream, found.max_output, found.choices) == ("m", True, 150, 3)
    assert found.wants_usage is True
    assert found.input_bound >= len(raw({"messages": HELLO})) + 8


def test_silence_on_limits_is_told_apart_from_a_limit() -> None:
    assert wanted(PATH, messages=HELLO, n=4).max_output is None
    assert wanted(PATH, messages=HELLO, n=4).choices == 4
    assert wanted(PATH, messages=HELLO, max_completion_tokens=7).max_output == 7
    assert wanted(PATH, messages=HELLO, max_completion_tokens=7, max_tokens=9).max_output == 9


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=60), min_size=1, max_size=4))
def test_input_is_bounded_by_its_bytes_however_it_is_escaped(texts: list[str]) -> None:
    messages = [{"role": "user", "content": text} for text in texts]
    size = sum(len(text.encode()) + tokens.FRAME_TOKENS for text in texts)
    plain = WIRES[PATH].read(raw({"model": "m", "messages": messages}), JSON).input_bound
    escaped = WIRES[PATH].read(json.dumps({"model": "m", "messages": messages}).encode(), JSON).input_bound
    assert size <= plain
    assert size <= escaped <= plain + 10


@pytest.mark.parametrize(
    ("model", "part", "least", "most"),
    [
        ("gpt-4o", {"type": "image_url", "image_url": {"url": "https://x/y.png"}}, 1_445, 6_000),
        ("gpt-4o", {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}, 85, 1_000),
        ("gpt-4o-mini", {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}, 2_833, 3_100),
        ("gpt-4o-mini", {"type": "image_url", "image_url": {"url": "https://x/y.png"}}, 48_169, 48_600),
        ("gpt-4o", {"type": "input_audio", "input_audio": {"data": "A" * 133_300, "format": "mp3"}}, 1_000, 1_700),
        ("gpt-4o", {"type": "file", "file": {"file_id": "file-1"}}, UNKNOWN_INPUT, UNKNOWN_INPUT),
    ],
)
def test_what_is_no_text_has_a_bound_of_its_own(model: str, part: dict[str, Any], least: int, most: int) -> None:
    found = wanted(PATH, model=model, messages=[{"role": "user", "content": [part]}])
    assert least <= found.input_bound <= most


def test_picture_in_the_body_does_not_count_by_its_bytes() -> None:
    picture = "data:image/png;base64," + base64.b64encode(b"x" * 900_000).decode()
    parts = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": picture}}]
    assert wanted(PATH, messages=[{"role": "user", "content": parts}]).input_bound < 6_000


def test_only_the_model_changes_for_the_provider() -> None:
    body = (
        b'{ "x-unknown": 1.50e+01, "messages":[{"role":"user","content":"\\u4e2d\\/\xe4\xb8\xad"}],\n "model" : "m",'
        b'"tools":[{"type":"function","function":{"name":"f","parameters":{"z":1,"a":2}}}], "temperature":0.10}'
    )
    found = WIRES[PATH].read(body, JSON)
    assert WIRES[PATH].upstream_body(body, found, model="m")[0] is body
    assert WIRES[PATH].upstream_body(body, found, model="up/n")[0] == body.replace(b'"m"', b'"up/n"')


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"include_usage": True}),
        (None, {"include_usage": True}),
        ({"include_usage": False, "include_obfuscation": False}, {"include_usage": True, "include_obfuscation": False}),
        ({"include_obfuscation": False}, {"include_usage": True, "include_obfuscation": False}),
        ({"include_usage": True}, {"include_usage": True}),
        ({"include_usage": None}, {"include_usage": True}),
    ],
)
def test_provider_is_asked_for_a_streams_usage(options: Any, expected: dict[str, Any]) -> None:
    values = {"messages": HELLO, "stream": True, "stream_options": options}
    assert upstream(PATH, **values) == {"model": "n", **values, "stream_options": expected}
    assert "stream_options" not in upstream(PATH, messages=HELLO)
    assert upstream(PATH, messages=HELLO, stream=True)["stream_options"] == {"include_usage": True}


def test_stream_is_handed_on_byte_for_byte_and_counted() -> None:
    call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": '{"q":'}}
    events = (
        _chunk({"role": "assistant", "content": ""}),
        _chunk({"content": "Hello, "}),
        _chunk({"content": "你好 é"}),
        _chunk({"tool_calls": [call]}),
        _chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"tea"}'}}]}),
        _chunk({}, "tool_calls"),
    )
    found, relayed = _stream(*events, b"data: [DONE]\n\n")
    assert relayed == b"".join(events)
    assert (found.finish_reason, found.is_done, found.has_output, found.has_content) == ("tool_calls", True, True, True)
    written = tokens.estimate('Hello, 你好 élook_up{"q":"tea"}') + 8
    assert found.delivered == TokenBuckets(input=tokens.estimate_input(HELLO), output=written)
    assert found.done_event() == b"data: [DONE]\n\n"


def test_usage_chunk_is_kept_back_and_told_with_the_price() -> None:
    found, relayed = _stream(_chunk({"content": "a"}, "stop", usage=None), _usage(), b"data: [DONE]\n\n")
    assert relayed == _chunk({"content": "a"}, "stop", usage=None)
    assert found.reported == TokenBuckets(input=30, output=12)
    told = found.usage_event({"cost_usd": "0.01"})
    assert told is not None
    assert told.startswith(b"data: {")
    assert told.endswith(b"}\n\n")
    content = json.loads(told[6:])
    assert content["choices"] == []
    assert content["usage"] == USAGE
    assert content["deepspace"] == {"cost_usd": "0.01"}


def test_usage_beside_the_last_text_is_handed_on_and_told_again() -> None:
    found, relayed = _stream(_chunk({"content": "a"}, "stop", usage=USAGE))
    assert relayed == _chunk({"content": "a"}, "stop", usage=USAGE)
    assert found.reported == TokenBuckets(input=30, output=12)
    told = found.usage_event({})
    assert told is not None
    assert json.loads(told[6:])["choices"] == []


def test_chunk_without_choices_and_without_usage_is_handed_on() -> None:
    filters = event({"id": "", "choices": [], "prompt_filter_results": []})
    assert _stream(filters)[1] == filters


def test_without_usage_there_is_nothing_to_tell() -> None:
    found, _relayed = _stream(_chunk({"content": "a"}, "stop"), b"data: [DONE]\n\n")
    assert found.reported is None
    assert found.usage_event({}) is None


def test_parts_of_the_usage_are_disjoint() -> None:
    details = {
        "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 5, "audio_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 8, "audio_tokens": 2},
    }
    found, _relayed = _stream(_usage(**details))
    assert found.reported == TokenBuckets(input=15, cached_input=10, cache_write=5, output=4, reasoning=8)


def test_nothing_but_the_role_is_no_output() -> None:
    found, _relayed = _stream(_chunk({"role": "assistant", "content": ""}), _chunk({}, "stop"), _usage())
    assert (found.has_output, found.has_content, found.finish_reason) == (False, False, "stop")
    assert found.delivered == TokenBuckets()


def test_thoughts_are_output_but_no_content() -> None:
    found, _relayed = _stream(_chunk({"role": "assistant", "reasoning_content": "Let me think of it."}))
    assert (found.has_output, found.has_content) == (True, False)
    assert found.delivered.reasoning == tokens.estimate("Let me think of it.")


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (b'data: {"error":{"message":"Broken.","type":"server_error","code":"x"}}\n\n', ("Broken.", "x")),
        (b'data: {"error":{"message":"Broken.","code":500}}\n\n', ("Broken.", "500")),
        (b'event: error\ndata: {"error":"Broken."}\n\n', ("Broken.", None)),
    ],
)
def test_error_in_the_stream_ends_it(told: bytes, error: tuple[str, str | None]) -> None:
    first, after = _chunk({"content": "a"}), _chunk({"content": "b"})
    found, relayed = _stream(first, told, after)
    assert relayed == first
    assert found.error == error
    assert found.is_done is False


@pytest.mark.parametrize(
    "told",
    [
        b"data: {\n\n",
        b"data: <html>\n\n",
        b'data: {"choices":[1]}\n\n',
        b'data: {"choices":5}\n\n',
        b'data: {"choices":[{"delta":[1]}]}\n\n',
        b'data: {"choices":[{"delta":{"tool_calls":[1]}}]}\n\n',
    ],
)
def test_what_is_no_chunk_is_an_error(told: bytes) -> None:
    found, relayed = _stream(told)
    assert relayed == b""
    assert found.error is not None


def test_failure_is_told_as_the_official_client_expects_it() -> None:
    told = reading(PATH, messages=HELLO).error_event("No money is left.", "insufficient_quota", "insufficient_funds")
    assert told.startswith(b"data: ")
    fault = {"message": "No money is left.", "type": "insufficient_quota", "param": None, "code": "insufficient_funds"}
    assert json.loads(told[6:]) == {"error": fault}


def test_progress_is_no_less_than_the_chunks() -> None:
    found, _relayed = _stream(*[_chunk({"content": "a"})] * 40)
    assert found.output_tokens_so_far == 40
    assert found.delivered.output == 10


@given(st.lists(st.text(max_size=12), max_size=8), st.lists(st.integers(0, 3_000), max_size=12))
def test_cuts_of_the_reads_make_no_difference(texts: list[str], places: list[int]) -> None:
    events = [_chunk({"content": text}) for text in texts] + [_chunk({}, "stop"), _usage(), b"data: [DONE]\n\n"]
    whole = b"".join(events)
    cuts = sorted(place % (len(whole) + 1) for place in places)
    pieces = [whole[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    (one, at_once), (other, in_pieces) = _stream(whole), _stream(*pieces)
    assert in_pieces == at_once == b"".join(events[:-2])
    assert (other.delivered, other.reported, other.finish_reason) == (one.delivered, one.reported, "stop")
    assert one.delivered.output == tokens.estimate("".join(texts))


def test_whole_answer_is_counted() -> None:
    found = reading(PATH, messages=HELLO)
    message: dict[str, Any] = {"role": "assistant", "content": "Hello.", "refusal": None, "annotations": []}
    found.body(raw({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE}))
    assert (found.has_content, found.finish_reason, found.error) == (True, "stop", None)
    assert found.reported == TokenBuckets(input=30, output=12)
    assert found.delivered.output == tokens.estimate("Hello.")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices":[7]}', b'{"error":{"message":"Broken."}}'])
def test_whole_answer_that_is_none_is_an_error(body: bytes) -> None:
    found = reading(PATH, messages=HELLO)
    found.body(body)
    assert found.error is not None
    assert found.has_output is False


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"model": None, "messages": HELLO}, "model"),
        ({"model": "", "messages": HELLO}, "model"),
        ({"model": 5, "messages": HELLO}, "model"),
        ({"model": "a\x00b", "messages": HELLO}, "model"),
        ({"model": "a" * 201, "messages": HELLO}, "model"),
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [HELLO[0], 7]}, "messages[1]"),
        ({"messages": HELLO, "stream": "yes"}, "stream"),
        ({"messages": HELLO, "n": 0}, "n"),
        ({"messages": HELLO, "n": True}, "n"),
        ({"messages": HELLO, "n": 1_000}, "n"),
        ({"messages": HELLO, "max_tokens": -1}, "max_tokens"),
        ({"messages": HELLO, "max_tokens": 1.5}, "max_tokens"),
        ({"messages": HELLO, "max_tokens": 10**30}, "max_tokens"),
        ({"messages": HELLO, "max_completion_tokens": "9"}, "max_completion_tokens"),
        ({"messages": HELLO, "stream_options": []}, "stream_options"),
        ({"messages": HELLO, "stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"messages": HELLO, "service_tier": "priority"}, "service_tier"),
        ({"messages": HELLO, "web_search_options": {}}, "web_search_options"),
    ],
)
def test_nonsense_is_refused_with_its_field(values: dict[str, Any], field: str) -> None:
    assert field_at_fault(PATH, **values) == field


def test_missing_model_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        WIRES[PATH].read(raw({"messages": HELLO}), JSON)
    assert refused.value.details[0].field == "model"


def test_form_is_refused() -> None:
    with pytest.raises(InvalidInput):
        WIRES[PATH].read(b"--x--\r\n", "multipart/form-data; boundary=x")


def test_same_body_has_the_same_hash_on_the_same_path_only() -> None:
    first, again = wanted(PATH, messages=HELLO), wanted(PATH, messages=HELLO)
    assert first.body_hash == again.body_hash
    assert first.body_hash != wanted(PATH, messages=HELLO, seed=1).body_hash
    assert wanted("a", input="x").body_hash != wanted("b", input="x").body_hash
