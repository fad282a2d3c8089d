"""Keeping a process running: notice that it ended, wait a little longer each time, start it again, and say so."""

import os
import time
from pathlib import Path
from typing import Protocol

from config.runtime.children import Process, how_it_ended, kill_group, tail
from config.runtime.console import say
from config.runtime.errors import StartError
from config.runtime.guardian import Guardian

FIRST_PAUSE = 0.5  # seconds before a process that ended is started again; doubled each time
LONGEST_PAUSE = 30.0
STABLE_AFTER = 60.0  # seconds of life after which the pause begins at its shortest again
LOG_LIMIT = 20 * 1024 * 1024  # bytes; a log that grew longer is begun anew


class Unit(Protocol):
    """A process that can be started (again) and stopped."""

    process: Process | None
    log: Path

    def start(self) -> None:
        """Start it and return when it can be used."""

    def stop(self) -> None:
        """End it and return when it has ended."""


class Keeper:
    """Keeps one unit running."""

    def __init__(self, name: str, unit: Unit, guardian: Guardian, *, ask: bool) -> None:
        self.name = name
        self.ask = ask
        self.unit = unit
        self.guardian = guardian
        self.failures = 0
        self.begun_at = 0.0
        self.due: float | None = None

    def start(self) -> None:
        """Start the unit and have it guarded."""
        self.unit.start()
        assert self.unit.process
        self.guardian.add(self.unit.process.pid, ask=self.ask)
        self.begun_at = time.monotonic()
        self.due = None

    def stop(self) -> None:
        """End the unit; it is not started again."""
        self.unit.stop()
        self._forget()

    def look_after(self) -> None:
        """Start the unit again when it has ended and its pause is over; keep its log short."""
        process = self.unit.process
        if self.due is None and process and process.poll() is not None:
            self._ended(process)
        elif self.due is not None and time.monotonic() >= self.due:
            self._try_again()
        _shorten(self.unit.log)

    def kill(self) -> None:
        """End the unit without asking."""
        if self.unit.process and self.unit.process.poll() is None:
            kill_group(self.unit.process.pid)

    def last_words(self) -> str:
        """Return the end of its log."""
        return tail(self.unit.log)

    def _ended(self, process: Process) -> None:
        self._forget()
        kill_group(process.pid)  # its own children, which would keep its port or its work
        if time.monotonic() - self.begun_at > STABLE_AFTER:
            self.failures = 0
        pause = self._plan()
        say(
            f"{self.name} (process {process.pid}) {how_it_ended(process.returncode)}. Starting it again in {pause:g} s."
        )

    def _try_again(self) -> None:
        try:
            self.start()
        except (StartError, OSError) as failed:
            say(f"{self.name} could not be started; trying again in {self._plan():g} s. {failed}")
        else:
            assert self.unit.process
            say(f"{self.name} runs again (process {self.unit.process.pid}).")

    def _plan(self) -> float:
        pause = min(FIRST_PAUSE * 2.0**self.failures, LONGEST_PAUSE)
        self.failures += 1
        self.due = time.monotonic() + pause
        return pause

    def _forget(self) -> None:
        if self.unit.process and self.unit.process.pid in self.guardian.groups:
            self.guardian.remove(self.unit.process.pid)


def _shorten(log: Path) -> None:
    """Whoever writes it appends, so a log can be emptied under its hands."""
    try:
        if log.stat().st_size > LOG_LIMIT:
            os.truncate(log, 0)
    except OSError:
        return
