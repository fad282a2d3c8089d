"""How many tokens pictures, sounds and files in a request can be, without looking into them.

Sources: the providers' published rules. A picture costs a fixed sum at low detail; else it is scaled down and cut into
tiles or patches, of which there is a greatest number. The bounds are the greatest of the families that we know; the one
family that counts pictures in another measure (``4o-mini``) has its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gateway_app.services import tokens
from gateway_app.wire import fields

# The input lies at the provider; only the model's context window bounds it.
UNKNOWN_INPUT = 1_000_000_000

# Greatest tokens of one picture by detail. Low: 512 × 512 in patches of 32 × 32 at 2.46 tokens. High: the largest
# documented fixed limit of a family (4,784). Original: 10,000 patches at 2.46 tokens.
_PICTURE = {"low": 640, "original": 24_600}
_PICTURE_HIGH = 4_800
# 2,833 tokens and 5,667 for each of at most eight tiles.
_MINI = {"low": 2_833}
_MINI_HIGH = 48_169
# Sound: 10 tokens a second, and a second is at least 1,000 bytes, which are 1,333 characters of base64.
_SOUND_CHARACTERS = 100
# What a picture usually is, for estimates: 85 at low detail, else one of 1024 × 1024 in four tiles.
_USUAL_LOW, _USUAL_HIGH = 85, 765


@dataclass
class Media:
    """``replaces``: bytes of the body that are no text; ``bound``: the tokens that they can be; ``usual``: about how
    many they are."""

    replaces: int = 0
    bound: int = 0
    usual: int = 0


def input_bound(body: bytes, values: dict[str, Any], items: list[dict[str, Any]], model: str) -> int:
    """Return the most tokens that a request with these messages (or items) can be."""
    media = media_of(items, model)
    frames = tokens.FRAME_TOKENS * len(items) + tokens.REQUEST_TOKENS
    return min(fields.utf8_size(body, values) - media.replaces + media.bound + frames, UNKNOWN_INPUT)


def media_of(items: list[dict[str, Any]], model: str) -> Media:
    """Sum up what the messages (or the input items of a response) hold besides text."""
    found = Media()
    for part in _parts(items):
        _add(found, part, model)
    return found


def _parts(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        yield item
        for name in ("content", "output"):
            content = item.get(name)
            if isinstance(content, list):
                yield from (part for part in content if isinstance(part, dict))
            elif isinstance(content, dict):
                yield content


def _add(found: Media, part: dict[str, Any], model: str) -> None:
    kind = part.get("type")
    if kind == "image_url":
        image = part.get("image_url")
        image = image if isinstance(image, dict) else {"url": image}
        _picture(found, image.get("url"), image.get("detail"), model)
    elif kind in ("input_image", "computer_screenshot"):
        _picture(found, part.get("image_url"), part.get("detail"), model)
    elif kind == "input_audio":
        _sound(found, part.get("input_audio"))
    elif kind in ("file", "input_file"):
        inner = part.get("file")
        source = inner if isinstance(inner, dict) else part
        if source.get("file_id") or source.get("file_url"):
            found.bound = UNKNOWN_INPUT
    elif kind == "item_reference":
        found.bound = UNKNOWN_INPUT


def _picture(found: Media, url: object, detail: object, model: str) -> None:
    if isinstance(url, str) and url.startswith("data:image/"):
        found.replaces += len(url)
    mini = "4o-mini" in model
    sizes, high = (_MINI, _MINI_HIGH) if mini else (_PICTURE, _PICTURE_HIGH)
    found.bound += sizes.get(str(detail), high)
    found.usual += _USUAL_LOW if detail == "low" else _USUAL_HIGH


def _sound(found: Media, sound: object) -> None:
    data = sound.get("data") if isinstance(sound, dict) else None
    if not isinstance(data, str):
        return
    size = -(-len(data) // _SOUND_CHARACTERS)
    found.replaces += len(data)
    found.bound += size
    found.usual += size // 10
