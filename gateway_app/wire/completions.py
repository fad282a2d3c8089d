"""``/v1/completions``, the older way: a prompt and its continuation."""

from typing import Any

from gateway_app.services import tokens
from gateway_app.wire import fields
from gateway_app.wire.base import Wanted, Wire
from gateway_app.wire.chat import StreamedReading, usage_edits, wants_usage
from gateway_app.wire.prompts import input_size, input_usual
from gateway_app.wire.splice import Document, Edit


class CompletionsWire(Wire):
    """Completions, whole and streamed."""

    kind = "chat"

    def reading(self, wanted: Wanted) -> "CompletionsReading":
        """Return what follows the answer of one try."""
        return CompletionsReading(wanted)

    def _read(self, found: Document, model: str, body: bytes) -> Wanted:
        values = found.values
        prompts, bound = input_size(values, "prompt")
        tries = fields.choices(values, "n", "best_of")
        limit = fields.output_limit(values, "max_tokens")
        if fields.flag(values, "echo"):
            # Some count the echoed prompt as written.
            limit = None if limit is None else limit + bound
        suffix = fields.text(values, "suffix")
        if fields.flag(values, "stream") and (fields.number(values, "best_of") or 1) > 1:
            raise fields.wrong("best_of", "A stream has no best of several answers.")
        return Wanted(
            model=model,
            is_stream=fields.flag(values, "stream"),
            input_bound=bound + len(suffix.encode()) + tokens.REQUEST_TOKENS,
            max_output=None if limit is None else limit * tries * prompts,
            images=0,
            image_tier="",
            wants_usage=wants_usage(values),
            body_hash=self._hash(body),
            choices=tries * prompts,
            source=found,
        )

    def _stream_edits(self, found: Document) -> list[Edit]:
        return usage_edits(found)


class CompletionsReading(StreamedReading):
    """Follows a completion."""

    def _choice(self, choice: dict[str, Any], part: dict[str, Any] | None) -> None:
        if reason := choice.get("finish_reason"):
            self.finish_reason = str(reason)
        if text := choice.get("text"):
            self._wrote(str(text))

    def _input_estimate(self) -> int:
        return input_usual(self.wanted.source.values.get("prompt"))
