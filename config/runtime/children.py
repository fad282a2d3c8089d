"""One process of the running system: started in a group of its own, logged to a file, stopped with its whole group."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from config.runtime.bonds import die_with_parent

Process = subprocess.Popen[bytes]


@dataclass
class Child:
    """A command that should be running. ``grace`` is how many seconds it has to end by itself."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    grace: float = 15.0
    process: Process | None = None

    def start(self) -> None:
        """Start it; its output goes to the end of its log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603
                list(self.command),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(),  # noqa: PLW1509
            )

    def ask_to_stop(self) -> None:
        """Send the polite signal to the main process, which tells its own."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def stop(self) -> None:
        """Wait until it has ended, at most ``grace`` seconds, then end what is left of its group."""
        if self.process:
            self.ask_to_stop()
            end_group(self.process, self.grace)


def end_group(process: Process, grace: float) -> None:
    """Give the process ``grace`` seconds to end, then kill it and whatever is left in its group."""
    try:
        process.wait(timeout=grace)
    except subprocess.TimeoutExpired:
        process.kill()
    kill_group(process.pid)
    process.wait()


def kill_group(group: int) -> None:
    """Kill every process of the group; none left is fine."""
    try:
        os.killpg(group, signal.SIGKILL)
    except OSError:
        return


def how_it_ended(code: int) -> str:
    """Say in words what an exit code means."""
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def tail(log: Path, characters: int = 2000) -> str:
    """Return the end of a log file; empty when there is none."""
    try:
        return log.read_text(errors="replace")[-characters:].strip()
    except OSError:
        return ""
