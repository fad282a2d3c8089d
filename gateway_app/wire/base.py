"""What every wire has: how a request is read, how an answer is followed."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from accounts_app.exceptions import InvalidInput
from billing_app.contracts import TokenBuckets
from gateway_app.services import tokens
from gateway_app.wire import fields
from gateway_app.wire.forms import Form, form
from gateway_app.wire.splice import Document, document
from gateway_app.wire.sse import DONE, EventFilter, Malformed, event_bytes, json_object

JSON = "application/json"
_NOTHING = TokenBuckets()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for, as far as money and routing need it.

    ``input_bound`` is the most tokens that its input can be; where the input lies at the provider (a file's id, an
    earlier response) it is UNKNOWN_INPUT, and only the model's context window bounds it. ``max_output`` is the most
    tokens of all answers together; None when the request does not say, then it is the model's own limit times
    ``choices``. ``images`` are the images to be made, ``image_tier`` their "quality/size". ``body_hash`` is the same
    for the same request sent again. ``source`` is the parsed body.
    """

    model: str
    is_stream: bool
    input_bound: int
    max_output: int | None
    images: int
    image_tier: str
    wants_usage: bool
    body_hash: str
    choices: int = 1
    source: Document | Form = field(repr=False, compare=False, kw_only=True)


class Wire(ABC):
    """One path of /v1 and how its bodies are read. ``kind`` is chat, embedding, image or other."""

    kind: str

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self, body: bytes, content_type: str) -> Wanted:
        """Return what ``body`` asks for; raises InvalidInput, with the field as ``messages[0].content`` if it is one's
        fault."""
        if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
            return self._read_form(form(body, content_type))
        found = document(body)
        return self._read(found, fields.model_name(found.values), body)

    def upstream_body(self, body: bytes, wanted: Wanted, *, model: str) -> tuple[bytes, str]:
        """Return the body for the provider, who calls the model ``model``, and its content type.

        ``body`` is the one that was read. Only the value of ``model`` changes, and a stream's usage is asked for.
        """
        source = wanted.source
        if isinstance(source, Form):
            return source.with_value(body, "model", model), source.content_type
        edits = [] if model == wanted.model else [source.replaced("model", fields.json_text(model))]
        if wanted.is_stream:
            edits += self._stream_edits(source)
        return (source.edited(edits) if edits else body), JSON

    @abstractmethod
    def reading(self, wanted: Wanted) -> "Reading":
        """Return what follows the answer of one try."""

    @abstractmethod
    def _read(self, found: Document, model: str, body: bytes) -> Wanted: ...

    def _read_form(self, found: Form) -> Wanted:
        raise InvalidInput("Send the body as JSON.")

    def _stream_edits(self, found: Document) -> list[tuple[int, int, str]]:
        """What makes the provider tell a stream's usage."""
        return []

    def _hash(self, body: bytes) -> str:
        return hashlib.sha256(b"%s\n%s" % (self.path.encode(), body)).hexdigest()


class Reading(ABC):
    """Follows the answer of one try: ``feed`` for a stream, ``body`` for a whole answer. Keeps counters, no text.

    ``has_output``: something that a model made has arrived, so the call cannot be repeated unseen. ``has_content``:
    more of it than thoughts. ``is_done``: the provider has said that it has ended. ``error`` (message, code): the
    provider told an error, or sent what cannot be read; nothing is relayed from there on.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.has_output = self.has_content = self.is_done = False
        self.finish_reason = ""
        self.images = 0
        self.error: tuple[str, str | None] | None = None
        self._usage: dict[str, Any] | None = None
        self._filter = EventFilter(self._take)

    def feed(self, data: bytes) -> bytes:
        """Return what to relay of the stream, now that ``data`` has come.

        Held back are the chunk with nothing but the usage, ``[DONE]``, and an error: see `usage_event`,
        `done_event`, `error`.
        """
        if self.error is not None:
            return b""
        try:
            return self._filter.feed(data)
        except Malformed as error:
            self._fail(str(error), None)
            return b""

    def body(self, data: bytes) -> None:
        """Take a whole answer."""
        try:
            answer = json_object(data)
            if not self._failed(answer):
                self._take_usage(answer.get("usage"))
                self._whole(answer)
                self.is_done = True
        except Malformed as error:
            self._fail(str(error), None)
        except (AttributeError, TypeError):
            self._fail(_UNKNOWN, None)

    @property
    def is_reported(self) -> bool:
        """Whether the provider told its usage."""
        return self._usage is not None

    @property
    def reported(self) -> TokenBuckets | None:
        """The provider's usage in disjoint buckets; None when it told none."""
        return None if self._usage is None else tokens.usage_buckets(self._usage)

    @property
    def delivered(self) -> TokenBuckets:
        """Our estimate of what was read and written; empty when no output arrived."""
        if not self.has_output:
            return _NOTHING
        written, thoughts = self._written()
        return TokenBuckets(input=self._input_estimate(), output=written, reasoning=thoughts)

    @property
    def output_tokens_so_far(self) -> int:
        """About how many tokens have been written."""
        return sum(self._written())

    def error_event(self, message: str, type: str, code: str | None) -> bytes:  # noqa: A002 - the wire's own word
        """Return the event that tells the caller of a failure in mid-stream. The stream ends behind it."""
        return event_bytes({"error": {"message": message, "type": type, "param": None, "code": code}})

    def usage_event(self, extra: dict[str, Any]) -> bytes | None:
        """Return the usage that was held back, with ``extra`` as its member ``deepspace``; None when there is none."""
        return None

    def done_event(self) -> bytes:
        """Return the end of the stream as this wire writes it; empty when it needs none."""
        return b"data: [DONE]\n\n" if self.is_done else b""

    def _take(self, payload: bytes, event: bytes) -> bool:
        """Look at one event; say whether to relay it."""
        if self.is_done or self.error is not None:
            return False
        if payload == DONE:
            self.is_done = True
            return False
        try:
            content = json_object(payload)
            return not self._failed(content) and self._event(content, payload)
        except Malformed as error:
            self._fail(str(error), None)
        except (AttributeError, TypeError, KeyError):
            self._fail(_UNKNOWN, None)
        return False

    def _failed(self, content: dict[str, Any]) -> bool:
        error = content.get("error")
        if not error:
            return False
        self._fail(*_told(error))
        return True

    def _fail(self, message: str, code: str | None) -> None:
        self.error = (message, code)

    def _take_usage(self, usage: object) -> None:
        if isinstance(usage, dict) and usage:
            self._usage = usage

    @abstractmethod
    def _event(self, content: dict[str, Any], payload: bytes) -> bool:
        """Look at one event's content; say whether to relay it."""

    @abstractmethod
    def _whole(self, answer: dict[str, Any]) -> None:
        """Look at a whole answer."""

    def _written(self) -> tuple[int, int]:
        """About how many tokens were written: output, and reasoning."""
        return 0, 0

    def _input_estimate(self) -> int:
        """About how many tokens were read."""
        return 0


_UNKNOWN = "The provider sent an event of an unknown shape."


def _told(error: object) -> tuple[str, str | None]:
    """Return message and code of an error in any of the shapes that providers use."""
    if not isinstance(error, dict):
        return str(error), None
    code = error.get("code")
    return str(error.get("message") or error), None if code is None else str(code)
