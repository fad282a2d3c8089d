"""Conditions: what they give, what they refuse, and that none of them holds a worker."""

import time
from typing import Any

import pytest

from workflows_app.exceptions import ConditionFailed
from workflows_app.services.conditions import condition_holds, expression_problem, expression_value
from workflows_app.services.expressions import MAX_CHARS, cost_at_most, shape_of

VALUES: dict[str, Any] = {
    "context": {
        "title": "Saturn",
        "rate": "0.5",
        "count": 3,
        "items": [1, 2, 3],
        "rows": [{"score": 0.4, "name": "a"}, {"score": 0.9, "name": "b"}],
        "nested": {"list": [1, 2.5, None, True, "s"]},
        "none": None,
    },
    "stage": "D",
    "visits": {"A": 1, "D": 2},
    "cost": 0.25,
    "steps_done": 4,
}


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ("true", True),
        ("context.count > 2 && stage == 'D'", True),
        ("context.count > 2.5", True),
        ("visits.D < 3", True),
        ("visits.Q == 0", True),
        ("visits['B-2'] == 0 && visits[\"D\"] == 2", True),
        ("has(visits.Q)", False),
        ("cost < 1", True),
        ("cost < 0.2", False),
        ("steps_done >= 4", True),
        ("has(context.missing)", False),
        ("context.?missing.orValue(7) == 7", True),
        ("context.none == null", True),
        ("context.rows.exists(r, r.score > 0.8)", True),
        ("context.rows.all(r, r.score > 0.8)", False),
        ("context.rows.filter(r, r.score > 0.8).map(r, r.name) == ['b']", True),
        ("double(context.rate) < 0.6", True),
        ("context.title.startsWith('Sat') && context.title.matches('^S.t')", True),
        ("size(context.items) == 3 && 2 in context.items", True),
        ("now > timestamp('2020-01-01T00:00:00Z')", True),
        ("math.greatest(context.items) == 3", True),
    ],
)
def test_conditions_hold_or_do_not(expression: str, holds: bool) -> None:
    assert expression_problem(expression, "a yes or no") is None
    assert condition_holds(expression, VALUES) is holds


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("context.nested", {"list": [1, 2.5, None, True, "s"]}),
        ("context.rows.map(r, {'n': r.name})", [{"n": "a"}, {"n": "b"}]),
        ("timestamp('2026-01-01T00:00:00Z') + duration('90s')", "2026-01-01T00:01:30Z"),
        ("duration('90s')", 90.0),
        ("context.count * 2", 6),
        ("null", None),
        ("1u", 1),
    ],
)
def test_expressions_give_plain_json(expression: str, value: Any) -> None:
    given = expression_value(expression, VALUES)
    assert (given, type(given)) == (value, type(value))


@pytest.mark.parametrize(
    "expression",
    [
        "context.missing == 1",
        "context.count",
        "context.title > 3",
        "1 / 0 == 1",
        "9223372036854775807 + context.count == 0",
        "nope",
        "context.count +",
        "",
        "\ud800",
        "stage + 1 == 2",
        "__import__('os').system('true') == 0",
        "context.__class__ == 1",
    ],
)
def test_what_cannot_be_told_fails_and_names_the_expression(expression: str) -> None:
    with pytest.raises(ConditionFailed) as caught:
        condition_holds(expression, VALUES)
    (detail,) = caught.value.details
    assert (caught.value.code, caught.value.status, detail.field) == ("condition_failed", 422, expression)
    assert detail.message
    assert "INVALID" not in caught.value.message


@pytest.mark.parametrize(
    "expression", ["1.0 / 0.0", "b'x'", "type(1)", "optional.none()", "[b'x']", "{'a': 0.0 / 0.0}"]
)
def test_what_json_cannot_hold_is_refused(expression: str) -> None:
    with pytest.raises(ConditionFailed):
        expression_value(expression, VALUES)


@pytest.mark.parametrize(
    ("expression", "gives", "part"),
    [
        ("context.count +", "anything", "1:16"),
        ("nope > 1", "anything", "nope"),
        ("stage > 1", "anything", "overload"),
        ("context.count + 1 == 'x'", "anything", "overload"),
        ("1 + 1", "a yes or no", "int"),
        ("stage", "a list", "string"),
        ("context.items", "a list", None),
        ("context.when", "a moment", None),
        ("now + duration('1h')", "a moment", None),
        ("duration('1h')", "a moment", "duration"),
        ("a" * (MAX_CHARS + 1), "anything", str(MAX_CHARS)),
        ("(" * 60 + "1" + ")" * 60, "anything", "recursion"),
        ("context.items" + ".map(i, i)" * 4, "anything", "all, exists, map"),
    ],
)
def test_what_is_wrong_is_known_without_values(expression: str, gives: Any, part: str | None) -> None:
    problem = expression_problem(expression, gives)
    assert (problem is None) if part is None else (problem is not None and part in problem)


TEXT = {"context": {"t": "x" * 100_000, "l": list(range(3000)), "inner": {"t": "y" * 1000}}}


@pytest.mark.parametrize(
    "expression",
    [
        "[context.t]" + ".map(a, a + a + a + a + a + a + a + a + a)" * 3,
        "[context.l]" + ".map(a, [a, a, a, a, a, a, a, a])" * 3 + " == []",
        "context.l.all(a, context.l.all(b, context.l.all(c, a + b + c >= 0)))",
        "context.l.exists(a, context.t.contains('xxxxxxxxxxy'))",
        "context.l.exists(a, context.t.matches('(x+x+)+y'))",
        "[context].all(c, c.l.all(a, c.t.matches('(x|xx)*y')))",
        "//'\n[context.t].map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a).map(a, a+a+a+a+a+a+a+a)//'",
        "context.t" + " + context.t" * 25,
        "context.l.map(a, context.t)",
        "optional.of(context.t)" + ".optMap(a, a + a + a + a + a + a + a + a + a + a + a + a)" * 3,
    ],
)
def test_no_expression_holds_a_worker_or_fills_its_memory(expression: str) -> None:
    started = time.process_time()
    with pytest.raises(ConditionFailed):
        expression_value(expression, TEXT)
    assert time.process_time() - started < 3


def test_usual_work_on_long_lists_is_let_through() -> None:
    rows = {"context": {"rows": [{"score": number / 1000, "text": "z" * 100} for number in range(1000)]}}
    assert len(expression_value("context.rows.filter(r, r.score < 0.5).map(r, r.score)", rows)) == 500


def test_the_shape_is_read_past_texts_and_comments() -> None:
    assert shape_of("'https://x.map(a, a)'").macros == 0
    assert shape_of("r'\\' + [1].map(a, a)").macros == 1
    assert shape_of("'''it's [1].map(a, a)'''").macros == 0
    assert shape_of("[1] . map (a, a)").macros == 1
    nested = shape_of("context.a.all(x, context.b.exists(y, x == y))")
    assert (nested.macros, nested.depth, nested.outside) == (2, 2, True)
    chained = shape_of("context.a.filter(x, x > 1).map(x, x)")
    assert (chained.macros, chained.depth, chained.outside) == (2, 1, False)
    assert shape_of("visits.A < 3 && visits['B'] > 0").visits == ("A", "B")
    assert cost_at_most("context.t == ''", TEXT) < cost_at_most("context.l.all(a, context.t == '')", TEXT)


def test_a_condition_takes_microseconds() -> None:
    condition_holds("visits.D < 3", VALUES)
    started = time.process_time()
    for _ in range(1000):
        condition_holds("context.count > 2 && visits.D < 3", VALUES)
    assert time.process_time() - started < 1
