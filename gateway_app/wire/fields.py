"""The fields that money depends on, checked; what is wrong is told in English and in OpenAI's way:
``messages[0].content``."""

import json
from typing import Any

from accounts_app.exceptions import InvalidInput

# More than any model writes or reads; a greater number is nonsense, and would not fit the books.
MOST_TOKENS = 100_000_000
MOST_CHOICES = 128
_LONGEST_NAME = 200


def wrong(field: str, message: str) -> InvalidInput:
    """Return the error for one field."""
    return InvalidInput.for_field(field, message)


def model_name(values: dict[str, Any]) -> str:
    """Return the model's name."""
    if "model" not in values:
        raise wrong("model", "You must provide a model parameter.")
    name = values["model"]
    if not isinstance(name, str) or not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise wrong("model", "This is no name of a model.")
    return name


def flag(values: dict[str, Any], name: str, path: str = "") -> bool:
    """Return a boolean; null and absent are false."""
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise wrong(path + name, "Must be true or false.")
    return bool(value)


def number(values: dict[str, Any], name: str, *, least: int = 1, most: int = MOST_TOKENS) -> int | None:
    """Return a whole number within the limits; None when it is null or absent."""
    value = values.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong(name, "Must be a whole number.")
    if not least <= value <= most:
        raise wrong(name, f"Must be from {least} to {most}.")
    return value


def text(values: dict[str, Any], name: str) -> str:
    """Return a string, empty when it is null or absent."""
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise wrong(name, "Must be a string.")
    return value or ""


def choices(values: dict[str, Any], *names: str) -> int:
    """Return how many answers are asked for: the greatest of these numbers, 1 when none is given."""
    return max([number(values, name, most=MOST_CHOICES) or 1 for name in names], default=1)


def output_limit(values: dict[str, Any], *names: str) -> int | None:
    """Return the most output tokens of one answer: the greatest of the limits given, None when there is none."""
    limits = [limit for name in names if (limit := number(values, name)) is not None]
    return max(limits, default=None)


def objects(values: dict[str, Any], name: str, *, required: bool = True) -> list[dict[str, Any]]:
    """Return a list of objects, not empty if required."""
    value = values.get(name)
    if value is None and not required:
        return []
    if not isinstance(value, list) or (required and not value):
        raise wrong(name, "Must be a list of objects.")
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise wrong(f"{name}[{index}]", "Must be an object.")
    return value


def tier_is_priced(values: dict[str, Any]) -> None:
    """Refuse what providers bill above the list price of a model."""
    if values.get("service_tier") == "priority":
        raise wrong("service_tier", "This gateway has no price for priority processing.")


def json_text(value: object) -> str:
    """Return ``value`` as JSON."""
    return json.dumps(value, ensure_ascii=False)


def utf8_size(body: bytes, values: dict[str, Any]) -> int:
    """Return the size of a body in bytes, its escapes counted as the characters that they stand for."""
    if b"\\u" not in body:
        return len(body)
    return len(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass"))
