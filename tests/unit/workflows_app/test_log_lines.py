"""What becomes of a log line before it is stored."""

import json
import logging
import threading
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows_app.logs import LONGEST_DATA, LONGEST_MESSAGE, Line, collecting, step_log

SOMEBODY = logging.getLogger("somebody.else")


@pytest.fixture
def lines() -> Iterator[list[Line]]:
    found: list[Line] = []
    with collecting(found.append):
        yield found


def test_what_any_logger_says_is_collected_from_info_on(lines: list[Line], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    SOMEBODY.debug("not this")
    SOMEBODY.info("an %s", "info", extra={"count": 3})
    SOMEBODY.warning("a warning")
    SOMEBODY.critical("the end")
    assert [(line.level, line.logger, line.message, line.data) for line in lines] == [
        ("info", "somebody.else", "an info", {"count": 3}),
        ("warning", "somebody.else", "a warning", {}),
        ("critical", "somebody.else", "the end", {}),
    ]


def test_outside_a_step_nothing_is_collected() -> None:
    found: list[Line] = []
    with collecting(found.append):
        pass
    SOMEBODY.warning("to nobody")
    step_log("to nobody")
    assert found == []


def test_prompts_are_left_to_their_own_log(lines: list[Line]) -> None:
    logging.getLogger("deepspace.prompts").warning("a prompt")
    assert lines == []


def test_what_a_step_says_itself_comes_once_and_whatever_the_log_level(lines: list[Line]) -> None:
    step_log("said", level="debug", tries=2)
    step_log("and said", level="warning")
    assert [(line.level, line.message, line.data) for line in lines] == [
        ("debug", "said", {"tries": 2}),
        ("warning", "and said", {}),
    ]


def test_an_unknown_level_is_a_mistake_of_the_handler(lines: list[Line]) -> None:
    with pytest.raises(KeyError):
        step_log("x", level="loud")


def test_an_exception_comes_with_its_trace(lines: list[Line]) -> None:
    try:
        int("of ours")
    except ValueError:
        SOMEBODY.exception("broke")
    assert lines[0].level == "error"
    assert lines[0].data["exception"].endswith("with base 10: 'of ours'")


def test_secrets_are_taken_out_of_text_and_fields(lines: list[Line], settings: Any) -> None:
    key = "sk-" + "a1b2c3d4e5f6"
    SOMEBODY.warning("with %s", key, extra={"headers": {"Authorization": f"Bearer {key}"}, "nested": [{"note": key}]})
    step_log(f"password={key}xyz", address="redis://user:hunter22@host/0")
    said = json.dumps([line.as_json() for line in lines])
    assert key not in said
    assert "hunter22" not in said
    assert said.count("[redacted]") >= 4


def test_a_secret_is_taken_out_before_the_line_is_cut(lines: list[Line]) -> None:
    key = "sk-" + "a1b2c3d4e5f6" * 20
    step_log("x" * (LONGEST_MESSAGE - 8) + " " + key)
    assert "a1b2" not in lines[0].message


def test_long_lines_and_fields_are_cut(lines: list[Line]) -> None:
    step_log("y" * 100_000, page="z" * 100_000)
    assert len(lines[0].message) == LONGEST_MESSAGE
    assert lines[0].message.endswith("…")
    assert len(json.dumps(lines[0].data)) < LONGEST_DATA + 100


def test_what_no_database_holds_is_replaced(lines: list[Line]) -> None:
    deep: dict[str, Any] = {}
    for _level in range(200):
        deep = {"in": deep}
    # The half character is no part of the message: the runner of the tests could not tell of it.
    broken = {"\0": b"\xff", "half": "\ud800"}
    step_log("nul\0", number=float("nan"), deep=deep, what=uuid4(), broken=broken, many=(1, 2))
    line = lines[0]
    assert "\0" not in line.message
    line.message.encode()
    text = json.dumps(line.data, allow_nan=False)
    assert "\\u0000" not in text


@given(st.text(max_size=50), st.dictionaries(st.text(max_size=10), st.text(max_size=30) | st.floats() | st.binary()))
def test_any_line_can_be_stored(message: str, data: dict[str, Any]) -> None:
    found: list[Line] = []
    with collecting(found.append):
        SOMEBODY.warning("%s", message, extra={"fields": data})
    (line,) = found
    text = json.dumps(line.as_json(), allow_nan=False)
    assert "\\u0000" not in text.replace("\\\\", "")
    text.encode()


def test_a_record_that_cannot_be_formatted_does_not_reach_the_step(
    lines: list[Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    SOMEBODY.warning("%d", "no number")
    assert lines == []


def test_a_thread_is_heard_when_it_has_the_steps_context(lines: list[Line]) -> None:
    context = copy_context()
    for target in (lambda: SOMEBODY.warning("alone"), lambda: context.run(SOMEBODY.warning, "with context")):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()
    assert [line.message for line in lines] == ["with context"]
