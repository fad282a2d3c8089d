"""Processes that tests start, kill and wait for."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from config.runtime.bonds import die_with_parent
from config.runtime.children import end_group, kill_group, tail

T = TypeVar("T")

PATIENCE = 3


class ProcessDiedError(AssertionError):
    """A process ended by itself; the message ends with the last lines of its log."""


class Process:
    """One process in a group of its own, its output in ``log``; killed when the test run ends, however it ends."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                list(command),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509
            )

    @property
    def pid(self) -> int:
        """The id of the process, and of its group."""
        return self._popen.pid

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._popen.poll() is None

    def kill9(self) -> None:
        """Kill it and its children without warning, as a power cut or the kernel would."""
        kill_group(self.pid)
        self._popen.wait()

    def freeze(self) -> None:
        """Stop it where it stands, as a long pause of the machine would."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze`."""
        os.killpg(self.pid, signal.SIGCONT)

    def stop(self, grace: float = 15) -> None:
        """Ask it to end; kill what is left after ``grace`` seconds."""
        if self.is_alive:
            self._popen.terminate()
        end_group(self._popen, grace)

    def wait_until(self, predicate: Callable[[], T], timeout: float = 30) -> T:
        """Wait for ``predicate`` as `wait_until`, but give up at once when the process ends."""

        def checked() -> T:
            if not self.is_alive:
                raise ProcessDiedError(f"{self.name} ended.\n{tail(self.log)}")
            return predicate()

        return wait_until(checked, timeout, lambda: f"{self.name} is not ready.\n{tail(self.log)}")


def wait_until(
    predicate: Callable[[], T], timeout: float = 30, explain: Callable[[], str] | None = None, pause: float = 0.05
) -> T:
    """Call ``predicate`` until it returns something true, and return that; raises TimeoutError with ``explain()``.

    ``timeout`` is what a machine with nothing else to do may take; a busy one is given `PATIENCE` times as long.
    """
    deadline = time.monotonic() + timeout * PATIENCE
    while not (result := predicate()):
        if time.monotonic() > deadline:
            raise TimeoutError(explain() if explain else f"Not within {timeout * PATIENCE} s: {predicate}")
        time.sleep(pause)
    return result
