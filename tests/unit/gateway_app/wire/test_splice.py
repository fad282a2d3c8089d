"""A body is spliced, never written anew."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.exceptions import InvalidInput
from gateway_app.wire.splice import document

_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_SCALAR = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
_VALUE = st.recursive(
    _SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4), max_leaves=12
)
_SPACE = st.text(" \t\r\n", max_size=3)


@st.composite
def _bodies(draw: st.DrawFn) -> tuple[str, dict[str, Any], str]:
    """Return an object as text with arbitrary white space and escapes, its values, and the name of one member."""
    values = draw(st.dictionaries(_TEXT, _VALUE, min_size=1, max_size=6))
    spaces = [draw(_SPACE) for _ in range(4)]
    members = []
    for name, value in values.items():
        key = json.dumps(name, ensure_ascii=draw(st.booleans()))
        text = json.dumps(value, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
        members.append(f"{spaces[0]}{key}{spaces[1]}:{spaces[2]}{text}{spaces[3]}")
    return f"{spaces[3]}{{{','.join(members)}}}{spaces[0]}", values, draw(st.sampled_from(sorted(values)))


@given(_bodies(), _TEXT)
def test_only_the_replaced_value_differs(body: tuple[str, dict[str, Any], str], new: str) -> None:
    text, values, name = body
    found = document(text.encode())
    assert found.values == values
    start, end = found.spans[name]
    edited = found.edited([found.replaced(name, json.dumps(new))]).decode()
    assert edited == text[:start] + json.dumps(new) + text[end:]
    assert json.loads(edited) == values | {name: new}


@given(_bodies())
def test_no_edit_is_no_change(body: tuple[str, dict[str, Any], str]) -> None:
    assert document(body[0].encode()).edited([]) == body[0].encode()


@given(_bodies())
def test_added_member_leaves_the_rest_as_it_was(body: tuple[str, dict[str, Any], str]) -> None:
    text, values, _name = body
    edited = document(text.encode())
    content = edited.edited([edited.added("a new name of thirteen", "[1]")]).decode()
    assert json.loads(content) == values | {"a new name of thirteen": [1]}
    assert content.replace('"a new name of thirteen":[1],', "", 1) == text


def test_member_is_added_to_an_empty_object() -> None:
    empty = document(b" { } ")
    assert empty.edited([empty.added("a", "1")]) == b' {"a":1 } '


def test_member_of_an_inner_object_is_replaced() -> None:
    body = b'{"b": {"a" : [1], "c":2e0}, "a": 3}'
    inner = document(body).inner("b")
    assert inner.edited([inner.replaced("a", "null")]) == b'{"b": {"a" : null, "c":2e0}, "a": 3}'


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        found = document(body)
    except InvalidInput:
        return
    assert json.loads(body) == found.values


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"a"}',
        b'{"a":}',
        b'{"a":1,}',
        b"{'a':1}",
        b"{a:1}",
        b'{"a":1} x',
        b'{"a":1}{}',
        b'{"a":NaN}',
        b'{"a":[Infinity]}',
        b'{"a":-Infinity}',
        b'{"a":01}',
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\\ud800"}',
        b'{"a":{"\\uDFFF":1}}',
        b'{"a":"\n"}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' + b"9" * 5_000 + b"}",
    ],
)
def test_nonsense_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput) as refused:
        document(body)
    assert refused.value.details == ()


def test_surrogate_pairs_are_characters() -> None:
    body = b'{"a":"\\ud83d\\ude00","b":"\\\\ud800"}'
    assert document(body).values == {"a": "😀", "b": "\\ud800"}
