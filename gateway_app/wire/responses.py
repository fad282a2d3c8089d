"""``/v1/responses``: typed items in, typed and numbered events out."""

from typing import Any

from gateway_app.services import tokens
from gateway_app.wire import fields
from gateway_app.wire.base import Reading, Wanted, Wire
from gateway_app.wire.media import UNKNOWN_INPUT, input_bound, media_of
from gateway_app.wire.splice import Document
from gateway_app.wire.sse import event_bytes

# What lies at the provider: its size is known there only.
_STORED = ("previous_response_id", "conversation", "prompt")
# Tools that providers bill by the use, besides the tokens.
_BILLED_APART = ("web_search", "file_search", "code_interpreter", "image_generation", "shell")
_LENGTH = {"max_output_tokens": "length"}
_TOOL_FRAME = 8
_THOUGHTS = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta")


class ResponsesWire(Wire):
    """Responses, whole and streamed."""

    kind = "chat"

    def reading(self, wanted: Wanted) -> "ResponsesReading":
        """Return what follows the answer of one try."""
        return ResponsesReading(wanted)

    def _read(self, found: Document, model: str, body: bytes) -> Wanted:
        values = found.values
        items = _items(values)
        _is_priced(values)
        is_stored = any(values.get(name) for name in _STORED)
        return Wanted(
            model=model,
            is_stream=fields.flag(values, "stream"),
            input_bound=UNKNOWN_INPUT if is_stored else input_bound(body, values, items, model),
            max_output=fields.output_limit(values, "max_output_tokens"),
            images=0,
            image_tier="",
            wants_usage=True,
            body_hash=self._hash(body),
            source=found,
        )


class ResponsesReading(Reading):
    """Follows a response. Its last event bears the usage and is relayed as it is."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._texts, self._thoughts = tokens.Tally(), tokens.Tally()
        self._more = self._chunks = 0
        self._sequence = -1

    @property
    def output_tokens_so_far(self) -> int:
        """About how many tokens have been written: no fewer than the events that bore some."""
        return max(self._chunks, super().output_tokens_so_far)

    def done_event(self) -> bytes:
        """The last event of a response is its end."""
        return b""

    def error_event(self, message: str, type: str, code: str | None) -> bytes:  # noqa: A002 - the wire's own word
        """Return an ``error`` event with the next number. The member ``error`` makes the official clients raise."""
        fault = {"message": message, "type": type, "param": None, "code": code}
        numbered = {"type": "error", "code": code, "message": message, "param": None}
        return event_bytes({**numbered, "sequence_number": self._sequence + 1, "error": fault}, event="error")

    def _event(self, content: dict[str, Any], payload: bytes) -> bool:
        kind = str(content.get("type"))
        number = content.get("sequence_number")
        if isinstance(number, int):
            self._sequence = number
        if kind.endswith(".delta"):
            self._delta(kind, content.get("delta"))
        elif kind == "response.output_item.added":
            self._begun(content.get("item") or {})
        elif kind in ("response.completed", "response.incomplete"):
            self._ended(content["response"])
        elif kind == "response.failed":
            self._take_usage(content["response"].get("usage"))
            error = content["response"].get("error") or {}
            self._fail(str(error.get("message") or _NO_REASON), error.get("code"))
            return False
        elif kind == "error":
            self._fail(str(content.get("message") or _NO_REASON), content.get("code"))
            return False
        return True

    def _delta(self, kind: str, delta: object) -> None:
        if not delta:
            return
        self.has_output = True
        self._chunks += 1
        if kind in _THOUGHTS:
            self._thoughts.add(str(delta))
            return
        self.has_content = True
        if isinstance(delta, str) and kind != "response.audio.delta":
            self._texts.add(delta)

    def _begun(self, item: dict[str, Any]) -> None:
        if str(item.get("type")).endswith("_call"):
            self.has_output = self.has_content = True
            self._more += _TOOL_FRAME
            self._texts.add(str(item.get("name") or ""))

    def _ended(self, response: dict[str, Any]) -> None:
        self.is_done = True
        self._take_usage(response.get("usage"))
        reason = str((response.get("incomplete_details") or {}).get("reason") or "stop")
        self.finish_reason = _LENGTH.get(reason, reason)

    def _whole(self, answer: dict[str, Any]) -> None:
        for item in answer.get("output") or ():
            self._begun(item)
            self._delta(".delta", item.get("arguments") or item.get("input"))
            is_thought = item.get("type") == "reasoning"
            for part in [*(item.get("content") or ()), *(item.get("summary") or ())]:
                self._delta(_THOUGHTS[0] if is_thought else ".delta", part.get("text") or part.get("refusal"))
        self._ended(answer)

    def _written(self) -> tuple[int, int]:
        return self._texts.tokens + self._more, self._thoughts.tokens

    def _input_estimate(self) -> int:
        values = self.wanted.source.values
        assert isinstance(values, dict)
        items = _items(values)
        usual = media_of(items, self.wanted.model).usual
        return usual + tokens.estimate(str(values.get("instructions") or "")) + tokens.estimate_input(items)


_NO_REASON = "The provider gave no reason."


def _items(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the input as a list of items; a string is one message."""
    value = values.get("input")
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    stored = any(values.get(name) for name in _STORED)
    return fields.objects(values, "input", required=not stored)


def _is_priced(values: dict[str, Any]) -> None:
    """Refuse what is not paid by its tokens alone, and what would be answered when nobody reads its usage."""
    fields.tier_is_priced(values)
    if fields.flag(values, "background"):
        raise fields.wrong("background", "This gateway answers at once; it cannot price what is answered later.")
    for index, tool in enumerate(fields.objects(values, "tools", required=False)):
        if str(tool.get("type")).startswith(_BILLED_APART):
            raise fields.wrong(f"tools[{index}].type", "This gateway has no price for this tool.")
