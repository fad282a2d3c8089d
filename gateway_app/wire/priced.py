"""Any other path of /v1: nothing is known of it but the model, and that a request has a price."""

from contextlib import suppress
from typing import Any

from gateway_app.services import tokens
from gateway_app.wire import fields
from gateway_app.wire.base import Reading, Wanted, Wire
from gateway_app.wire.forms import Form
from gateway_app.wire.splice import Document
from gateway_app.wire.sse import Malformed, json_object


class PricedWire(Wire):
    """A path that the catalogue prices per request."""

    kind = "other"

    def reading(self, wanted: Wanted) -> "PricedReading":
        """Return what follows the answer of one try."""
        return PricedReading(wanted)

    def _read(self, found: Document, model: str, body: bytes) -> Wanted:
        return self._wanted(found, model, fields.utf8_size(body, found.values), self._hash(body))

    def _read_form(self, found: Form) -> Wanted:
        values: dict[str, Any] = dict(found.values)
        size = sum(len(value.encode()) for value in found.values.values())
        return self._wanted(found, fields.model_name(values), size, self._hash(found.digest.encode()))

    def _wanted(self, source: Document | Form, model: str, size: int, body_hash: str) -> Wanted:
        return Wanted(
            model=model,
            is_stream=source.values.get("stream") in (True, "true"),
            input_bound=size + tokens.REQUEST_TOKENS,
            max_output=0,
            images=0,
            image_tier="",
            wants_usage=False,
            body_hash=body_hash,
            source=source,
        )


class PricedReading(Reading):
    """Follows bytes of any kind: they are relayed as they come, and their end is the connection's."""

    def feed(self, data: bytes) -> bytes:
        """Relay everything."""
        self._came(data)
        return data

    def body(self, data: bytes) -> None:
        """Take a whole answer; one that is JSON may tell a usage."""
        self._came(data)
        with suppress(Malformed):
            self._take_usage(json_object(data).get("usage"))

    def done_event(self) -> bytes:
        """The connection's end is the end."""
        return b""

    def _came(self, data: bytes) -> None:
        if data:
            self.has_output = self.has_content = self.is_done = True
            self.finish_reason = "stop"

    def _event(self, content: dict[str, Any], payload: bytes) -> bool:
        return True

    def _whole(self, answer: dict[str, Any]) -> None:
        """Nothing is known of it."""

    def _input_estimate(self) -> int:
        return sum(tokens.estimate(value) for value in self.wanted.source.values.values() if isinstance(value, str))
