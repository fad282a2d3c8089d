"""Placeholders: what is filled in, what is left alone, what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts_app.exceptions import InvalidInput
from prompts_app.contracts import VariableSpec
from prompts_app.services.templating import (
    MAX_RENDERED_CHARS,
    names_in,
    render_messages,
    render_text,
    scan,
    specs_for,
    values_for,
    variables_used,
)

NAMES = st.from_regex(r"[a-zA-Z茶][a-zA-Z0-9_]{0,8}", fullmatch=True)
BRACED = st.text(alphabet="{}\\ %#\"':ab茶\n", max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(BRACED, st.dictionaries(NAMES, st.text(max_size=8), max_size=4))
def test_rendering_never_fails_and_keeps_all_that_is_no_placeholder(text: str, values: dict[str, str]) -> None:
    rendered = render_text(text, values)
    expected, at = "", 0
    for place in scan(text):
        piece = text[place.start : place.end]
        expected += text[at : place.start] + (piece[1:] if place.escaped else values.get(place.name, piece))
        at = place.end
    assert rendered == expected + text[at:]


@given(JSON)
def test_json_comes_through_as_it_was(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=2), json.dumps(value, separators=(",", ":"))):
        if not names_in(text) and "\\{{" not in text:
            assert render_text(f"Return {text}.", {"a": "b"}) == f"Return {text}."


@given(NAMES, st.text(alphabet="{} \\ab", max_size=30), st.sampled_from(["", " ", "  \t"]))
def test_values_are_put_in_as_they_are_and_never_read_again(name: str, value: str, space: str) -> None:
    text = "<{{" + space + name + space + "}}|{{ " + name + " }}>"
    assert render_text(text, {"a": "AGAIN", "b": "AGAIN"} | {name: value}) == f"<{value}|{value}>"


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_names_are_found_once_in_order(names: list[str]) -> None:
    text = " and ".join("{{ " + name + " }}" for name in names)
    assert names_in(text) == list(dict.fromkeys(names))


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("{{name}} {{ name }}", "Ada Ada"),
        ("\\{{ name }}", "{{ name }}"),
        ("{{{name}}}", "{Ada}"),
        ('{"a": "{{ name }}"}', '{"a": "Ada"}'),
        ("{name} {{}} {{ 1 }} {{ na me }} {{name", "{name} {{}} {{ 1 }} {{ na me }} {{name"),
        ("{{ name\n}}", "{{ name\n}}"),
        ("{{ other }}", "{{ other }}"),
    ],
)
def test_rendering_by_example(text: str, rendered: str) -> None:
    assert render_text(text, {"name": "Ada"}) == rendered


def test_nothing_is_carried_out() -> None:
    text = "{{ name.__class__ }} {% if x %} {{ 7*7 }} ${name} %(name)s {0}"
    assert render_text(text, {"name": "Ada"}) == text


def test_values_defaults_and_what_is_missing() -> None:
    specs = (VariableSpec("a"), VariableSpec("b", required=False, default="B"), VariableSpec("c", required=False))
    assert values_for(specs, {"a": "x"}) == {"a": "x", "b": "B", "c": ""}
    assert values_for(specs, {"a": "x", "b": "y", "c": "z"}) == {"a": "x", "b": "y", "c": "z"}
    with pytest.raises(InvalidInput) as caught:
        values_for(specs, {"a": "  ", "d": "x", "c": "\ud800"})
    assert [item.field for item in caught.value.details] == ["variables.d", "variables.c", "variables.a"]


def test_values_must_be_texts() -> None:
    with pytest.raises(InvalidInput) as caught:
        values_for((VariableSpec("a"),), {"a": 5})  # type: ignore[dict-item]
    assert caught.value.details[0].field == "variables.a"


def test_undeclared_variables_are_asked_for() -> None:
    messages = [{"role": "user", "content": "{{ a }} {{ b }}"}]
    assert [spec.name for spec in specs_for(messages, [VariableSpec("b", default="x")])] == ["b", "a"]


def test_parts_of_a_message_are_filled_in_too() -> None:
    image = {"type": "image_url", "image_url": {"url": "{{ a }}"}}
    parts: list[dict[str, Any]] = [{"type": "text", "text": "{{ a }}"}, image]
    messages: list[dict[str, Any]] = [{"role": "user", "content": parts}, {"role": "assistant"}]
    rendered = render_messages(messages, {"a": "x"})
    assert rendered[0]["content"] == [{"type": "text", "text": "x"}, image]
    assert rendered[1] == {"role": "assistant"}
    assert variables_used(messages) == ["a"]


def test_a_prompt_beyond_all_measure_is_refused() -> None:
    messages = [{"role": "user", "content": "{{ a }}{{ a }}{{ a }}"}]
    with pytest.raises(InvalidInput):
        render_messages(messages, {"a": "x" * (MAX_RENDERED_CHARS // 2)})
