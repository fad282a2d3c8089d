"""Whole copies of the system, run by the process manager as `make run` does."""

import contextlib
import json
import os
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import psutil
import psycopg

from config.environment import BASE_DIR
from config.runtime.ports import free_port
from tests.support.processes import Process, wait_until

# What the test run itself needs, and a copy of the system must not see.
_OURS = (
    "DATABASE_URL",
    "REDIS_URL",
    "DJANGO_SECRET_KEY",
    "DJANGO_SETTINGS_MODULE",
    "DATA_DIR",
    "DEBUG",
    "OPENAI_API_KEY",
)
MANAGER = [sys.executable, "-m", "config.runtime"]


def copy_environment(data_dir: Path, port: int, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of a copy; a provider is set, so that no model is loaded."""
    kept = {name: value for name, value in os.environ.items() if name not in _OURS}
    own = {"DATA_DIR": str(data_dir), "PORT": str(port), "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    return {**kept, **own, "PYTHONPATH": str(BASE_DIR), **(changes or {})}


class SystemCopy(Process):
    """One `make run` on a DATA_DIR and PORT of its own; ``said`` is what it printed."""

    def __init__(
        self,
        data_dir: Path,
        changes: Mapping[str, str] | None = None,
        *,
        port: int = 0,
        command: list[str] | None = None,
    ) -> None:
        self.data_dir = data_dir
        self.port = port or free_port()
        log = data_dir.parent / f"{data_dir.name}-{self.port}.out"
        log.unlink(missing_ok=True)
        super().__init__("copy", command or MANAGER, copy_environment(data_dir, self.port, changes), log)

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_ready(self) -> "SystemCopy":
        """Wait until it says that it serves."""
        self.wait_for(f"Ready: http://127.0.0.1:{self.port}", timeout=180)
        return self

    def wait_for(self, words: str, timeout: float = 60) -> None:
        """Wait until it has printed something that matches."""
        self.wait_until(lambda: re.search(words, self.said), timeout)

    def wait_end(self, timeout: float = 60) -> int:
        """Wait until it has ended; returns its exit code."""
        return self._popen.wait(timeout)

    def terminate(self) -> None:
        """Send SIGTERM to the manager alone."""
        self._popen.terminate()

    def answer(self) -> int:
        """Return the status of the sign-in page; 0 when nobody answers."""
        try:
            return int(urllib.request.urlopen(f"http://127.0.0.1:{self.port}/accounts/login/", timeout=20).status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def published(self) -> dict[str, str]:
        """Return what it tells ``./manage.py``."""
        return dict(json.loads((self.data_dir / "runtime.json").read_text())["environment"])

    def owner_connection(self) -> "psycopg.Connection[tuple[object, ...]]":
        """Connect to its database as the owner of the tables."""
        return psycopg.connect(self.published()["DATABASE_OWNER_URL"], autocommit=True)

    def tree(self) -> list[psutil.Process]:
        """Return every process it runs, its own children and theirs."""
        return psutil.Process(self.pid).children(recursive=True)

    def find(self, *words: str) -> psutil.Process | None:
        """Return the oldest process of its tree whose command line has all the words."""
        for process in sorted(self.tree(), key=psutil.Process.create_time):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended meanwhile
                line = " ".join(process.cmdline())
                if all(word in line for word in words):
                    return process
        return None

    def wait_process(self, *words: str) -> psutil.Process:
        """Wait for a process as `find` does."""
        self.wait_until(lambda: self.find(*words))
        found = self.find(*words)
        assert found
        return found


def wait_gone(processes: list[psutil.Process], timeout: float = 20) -> None:
    """Wait until none of the processes runs any more."""
    wait_until(lambda: not any(map(is_alive, processes)), timeout, lambda: f"Left: {list(filter(is_alive, processes))}")


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs; one that has ended and waits for its parent to notice does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
