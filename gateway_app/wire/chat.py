"""``/v1/chat/completions``."""

import json
from typing import Any

from gateway_app.services import tokens
from gateway_app.wire import fields
from gateway_app.wire.base import Reading, Wanted, Wire
from gateway_app.wire.media import input_bound, media_of
from gateway_app.wire.splice import Document, Edit

_USAGE = '{"include_usage":true}'
# What a tool call is besides its name and its arguments.
_TOOL_FRAME = 8


class ChatWire(Wire):
    """Chat, whole and streamed."""

    kind = "chat"

    def reading(self, wanted: Wanted) -> "ChatReading":
        """Return what follows the answer of one try."""
        return ChatReading(wanted)

    def _read(self, found: Document, model: str, body: bytes) -> Wanted:
        values = found.values
        messages = fields.objects(values, "messages")
        fields.tier_is_priced(values)
        if values.get("web_search_options") is not None:
            raise fields.wrong("web_search_options", "This gateway has no price for searching the web.")
        choices = fields.choices(values, "n")
        limit = fields.output_limit(values, "max_completion_tokens", "max_tokens")
        return Wanted(
            model=model,
            is_stream=fields.flag(values, "stream"),
            input_bound=input_bound(body, values, messages, model),
            max_output=None if limit is None else limit * choices,
            images=0,
            image_tier="",
            wants_usage=wants_usage(values),
            body_hash=self._hash(body),
            choices=choices,
            source=found,
        )

    def _stream_edits(self, found: Document) -> list[Edit]:
        return usage_edits(found)


def wants_usage(values: dict[str, Any]) -> bool:
    """Whether the caller asked for the usage of its stream."""
    options = values.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise fields.wrong("stream_options", "Must be an object.")
    return fields.flag(options, "include_usage", "stream_options.")


def usage_edits(found: Document) -> list[Edit]:
    """Return what makes a body ask for the usage of its stream; nothing when it does."""
    options = found.values.get("stream_options")
    if options is None:
        add = found.replaced if "stream_options" in found.spans else found.added
        return [add("stream_options", _USAGE)]
    if options.get("include_usage"):
        return []
    inner = found.inner("stream_options")
    return [(inner.replaced if "include_usage" in inner.spans else inner.added)("include_usage", "true")]


class StreamedReading(Reading):
    """What chat and completions share: choices, and a chunk of its own for the usage."""

    def __init__(self, wanted: Wanted) -> None:
        super().__init__(wanted)
        self._texts, self._thoughts = tokens.Tally(), tokens.Tally()
        self._more = self._chunks = 0
        self._usage_chunk: dict[str, Any] | None = None

    @property
    def output_tokens_so_far(self) -> int:
        """About how many tokens have been written: no fewer than the chunks that bore some."""
        return max(self._chunks, super().output_tokens_so_far)

    def usage_event(self, extra: dict[str, Any]) -> bytes | None:
        """Return the chunk with the usage that was held back, or one made of a chunk that bore it besides text."""
        if self._usage_chunk is None:
            return None
        content = {**self._usage_chunk, "choices": [], "deepspace": extra}
        return b"data: %s\n\n" % json.dumps(content, ensure_ascii=False).encode()

    def _event(self, content: dict[str, Any], payload: bytes) -> bool:
        usage, choices = content.get("usage"), content.get("choices")
        if usage:
            self._take_usage(usage)
            self._usage_chunk = content
        for choice in choices or ():
            self._choice(choice, choice.get("delta"))
        # Many clients fail at a chunk without choices: only who asked for the usage gets it, with its price.
        return not usage or bool(choices)

    def _whole(self, answer: dict[str, Any]) -> None:
        for choice in answer.get("choices") or ():
            self._choice(choice, choice.get("message"))

    def _choice(self, choice: dict[str, Any], part: dict[str, Any] | None) -> None:
        """Count one choice of a chunk or of a whole answer."""
        raise NotImplementedError

    def _wrote(self, text: str) -> None:
        self.has_output = self.has_content = True
        self._chunks += 1
        self._texts.add(text)

    def _written(self) -> tuple[int, int]:
        return self._texts.tokens + self._more, self._thoughts.tokens


class ChatReading(StreamedReading):
    """Follows a chat."""

    def _choice(self, choice: dict[str, Any], part: dict[str, Any] | None) -> None:
        reason = choice.get("finish_reason")
        if reason:
            self.finish_reason = str(reason)
        if not part:
            return
        if text := part.get("content"):
            self._wrote(text if isinstance(text, str) else _parts_text(text))
        if len(part) > 1 or not text:
            self._rarer(part)

    def _rarer(self, part: dict[str, Any]) -> None:
        if thought := part.get("reasoning_content") or part.get("reasoning"):
            self.has_output = True
            self._chunks += 1
            self._thoughts.add(str(thought))
        if refusal := part.get("refusal"):
            self._wrote(str(refusal))
        for call in part.get("tool_calls") or ():
            self._tool(call, call.get("function") or call.get("custom") or {})
        if function := part.get("function_call"):
            self._tool({"id": function.get("name")}, function)
        if sound := part.get("audio"):
            self._wrote(str(sound.get("transcript") or ""))

    def _tool(self, call: dict[str, Any], function: dict[str, Any]) -> None:
        self._more += _TOOL_FRAME if call.get("id") else 0
        self._wrote(f"{function.get('name') or ''}{function.get('arguments') or function.get('input') or ''}")

    def _input_estimate(self) -> int:
        messages = self.wanted.source.values["messages"]
        assert isinstance(messages, list)
        return tokens.estimate_input(messages) + media_of(messages, self.wanted.model).usual


def _parts_text(parts: list[dict[str, Any]]) -> str:
    return "".join(str(part.get("text") or "") for part in parts)
