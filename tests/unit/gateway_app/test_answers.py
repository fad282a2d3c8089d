import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_app.contracts import TokenBuckets
from gateway_app.contracts import Ending
from gateway_app.services.answers import Answer, SseReader, UpstreamError

Event = dict[str, Any]


def _chunk(delta: Event, finish: str | None = None) -> Event:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}


EVENTS: list[Event] = [
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"content": "line\u2028separator\x85 and 茶"}),
    _chunk({"content": "\r\n"}),
    _chunk({}, "stop"),
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
]
WIRE = b": a comment\n\n" + b"".join(
    b"data: " + json.dumps(e, ensure_ascii=False).encode() + b"\r\n\r\n" for e in EVENTS
)
WIRE += b"event: done\ndata: [DONE]\n\n"


@given(st.lists(st.integers(0, len(WIRE)), max_size=20))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    reader, places = SseReader(), [0, *sorted(cuts), len(WIRE)]
    pieces = [WIRE[start:end] for start, end in pairwise(places)]
    assert [event for piece in pieces for event in reader.feed(piece)] == EVENTS
    assert reader.is_done


@pytest.mark.parametrize("line", [b"data: {broken\n", b"data: [1]\n", b"data: 7\n"])
def test_what_is_no_event_is_an_upstream_error(line: bytes) -> None:
    with pytest.raises(UpstreamError):
        SseReader().feed(line)


def test_answer_grows_and_knows_its_ending() -> None:
    answer = Answer()
    texts = [answer.add(event) for event in EVENTS]
    assert "".join(texts) == answer.text == "line\u2028separator\x85 and 茶\r\n"
    assert answer.reported() == TokenBuckets(input=3, output=2)
    assert answer.natural_ending() is Ending.COMPLETED
    assert answer.first_token_ms is not None


def test_role_alone_is_no_output() -> None:
    answer = Answer()
    answer.add(EVENTS[0])
    assert not answer.has_output
    assert answer.first_token_ms is None
    assert answer.delivered(({"role": "user", "content": "x"},)) == TokenBuckets()


def test_endings_without_usage_or_output() -> None:
    silent, mute = Answer(), Answer()
    for event in EVENTS[:4]:
        silent.add(event)
    for event in (EVENTS[0], *EVENTS[3:]):
        mute.add(event)
    assert silent.natural_ending() is Ending.NO_USAGE
    assert silent.reported() is None
    assert mute.natural_ending() is Ending.ZERO_OUTPUT


def test_tool_calls_are_put_together_from_their_parts() -> None:
    answer = Answer()
    answer.add(_chunk({"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}]}))
    answer.add(_chunk({"tool_calls": [{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}]}))
    answer.add(_chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}, "tool_calls"))
    assert [(call["id"], call["function"]) for call in answer.tool_calls] == [
        ("a", {"name": "f", "arguments": '{"x": 1}'}),
        ("b", {"name": "g", "arguments": "{}"}),
    ]
    assert answer.has_output
    assert answer.natural_ending() is Ending.NO_USAGE
    assert answer.delivered(()).output > 0


def test_reasoning_is_delivered_as_reasoning() -> None:
    answer = Answer()
    answer.add(_chunk({"reasoning_content": "abcdefgh"}))
    assert answer.has_output
    assert answer.delivered(()) == TokenBuckets(reasoning=2)


@pytest.mark.parametrize("event", [{"choices": 5}, {"choices": ["x"]}, {"choices": [{"delta": "x"}]}])
def test_an_event_of_an_unknown_shape_is_an_upstream_error(event: Event) -> None:
    with pytest.raises(UpstreamError):
        Answer().add(event)


@pytest.mark.parametrize("error", [{"message": "overloaded"}, "overloaded"])
def test_an_error_in_the_stream_is_raised(error: object) -> None:
    with pytest.raises(UpstreamError, match="overloaded"):
        Answer().add({"error": error})
