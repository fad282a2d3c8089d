"""Which texts PostgreSQL can hold: no null characters, no halves of a surrogate pair."""

from typing import Any


def is_storable(text: str) -> bool:
    """Whether ``text`` can be stored as it is."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def is_storable_json(value: Any) -> bool:
    """Whether every text in a JSON value can be stored, names of members included."""
    if isinstance(value, dict):
        return all(is_storable(name) and is_storable_json(item) for name, item in value.items())
    if isinstance(value, list):
        return all(map(is_storable_json, value))
    return not isinstance(value, str) or is_storable(value)


def storable(text: str) -> str:
    """Return ``text`` with what cannot be stored replaced: a model's answer is kept, whatever is in it."""
    return text if is_storable(text) else text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
