"""``/v1/embeddings``."""

from typing import Any

from gateway_app.services import tokens
from gateway_app.wire.base import Reading, Wanted, Wire
from gateway_app.wire.prompts import input_size, input_usual
from gateway_app.wire.splice import Document


class EmbeddingsWire(Wire):
    """Embeddings of text or tokens, as numbers or in base64."""

    kind = "embedding"

    def reading(self, wanted: Wanted) -> "EmbeddingsReading":
        """Return what follows the answer of one try."""
        return EmbeddingsReading(wanted)

    def _read(self, found: Document, model: str, body: bytes) -> Wanted:
        inputs, bound = input_size(found.values, "input")
        return Wanted(
            model=model,
            is_stream=False,
            input_bound=bound + tokens.FRAME_TOKENS * inputs,
            max_output=0,
            images=0,
            image_tier="",
            wants_usage=False,
            body_hash=self._hash(body),
            source=found,
        )


class EmbeddingsReading(Reading):
    """Follows embeddings, which come whole."""

    def _event(self, content: dict[str, Any], payload: bytes) -> bool:
        return True

    def _whole(self, answer: dict[str, Any]) -> None:
        self.has_output = self.has_content = bool(answer.get("data"))
        self.finish_reason = "stop"

    def _input_estimate(self) -> int:
        return input_usual(self.wanted.source.values.get("input"))
