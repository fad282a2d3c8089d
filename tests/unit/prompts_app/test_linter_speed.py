"""The linter takes time in proportion to the text, whatever is in it."""

import time

import pytest

from prompts_app.contracts import LintDocument, VariableSpec
from prompts_app.services.linter import lint

# Each has made a backtracking pattern explode somewhere.
NASTY = [
    "{{ " * 10 + " ",
    "{" * 30,
    "{{" + " " * 30,
    "<a " * 10,
    "[insert " * 5,
    "`" * 30,
    "a@a." * 8,
    "1 1-" * 8,
    "eyJ" * 10 + ".",
    "-----BEGIN " * 3,
    "ignore all the your my ",
    "忽略以上的所有的",
    "lint-disable <!-- lint-disable 302 ",
    "word " * 6,
    "茶" * 30,
    "\n" * 30,
    "password : : : : ",
    "# \n--- ",
    "~~~\n",
    "<a>{{ b }}</a>",
    "one two three four five six seven eight nine.\n\n",
]


def seconds(text: str) -> float:
    """Return the least CPU time of three runs over both targets: what others do on the machine does not count."""
    documents = (
        LintDocument("prompt", messages=({"role": "user", "content": text},), variables=(VariableSpec("b"),)),
        LintDocument("text", text=text),
    )

    def once() -> float:
        begun = time.thread_time()
        for document in documents:
            lint(document)
        return time.thread_time() - begun

    return min(once() for _attempt in range(3))


@pytest.mark.parametrize("piece", NASTY, ids=lambda piece: repr(piece[:12]))
def test_eight_times_the_text_takes_nowhere_near_sixty_four_times_as_long(piece: str) -> None:
    base = 5_000 // len(piece)
    small, large = seconds(piece * base), seconds(piece * base * 8)
    assert large < 32 * small + 0.02, f"{large / small:.1f} times"
