"""How much an expression of a workflow document may do, told before it is evaluated.

CEL ends always, and the library bounds its loops (10,000 rounds) and its depth (32). Within that a short expression
still can hold a worker for minutes or fill its memory: each round may copy a long text, each macro may double a list.
So what it can cost at most is computed from its text and from the size of what it is given.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

MAX_CHARS = 1000
MAX_MACROS = 3
MAX_ROUNDS = 10_000
# Characters and items that may be touched: about a second in the worst case.
MAX_COST = 100_000_000

# Comments and texts, as CEL reads them: what they hold is neither a macro nor a parenthesis.
_TEXT = re.compile(
    r"""//[^\n]*
    | [bB]?[rR][bB]?(?:\"{3}[\s\S]*?\"{3}|'{3}[\s\S]*?'{3}|"[^"\n]*"|'[^'\n]*')
    | \"{3}(?:\\[\s\S]|[^\\])*?\"{3} | '{3}(?:\\[\s\S]|[^\\])*?'{3} | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""",
    re.VERBOSE,
)
_OPENING = re.compile(r"(?:\.\s*(?P<macro>all|exists|exists_one|map|filter|optMap|optFlatMap))?\s*\(|\)")
_VISIT = re.compile(r"""(?<!has\()\bvisits(?:\.(\w+)|\[\s*["']([^"']+)["']\s*\])""")


@dataclass(frozen=True)
class Shape:
    """What of an expression decides its cost.

    ``macros``: how many there are; ``depth``: how many within each other; ``growth``: how much longer than what it is
    given a value can become; ``outside``: whether a macro's body names what is not its own item; ``visits``: stages
    whose visits it asks for.
    """

    macros: int
    depth: int
    growth: float
    outside: bool
    literal: int
    visits: tuple[str, ...]


@lru_cache(maxsize=2048)
def shape_of(expression: str) -> Shape:
    """Return the shape of an expression that parses."""
    bare = _TEXT.sub(" ", expression)
    bodies, depth = _bodies(bare)
    macros = len(bodies)
    joined = bare.count("+") + max(0, bare.count(",") - macros)
    growth = float(((joined + macros) / macros) ** macros) if macros else float(joined + 1)
    # A macro within another one may name the outer one's item, which may be the whole context.
    outside = depth > 1 or any(re.search(r"\b(context|visits)\b", body) for body in bodies)
    asked = tuple(sorted({found[0] or found[1] for found in _VISIT.findall(expression)}))
    return Shape(macros, depth, growth, outside, joined, asked)


def _bodies(bare: str) -> tuple[list[str], int]:
    """The text between the parentheses of each macro, and how deep macros are within each other."""
    bodies: list[str] = []
    opened: list[int | None] = []
    deepest = 0
    for found in _OPENING.finditer(bare):
        if found.group().endswith("("):
            opened.append(found.end() if found["macro"] else None)
            deepest = max(deepest, sum(start is not None for start in opened))
        elif opened:
            start = opened.pop()
            if start is not None:
                bodies.append(bare[start : found.start()])
    return bodies, deepest


def cost_at_most(expression: str, values: dict[str, Any]) -> float:
    """Return how many characters and items evaluating the expression on ``values`` can touch."""
    shape = shape_of(expression)
    weight, longest = size_of(values)
    longest = max(longest, shape.literal)
    rounds = min(max(1, shape.macros) * float(max(1, longest)) ** shape.depth, MAX_ROUNDS) if shape.macros else 1
    touched = weight * rounds if shape.outside else weight * max(1, shape.macros)
    return shape.growth * touched


def size_of(value: Any) -> tuple[int, int]:
    """Return the characters and items in a JSON value, and the length of its longest list or object."""
    total, longest, rest = 0, 1, [value]
    while rest:
        node = rest.pop()
        total += 1
        if isinstance(node, str):
            total += len(node)
        elif isinstance(node, dict | list):
            longest = max(longest, len(node))
            rest.extend(node.values() if isinstance(node, dict) else node)
    return total, longest
