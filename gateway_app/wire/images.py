"""``/v1/images/generations`` and ``/v1/images/edits``: JSON or a form with files; priced by tokens or by the image."""

import re
from typing import Any

from billing_app.contracts import TokenBuckets
from gateway_app.services import tokens
from gateway_app.wire import fields
from gateway_app.wire.base import Reading, Wanted, Wire
from gateway_app.wire.forms import Form
from gateway_app.wire.splice import Document

_MOST_IMAGES = 10
_MOST_PARTIAL = 3
# Published output tokens of one image of 1024 × 1024 by quality; other sizes in proportion to their area.
_TOKENS = {"low": 272, "medium": 1056, "high": 4160}
_SQUARE = 1024 * 1024
_LARGEST = 3840 * 2160
_PARTIAL_TOKENS = 100
# A picture to be edited, at high fidelity: 65 + 129 for each of eight tiles, and 6,240.
_SOURCE_TOKENS = 7_400
_SIZE = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})")


class ImagesWire(Wire):
    """Images made or edited."""

    kind = "image"

    def reading(self, wanted: Wanted) -> "ImagesReading":
        """Return what follows the answer of one try."""
        return ImagesReading(wanted)

    def _read(self, found: Document, model: str, body: bytes) -> Wanted:
        values = found.values
        pictures = values.get("images") or []
        if not isinstance(pictures, list):
            raise fields.wrong("images", "Must be a list of objects.")
        pictures = [*pictures, *([values["mask"]] if values.get("mask") else [])]
        return self._wanted(values, model, found, self._hash(body), pictures=len(pictures))

    def _read_form(self, found: Form) -> Wanted:
        values: dict[str, Any] = dict(found.values)
        for name in ("n", "partial_images"):
            if name in values:
                values[name] = _whole_number(values[name], name)
        if "stream" in values:
            values["stream"] = _boolean(values["stream"])
        pictures = len(found.files("image", "mask"))
        return self._wanted(values, fields.model_name(values), found, self._hash(found.digest.encode()), pictures)

    def _wanted(
        self, values: dict[str, Any], model: str, source: Document | Form, body_hash: str, pictures: int
    ) -> Wanted:
        prompt = fields.text(values, "prompt")
        images = fields.number(values, "n", most=_MOST_IMAGES) or 1
        partial = fields.number(values, "partial_images", least=0, most=_MOST_PARTIAL) or 0
        usual = ("standard", "1024x1024") if model.startswith("dall-e") else ("auto", "auto")
        quality, size = fields.text(values, "quality") or usual[0], fields.text(values, "size") or usual[1]
        return Wanted(
            model=model,
            is_stream=fields.flag(values, "stream"),
            input_bound=len(prompt.encode()) + pictures * _SOURCE_TOKENS + tokens.REQUEST_TOKENS,
            max_output=images * (output_tokens(quality, size) + partial * _PARTIAL_TOKENS),
            images=images,
            image_tier=f"{quality}/{size}",
            wants_usage=False,
            body_hash=body_hash,
            source=source,
        )


class ImagesReading(Reading):
    """Follows images: whole, or as a stream whose last event for each image bears its usage."""

    def done_event(self) -> bytes:
        """The last image is the end."""
        return b""

    def _event(self, content: dict[str, Any], payload: bytes) -> bool:
        kind = str(content.get("type"))
        self.has_output = self.has_output or "image" in kind
        if kind.endswith(".completed"):
            self.has_content = True
            self.images += 1
            self._take_usage(_sum(self._usage, content.get("usage")))
            self.is_done = self.images >= self.wanted.images
            self.finish_reason = "stop" if self.is_done else ""
        return True

    def _whole(self, answer: dict[str, Any]) -> None:
        self.images = len(answer.get("data") or ())
        self.has_output = self.has_content = bool(self.images)
        self.finish_reason = "stop"

    @property
    def delivered(self) -> TokenBuckets:
        """Our estimate: the prompt, and the published size of the images that arrived. Nothing without images."""
        if not self.images:
            return TokenBuckets()
        return TokenBuckets(input=self._input_estimate(), output=self.output_tokens_so_far)

    def _written(self) -> tuple[int, int]:
        return self.images * output_tokens(*self.wanted.image_tier.split("/", 1)), 0

    def _input_estimate(self) -> int:
        return tokens.estimate(str(self.wanted.source.values.get("prompt") or ""))


def output_tokens(quality: str, size: str) -> int:
    """Return how many tokens one image is, where the model counts tokens; the most where it is left to the model."""
    found = _SIZE.fullmatch(size)
    area = min(int(found[1]) * int(found[2]), _LARGEST) if found else 3 * _SQUARE // 2
    return -(-_TOKENS.get(quality, _TOKENS["high"]) * area // _SQUARE)


def _sum(one: dict[str, Any] | None, other: dict[str, Any] | None) -> dict[str, Any] | None:
    if not one or not other:
        return one or other
    names = ("input_tokens", "output_tokens", "total_tokens")
    return {name: int(one.get(name) or 0) + int(other.get(name) or 0) for name in names}


def _whole_number(value: str, name: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        raise fields.wrong(name, "Must be a whole number.")
    return int(value)


def _boolean(value: str) -> bool:
    if value not in ("true", "false", ""):
        raise fields.wrong("stream", "Must be true or false.")
    return value == "true"
