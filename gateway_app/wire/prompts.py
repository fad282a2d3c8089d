"""Inputs that are text or tokens: a string, several, a list of token numbers, or several of these."""

from gateway_app.services import tokens
from gateway_app.wire import fields

_MOST_INPUTS = 2048


def input_size(values: dict[str, object], name: str) -> tuple[int, int]:
    """Return how many inputs there are, and how many tokens they are at most; raises InvalidInput."""
    value = values.get(name)
    if isinstance(value, str):
        return 1, len(value.encode())
    if not isinstance(value, list) or not value:
        raise fields.wrong(name, "Must be a string, a list of strings, or tokens.")
    if _are_tokens(value):
        return 1, len(value)
    if len(value) > _MOST_INPUTS:
        raise fields.wrong(name, f"Too many inputs; {_MOST_INPUTS} are allowed.")
    return len(value), sum(_size(item, f"{name}[{index}]") for index, item in enumerate(value))


def input_usual(value: object) -> int:
    """Return about how many tokens the inputs are."""
    if isinstance(value, str):
        return tokens.estimate(value)
    if not isinstance(value, list):
        return 0
    return len(value) if _are_tokens(value) else sum(input_usual(item) for item in value)


def _size(item: object, path: str) -> int:
    if isinstance(item, str):
        return len(item.encode())
    if isinstance(item, list) and item and _are_tokens(item):
        return len(item)
    raise fields.wrong(path, "Must be a string or a list of tokens.")


def _are_tokens(value: list[object]) -> bool:
    return all(type(item) is int for item in value)
