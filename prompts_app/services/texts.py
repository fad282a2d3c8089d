"""Which texts PostgreSQL can hold: no null characters, no halves of a surrogate pair."""


def is_storable(text: str) -> bool:
    """Whether ``text`` can be stored as it is."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def storable(text: str) -> str:
    """Return ``text`` with what cannot be stored replaced: a model's answer is kept, whatever is in it."""
    return text if is_storable(text) else text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
