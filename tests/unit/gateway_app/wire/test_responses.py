"""Responses: typed items, typed and numbered events."""

import json
from typing import Any

import pytest

from billing_app.contracts import TokenBuckets
from gateway_app.services import tokens
from gateway_app.wire import Reading
from gateway_app.wire.media import UNKNOWN_INPUT
from tests.unit.gateway_app.wire.helpers import event, field_at_fault, raw, reading, upstream, wanted

PATH = "responses"
USAGE = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 4},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 5},
    "total_tokens": 42,
}


def _typed(number: int, kind: str, **fields: Any) -> bytes:
    return event({"type": kind, "sequence_number": number, **fields}, kind)


def _stream(*events: bytes) -> tuple[Reading, bytes]:
    found = reading(PATH, input="Hello", stream=True)
    return found, b"".join([found.feed(data) for data in events])


def test_request_is_read_and_passes_through() -> None:
    values = {"input": "Hello", "max_output_tokens": 99, "stream": True, "store": False, "include": ["x"]}
    found = wanted(PATH, **values)
    assert (found.is_stream, found.max_output) == (True, 99)
    assert 5 <= found.input_bound <= 200
    assert upstream(PATH, **values) == {"model": "n", **values}


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt"])
def test_what_lies_at_the_provider_has_no_bound_of_ours(name: str) -> None:
    assert wanted(PATH, **{name: "resp_1"}).input_bound == UNKNOWN_INPUT
    assert wanted(PATH, input="Hello", **{name: None}).input_bound < 200


def test_pictures_have_a_bound() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 500_000, "detail": "auto"}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Look"}, picture]},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "https://x"}},
    ]
    assert 9_600 < wanted(PATH, input=items).input_bound < 11_000


def test_stream_is_handed_on_byte_for_byte_and_counted() -> None:
    events = [
        _typed(0, "response.created", response={"id": "resp_1", "error": None, "usage": None}),
        _typed(1, "response.reasoning_summary_text.delta", delta="Thinking."),
        _typed(2, "response.output_text.delta", delta="Hello "),
        _typed(3, "response.output_text.delta", delta="world"),
        _typed(4, "response.output_text.done", text="Hello world"),
        _typed(5, "response.output_item.added", item={"type": "function_call", "name": "look_up", "arguments": ""}),
        _typed(6, "response.function_call_arguments.delta", delta='{"q":1}'),
        _typed(7, "response.completed", response={"id": "resp_1", "status": "completed", "usage": USAGE}),
    ]
    found, relayed = _stream(*events)
    assert relayed == b"".join(events)
    assert (found.is_done, found.finish_reason, found.done_event()) == (True, "stop", b"")
    assert found.usage_event({}) is None
    assert found.reported == TokenBuckets(input=16, cached_input=10, cache_write=4, output=7, reasoning=5)
    assert found.delivered.output == tokens.estimate('Hello worldlook_up{"q":1}') + 8
    assert found.delivered.reasoning == tokens.estimate("Thinking.")


def test_answer_that_ran_out_of_tokens_ends_with_its_usage() -> None:
    response = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "usage": USAGE}
    found, _relayed = _stream(_typed(0, "response.incomplete", response=response))
    assert (found.is_done, found.finish_reason) == (True, "length")
    assert found.reported is not None


@pytest.mark.parametrize(
    "told",
    [
        _typed(1, "response.failed", response={"error": {"code": "server_error", "message": "Broken."}}),
        _typed(1, "error", code="server_error", message="Broken.", param=None),
        _typed(1, "error", error={"code": "server_error", "message": "Broken."}),
    ],
)
def test_failure_is_kept_back(told: bytes) -> None:
    first = _typed(0, "response.output_text.delta", delta="Hello")
    found, relayed = _stream(first, told)
    assert relayed == first
    assert found.error == ("Broken.", "server_error")


def test_our_failure_goes_on_counting() -> None:
    found, _relayed = _stream(_typed(41, "response.output_text.delta", delta="Hello"))
    told = found.error_event("No money is left.", "insufficient_quota", "insufficient_funds")
    head, data = told.split(b"\n")[:2]
    content = json.loads(data[6:])
    assert head == b"event: error"
    assert (content["type"], content["sequence_number"], content["code"]) == ("error", 42, "insufficient_funds")
    assert content["error"]["message"] == content["message"] == "No money is left."


def test_whole_answer_is_counted() -> None:
    found = reading(PATH, input=[{"role": "user", "content": "Hello"}])
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Thinking."}]},
        {"type": "message", "content": [{"type": "output_text", "text": "Hello world"}]},
        {"type": "function_call", "name": "look_up", "arguments": "{}"},
    ]
    found.body(raw({"status": "completed", "error": None, "output": output, "usage": USAGE}))
    assert (found.has_content, found.is_done, found.finish_reason) == (True, True, "stop")
    assert found.delivered.output == tokens.estimate("Hello worldlook_up{}") + 8
    assert found.delivered.reasoning == tokens.estimate("Thinking.")
    assert found.reported == TokenBuckets(input=16, cached_input=10, cache_write=4, output=7, reasoning=5)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": "x", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "x", "background": True}, "background"),
        ({"input": "x", "tools": {}}, "tools"),
        ({"input": "x", "tools": [{"type": "function"}, {"type": "web_search_preview"}]}, "tools[1].type"),
        ({"input": "x", "service_tier": "priority"}, "service_tier"),
    ],
)
def test_what_cannot_be_priced_is_refused_with_its_field(values: dict[str, Any], field: str) -> None:
    assert field_at_fault(PATH, **values) == field
