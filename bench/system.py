"""The system under test: a complete `make run` of its own, with a scripted model server behind it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from config.runtime.ports import free_port, is_listening

ROOT = Path(__file__).resolve().parents[1]
EMAIL = "bench@example.com"


class System:
    """Starts everything in a temporary folder; ``with System() as system`` stops it again."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="deepspace-bench-"))
        self.home.chmod(0o755)
        self.port, self.upstream_port = free_port(), free_port()
        self.children: list[subprocess.Popen[bytes]] = []
        self.environment = os.environ | {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "DATA_DIR": str(self.home),
            "WEB_WORKERS": "1",
            "OPENAI_API_KEY": "bench",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.upstream_port}/v1",
            "OPENAI_MODEL": "gpt-4o-mini",
        }

    def __enter__(self) -> "System":
        self.spawn("upstream", "-m", "tests.support.upstream", "--port", str(self.upstream_port))
        self.manager = self.spawn("manager", "-m", "config.runtime")
        self.wait_for(self.upstream_port)
        self.wait_for(self.port)
        self.key = self.manage("create_api_key", EMAIL, "--create-user").splitlines()[-1]
        self.manage("wallet_topup", EMAIL, "1000")
        return self

    def __exit__(self, *_exc: object) -> None:
        for child in reversed(self.children):
            child.terminate()
            child.wait(timeout=60)
        shutil.rmtree(self.home, ignore_errors=True)

    def spawn(self, name: str, *arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a Python process of the project; its output goes to a file that is shown when it dies."""
        log = (self.home / f"{name}.log").open("ab")
        command = [sys.executable, *arguments]
        child = subprocess.Popen(command, cwd=ROOT, env=self.environment | environment, stdout=log, stderr=log)  # noqa: S603
        self.children.append(child)
        return child

    def manage(self, *arguments: str) -> str:
        """Run a management command; return what it printed."""
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"{arguments}: {done.stderr[-2000:]}")
        return done.stdout.strip()

    @property
    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def runtime(self) -> dict[str, Any]:
        """Return the addresses that the process manager wrote down."""
        written: dict[str, Any] = json.loads((self.home / "runtime.json").read_text())["environment"]
        return written

    def wait_for(self, port: int, seconds: int = 120) -> None:
        """Wait until something listens; raises RuntimeError with the logs' ends when a child died or time ran out."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and all(child.poll() is None for child in self.children):
            if is_listening(port):
                return
            time.sleep(0.1)
        tails = "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in self.home.glob("*.log"))
        raise RuntimeError(f"Nothing listens on {port}.\n{tails}")
