"""Conditions and expressions of workflow documents: CEL, the Common Expression Language, never Python.

They may name what `workflows_app.engine.machine.Machine.values` gives (context, stage, visits, cost, steps_done), and
``now``. Expressions are typed as far as can be known when a document is saved; what a run's context holds is known
only then.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Literal

from cel_expr_python import cel
from cel_expr_python.ext import ext_math, ext_optional
from django.utils.translation import gettext as _

from workflows_app.contracts import Json
from workflows_app.exceptions import ConditionFailed
from workflows_app.services.expressions import MAX_CHARS, MAX_COST, MAX_MACROS, cost_at_most, shape_of

Gives = Literal["anything", "a yes or no", "a list", "a moment"]

MAX_RESULT_CHARS = 1_000_000
_STATUS = re.compile(r"^[A-Z_]+: (?!<)| \[[A-Z_]+\]$")
_TYPES: dict[Gives, frozenset[str]] = {
    "a yes or no": frozenset({"BOOL", "DYN"}),
    "a list": frozenset({"LIST", "DYN"}),
    "a moment": frozenset({"TIMESTAMP", "STRING", "DYN"}),
}


def condition_holds(expression: str, values: Json) -> bool:
    """Whether the condition is true of ``values``. Raises ConditionFailed, also when it gives no bool."""
    result = expression_value(expression, values)
    if not isinstance(result, bool):
        raise _failed(expression, _("It gives no yes or no."))
    return result


def expression_value(expression: str, values: Json) -> Any:
    """Return what the expression gives, as JSON: moments as RFC 3339 text, durations as seconds.

    Raises ConditionFailed for what does not parse, type or evaluate, and for what costs or gives too much.
    """
    program = _program(expression)
    shape = shape_of(expression)
    if (shape.macros or shape.growth > 1) and cost_at_most(expression, values) > MAX_COST:
        raise _failed(expression, _("It would take too long on what this run holds."))
    # A stage that was never entered was visited 0 times; CEL would call the name unknown.
    visits = dict.fromkeys(shape.visits, 0) | values.get("visits", {})
    given = {"context": {}, "stage": "", "cost": 0.0, "steps_done": 0} | values
    try:
        result = program.eval(data=given | {"visits": visits, "now": datetime.now(UTC)})
        return _Plain(expression).of(result)
    except (RuntimeError, MemoryError, TypeError, ValueError) as error:
        raise _failed(expression, _reason(error)) from error


def expression_problem(expression: str, gives: Gives = "anything") -> str | None:
    """Return what is wrong with the expression as far as it can be known without values; None: nothing."""
    try:
        program = _program(expression)
    except ConditionFailed as error:
        return error.details[0].message
    kind = _kind(program.return_type())
    if gives != "anything" and kind not in _TYPES[gives]:
        wanted = {"a yes or no": _("a yes or no"), "a list": _("a list"), "a moment": _("a moment")}
        return _("It must give %(wanted)s, not %(kind)s.") % {"wanted": wanted[gives], "kind": kind.lower()}
    return None


@cache
def _environment() -> cel.Env:
    kinds = cel.Type
    # Text extensions are left out: their replace() and join() can make a gigabyte of a kilobyte.
    return cel.NewEnv(
        variables={
            "context": kinds.Map(kinds.STRING, kinds.DYN),
            "stage": kinds.STRING,
            "visits": kinds.Map(kinds.STRING, kinds.INT),
            "cost": kinds.DYN,  # compares with 1 as well as with 1.0
            "steps_done": kinds.INT,
            "now": kinds.TIMESTAMP,
        },
        extensions=[ext_math.ExtMath(), ext_optional.ExtOptional()],
    )


@lru_cache(maxsize=2048)
def _program(expression: str) -> cel.Expression:
    if len(expression) > MAX_CHARS:
        raise _failed(expression, _("It is longer than %(limit)d characters.") % {"limit": MAX_CHARS})
    try:
        program = _environment().compile(expression)
    except (RuntimeError, MemoryError, TypeError, ValueError) as error:
        raise _failed(expression, _reason(error)) from error
    if shape_of(expression).macros > MAX_MACROS:
        raise _failed(expression, _("It has more than %(limit)d of all, exists, map, filter.") % {"limit": MAX_MACROS})
    return program


class _Plain:
    """Turns one result into JSON, up to a size."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.left = MAX_RESULT_CHARS

    def of(self, result: cel.Value) -> Any:
        kind, value = _kind(result.type()), result.value()
        self.left -= 1 + (len(value) if isinstance(value, str) else 0)
        if self.left < 0:
            raise _failed(self.expression, _("What it gives is too large."))
        if kind == "ERROR":
            raise _failed(self.expression, _sentence(value))
        return self._converted(kind, value)

    def _converted(self, kind: str, value: Any) -> Any:
        match value:
            case None | bool() | int() | str():
                return value
            case float() if math.isfinite(value):
                return value
            case datetime():
                return value.isoformat().replace("+00:00", "Z")
            case timedelta():
                return value.total_seconds()
            case list():
                return [self.of(item) for item in value]
            case dict():
                return {str(name): self.of(item) for name, item in value.items()}
        raise _failed(self.expression, _("What it gives cannot be written as JSON: %(kind)s.") % {"kind": kind.lower()})


def _kind(type_: cel.Type) -> str:
    return str(type_.name()).partition("<")[0].upper()


def _reason(error: Exception) -> str:
    """The library's first line, without its status codes, position marks and list of tokens."""
    if isinstance(error, TypeError):
        return _("It cannot be written as text or as JSON.")
    return _sentence(str(error))


def _sentence(message: str) -> str:
    line = _STATUS.sub("", message.partition("\n")[0]).removeprefix("ERROR: <input>:")
    return line.partition(" expecting ")[0].replace(" (in container '')", "")[:300]


def _failed(expression: str, reason: str) -> ConditionFailed:
    return ConditionFailed.of(expression, reason)
