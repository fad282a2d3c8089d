"""What the person at the terminal sees: one line a step, with its time."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(line: str) -> None:
    """Print a line at once, also into a pipe; a reader that has gone away is no reason to stop serving."""
    try:
        print(line, flush=True)  # noqa: T201
    except OSError:
        sys.stdout = open("/dev/null", "w")  # noqa: PTH123, SIM115


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what begins and, when it has succeeded, how long it took."""
    begun = time.monotonic()
    say(f"{what} …")
    yield
    say(f"{what}: {time.monotonic() - begun:.1f} s")
