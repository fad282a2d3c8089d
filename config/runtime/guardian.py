"""The manager's end of the guard: tells it which process groups to end should the manager be killed."""

import subprocess
import sys

from config.runtime import guard


class Guardian:
    """A small process that outlives a killed manager by as long as it takes to end what it left."""

    def __init__(self) -> None:
        self.groups: dict[int, str] = {}  # group: the line that has it guarded
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, or start it again, with what it has to know."""
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-I", "-S", guard.__file__], stdin=subprocess.PIPE, text=True, start_new_session=True
        )
        for line in self.groups.values():
            self._tell(line)

    def add(self, group: int, *, ask: bool) -> None:
        """Have the group ended when this process dies; ``ask`` it at first to close its files."""
        self.groups[group] = f"{guard.ASK if ask else guard.KILL}{group}"
        self._tell(self.groups[group])

    def remove(self, group: int) -> None:
        """The group has ended; its number may soon be another's."""
        del self.groups[group]
        self._tell(f"{guard.FORGET}{group}")

    def look_after(self) -> None:
        """Start it again if somebody ended it."""
        if self.process and self.process.poll() is not None:
            self.start()

    def stop(self) -> None:
        """Let it go: it finds nothing to end."""
        if self.process and self.process.stdin:
            self.process.stdin.close()
            self.process.wait(timeout=10)

    def _tell(self, line: str) -> None:
        assert self.process
        assert self.process.stdin
        try:
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return  # ended by somebody; look_after starts it again and tells it all
