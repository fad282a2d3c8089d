"""Completions, embeddings, and paths that are priced by the request."""

import json
from typing import Any

import pytest

from billing_app.contracts import TokenBuckets
from gateway_app.services import tokens
from gateway_app.wire import wire_of
from tests.unit.gateway_app.wire.helpers import event, field_at_fault, raw, reading, upstream, wanted


@pytest.mark.parametrize(
    ("prompt", "prompts", "bound"),
    [("Hello", 1, 5), (["Hello", "中"], 2, 8), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3)],
)
def test_prompts_are_counted_in_each_shape(prompt: Any, prompts: int, bound: int) -> None:
    found = wanted("completions", prompt=prompt, max_tokens=10, n=2, best_of=3)
    assert (found.choices, found.max_output) == (3 * prompts, 30 * prompts)
    assert found.input_bound == bound + tokens.REQUEST_TOKENS


def test_echoed_prompt_may_count_as_written() -> None:
    assert wanted("completions", prompt="Hello", max_tokens=10, echo=True).max_output == 15


def test_streamed_completion_asks_for_usage_and_keeps_it_back() -> None:
    assert upstream("completions", prompt="x", stream=True)["stream_options"] == {"include_usage": True}
    found = reading("completions", prompt="Hello", stream=True)
    text = event({"id": "cmpl-1", "choices": [{"index": 0, "text": " world", "finish_reason": None}]})
    end = event({"id": "cmpl-1", "choices": [{"index": 0, "text": "", "finish_reason": "length"}]})
    usage = event({"id": "cmpl-1", "choices": [], "usage": {"prompt_tokens": 2, "completion_tokens": 1}})
    assert found.feed(text + end + usage + b"data: [DONE]\n\n") == text + end
    assert found.reported == TokenBuckets(input=2, output=1)
    assert (found.finish_reason, found.is_done) == ("length", True)
    assert found.delivered == TokenBuckets(input=2, output=2)


def test_whole_completion_is_counted() -> None:
    found = reading("completions", prompt=[[5, 6, 7]])
    found.body(raw({"choices": [{"text": "abcd", "finish_reason": "stop"}]}))
    assert found.delivered == TokenBuckets(input=3, output=1)
    assert found.reported is None


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [["a"]]}, "prompt[0]"),
        ({"prompt": ["a", 1]}, "prompt[1]"),
        ({"prompt": [[]]}, "prompt[0]"),
        ({"prompt": ["a"] * 2_049}, "prompt"),
        ({"prompt": "a", "best_of": 0}, "best_of"),
        ({"prompt": "a", "stream": True, "best_of": 2}, "best_of"),
        ({"prompt": "a", "suffix": 1}, "suffix"),
    ],
)
def test_nonsense_prompts_are_refused(values: dict[str, Any], field: str) -> None:
    assert field_at_fault("completions", **values) == field


@pytest.mark.parametrize(
    ("value", "bound", "usual"),
    [("Hello world", 11 + 8, 3), (["Hello", "中"], 8 + 16, 3), ([1, 2, 3], 3 + 8, 3), ([[1], [2, 3]], 3 + 16, 3)],
)
def test_embeddings_are_counted_in_each_shape(value: Any, bound: int, usual: int) -> None:
    found = wanted("embeddings", input=value, encoding_format="base64")
    assert (found.input_bound, found.max_output) == (bound, 0)
    follow = reading("embeddings", input=value)
    follow.body(raw({"data": [{"embedding": "AAAA"}]}))
    assert follow.delivered == TokenBuckets(input=usual)
    assert (follow.has_content, follow.finish_reason) == (True, "stop")


def test_embeddings_report_what_they_read() -> None:
    found = reading("embeddings", input="x")
    found.body(raw({"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}))
    assert found.reported == TokenBuckets(input=8)


def test_embedding_of_nothing_is_refused() -> None:
    assert field_at_fault("embeddings") == "input"


def test_other_path_is_read_for_its_model() -> None:
    found = wanted("moderations", input="text")
    assert (found.model, found.max_output, wire_of("moderations").kind) == ("m", 0, "other")
    assert upstream("moderations", input="text") == {"model": "n", "input": "text"}


def test_bytes_of_any_kind_are_handed_on() -> None:
    found = reading("audio/speech", input="Hello")
    assert found.feed(b"\x00\xff\r\n") == b"\x00\xff\r\n"
    assert (found.has_content, found.reported, found.done_event()) == (True, None, b"")
    assert found.delivered == TokenBuckets(input=3)


def test_other_answer_may_tell_its_usage() -> None:
    found = reading("audio/transcriptions", input="Hello")
    found.body(json.dumps({"text": "x", "usage": {"input_tokens": 4, "output_tokens": 2}}).encode())
    assert found.reported == TokenBuckets(input=4, output=2)
