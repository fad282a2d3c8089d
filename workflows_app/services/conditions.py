"""Conditions and expressions of workflow documents (CEL)."""

from workflows_app.contracts import Json


def condition_holds(expression: str, values: Json) -> bool:
    """Whether the condition is true of ``values``."""
    raise NotImplementedError(expression, values)


def expression_value(expression: str, values: Json) -> object:
    """Return what the expression gives."""
    raise NotImplementedError(expression, values)
