"""Assertions on texts: what holds, what does not, and what cannot be told."""

from typing import Any

import pytest

from prompts_app.services.assertions import assertion_check

RECIPE = {"type": "object", "required": ["title"], "properties": {"title": {"type": "string", "pattern": "^T"}}}


@pytest.mark.parametrize(
    ("kind", "value", "text", "outcome"),
    [
        ("contains", "tea", "green tea", "passed"),
        ("contains", "Tea", "green tea", "failed"),
        ("icontains", "TEA", "green tea", "passed"),
        ("not-contains", "milk", "green tea", "passed"),
        ("not-icontains", "TEA", "green tea", "failed"),
        ("equals", "green tea", " green tea\n", "passed"),
        ("equals", "tea", "green tea", "failed"),
        ("regex", r"g\w+n", "green tea", "passed"),
        ("regex", r"^tea", "green tea", "failed"),
        ("json-schema", RECIPE, '{"title": "Tea"}', "passed"),
        ("json-schema", RECIPE, '```json\n{"title": "Tea"}\n```', "passed"),
        ("json-schema", RECIPE, '{"title": "Milk"}', "failed"),
        ("json-schema", RECIPE, '{"title": 5}', "failed"),
        ("json-schema", RECIPE, "no JSON", "failed"),
        ("not-json-schema", RECIPE, "no JSON", "passed"),
        ("is-json", None, "[1, 2]", "passed"),
        ("is-json", None, "[1, 2", "failed"),
        ("is-json", None, "[" * 100_000, "failed"),
        ("poem", "x", "text", "error"),
        ("not-poem", "x", "text", "error"),
        ("", None, "text", "error"),
        ("contains", 5, "text", "error"),
        ("contains", "", "text", "error"),
        ("regex", "(", "text", "error"),
        ("not-regex", "(", "text", "error"),
        ("json-schema", "x", "{}", "error"),
        ("json-schema", {"type": "nonsense"}, "{}", "error"),
        ("json-schema", {"patternProperties": {"a": {}}}, "{}", "error"),
        ("json-schema", {"$ref": "https://example.com/schema.json"}, "{}", "error"),
        ("json-schema", {"$ref": "#"}, "{}", "error"),
    ],
)
def test_outcomes(kind: str, value: Any, text: str, outcome: str) -> None:
    result = assertion_check({"type": kind, "value": value}, text)
    assert (result.outcome, result.type) == (outcome, kind)
    assert result.message


def test_a_pattern_that_explodes_is_given_up() -> None:
    result = assertion_check({"type": "regex", "value": r"^(\w+\s?)+$"}, "word " * 40 + "!")
    assert result.outcome in ("failed", "error")
    exploding = assertion_check({"type": "regex", "value": r"(a|aa|b?a)+$"}, "a" * 5_000 + "!")
    assert exploding.outcome in ("failed", "error")


def test_a_schema_that_explodes_is_given_up() -> None:
    definitions: dict[str, Any] = {"d0": {"type": "object"}}
    for level in range(1, 40):
        below = {"$ref": f"#/$defs/d{level - 1}"}
        definitions[f"d{level}"] = {"allOf": [below, below]}
    result = assertion_check({"type": "json-schema", "value": {"$defs": definitions, "$ref": "#/$defs/d39"}}, "{}")
    assert result.outcome == "error"


def test_a_schemas_pattern_that_explodes_is_given_up() -> None:
    schema = {"type": "string", "pattern": r"^(a|a?)+$"}
    result = assertion_check({"type": "json-schema", "value": schema}, '"' + "a" * 5_000 + '!"')
    assert result.outcome in ("failed", "error")
