"""What has come of a call so far: the pure part of streaming, shared by the sync and the async road."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

from billing_app.contracts import TokenBuckets
from gateway_app.contracts import ChatMessage, Ending, Outcome
from gateway_app.services import tokens


class UpstreamError(Exception):
    """The provider reported an error inside the stream, or sent what cannot be read."""


class SseReader:
    """Bytes in, the JSON of each ``data:`` line out. Splits on newlines only: text may hold other separators raw."""

    def __init__(self) -> None:
        self._rest = b""
        self.is_done = False

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the events that ``data`` completes. Comments and other fields are passed over; ``[DONE]`` is noted.

        Raises UpstreamError for a line that is no JSON object.
        """
        *lines, self._rest = (self._rest + data).split(b"\n")
        payloads = [line[5:].strip() for line in lines if line.startswith(b"data:")]
        self.is_done = self.is_done or b"[DONE]" in payloads
        return [_event(payload) for payload in payloads if payload not in (b"", b"[DONE]")]


def _event(payload: bytes) -> dict[str, Any]:
    try:
        event = json.loads(payload)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise UpstreamError("The provider sent something that is no JSON object.")
    return event


@dataclass
class Answer:
    """The growing answer of one call. ``began`` and ``first_token_at`` are of the monotonic clock, in seconds."""

    began: float = field(default_factory=time.monotonic)
    first_token_at: float | None = None
    finish_reason: str = ""
    usage: dict[str, Any] | None = None
    _texts: list[str] = field(default_factory=list)
    _thoughts: list[str] = field(default_factory=list)
    _tools: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self._texts)

    @property
    def tool_calls(self) -> tuple[dict[str, Any], ...]:
        """The tool calls so far, in order."""
        return tuple(self._tools[index] for index in sorted(self._tools))

    @property
    def has_output(self) -> bool:
        """Whether anything that a model wrote has arrived."""
        return self.first_token_at is not None

    @property
    def first_token_ms(self) -> int | None:
        """Time to the first token."""
        return None if self.first_token_at is None else round((self.first_token_at - self.began) * 1000)

    def add(self, event: dict[str, Any]) -> str:
        """Take one chunk and return the text that it adds; raises UpstreamError for an error told mid-stream."""
        if event.get("error"):
            raise UpstreamError(_message(event["error"]))
        try:
            return self._add(event)
        except (AttributeError, TypeError) as error:
            raise UpstreamError("The provider sent an event of an unknown shape.") from error

    def _add(self, event: dict[str, Any]) -> str:
        self.usage = event.get("usage") or self.usage
        added = ""
        for choice in event.get("choices") or ():
            self.finish_reason = choice.get("finish_reason") or self.finish_reason
            added += self._add_delta(choice.get("delta") or {})
        return added

    def _add_delta(self, delta: dict[str, Any]) -> str:
        text, thought = delta.get("content") or "", delta.get("reasoning_content") or ""
        calls = delta.get("tool_calls") or ()
        if self.first_token_at is None and (text or thought or calls):
            self.first_token_at = time.monotonic()
        self._texts.append(text)
        self._thoughts.append(thought)
        for call in calls:
            _merge_tool(self._tools.setdefault(call.get("index", 0), {"type": "function", "function": {}}), call)
        return str(text)

    def reported(self) -> TokenBuckets | None:
        """The provider's usage in disjoint buckets; None when it told none."""
        return None if self.usage is None else tokens.usage_buckets(self.usage)

    def delivered(self, messages: tuple[ChatMessage, ...]) -> TokenBuckets:
        """Our estimate of what was read and written; empty when no output arrived."""
        if not self.has_output:
            return TokenBuckets()
        written = self.text + "".join(json.dumps(call, ensure_ascii=False) for call in self.tool_calls)
        return TokenBuckets(
            input=tokens.estimate_input(messages),
            output=tokens.estimate(written),
            reasoning=tokens.estimate("".join(self._thoughts)),
        )

    def outcome(self, messages: tuple[ChatMessage, ...], error_code: str) -> Outcome:
        """What has come, as the settlement wants it."""
        return Outcome(
            reported=self.reported(),
            delivered=self.delivered(messages),
            finish_reason=self.finish_reason,
            first_token_ms=self.first_token_ms,
            error_code=error_code,
        )

    def natural_ending(self) -> Ending:
        """How an answer that came to its end ended."""
        if not self.text and not self._tools:
            return Ending.ZERO_OUTPUT
        return Ending.COMPLETED if self.usage is not None else Ending.NO_USAGE


def _merge_tool(whole: dict[str, Any], part: dict[str, Any]) -> None:
    if part.get("id"):
        whole["id"] = part["id"]
    function, new = whole["function"], part.get("function") or {}
    if new.get("name"):
        function["name"] = new["name"]
    function["arguments"] = function.get("arguments", "") + (new.get("arguments") or "")


def _message(error: Any) -> str:
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)
