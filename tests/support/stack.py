"""The running system for tests: web server, workers and the scripted upstream, on the test run's own database."""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from config.runtime.ports import free_port, is_listening
from tests.support.processes import Process
from tests.support.upstream import ScriptedUpstream

_PYTHON = [sys.executable, "-X", "faulthandler"]


class Stack:
    """Web server and workers as processes. `start` once; tests may add some, and kill any."""

    web: Process
    model_worker: Process
    work_worker: Process

    def __init__(self, upstream: ScriptedUpstream, given: Mapping[str, str] | None = None) -> None:
        self.upstream = upstream
        self.given = dict(given or {})
        # What ``celery -A`` names: ours, or one that does something to it (`tests.support.faults.DOUBLED`).
        self.application = "config"
        self.home = Path(tempfile.mkdtemp(prefix="deepspace-stack-"))
        self.port = free_port()
        self.processes: list[Process] = []
        self.numbers = count()

    @property
    def url(self) -> str:
        """The address of the web server, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        """The same for websockets."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What every process of the stack gets: the test run's settings, and the scripted upstream as provider."""
        return {
            **os.environ,
            "DATA_DIR": str(self.home),
            "METRICS_DIR": str(self.home / "metrics"),
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "OPENAI_BASE_URL": self.upstream.url,
            "OPENAI_API_KEY": "scripted",
            "OPENAI_MODEL": "scripted",
            "LOG_LEVEL": "INFO",
            **self.given,
        }

    def start(self) -> None:
        """Start everything that does not run, and wait until it answers."""
        if not _runs(getattr(self, "model_worker", None)):
            self.model_worker = self.spawn_worker("model")
        if not _runs(getattr(self, "work_worker", None)):
            self.work_worker = self.spawn_worker("work")
        if not _runs(getattr(self, "web", None)):
            self.web = self.spawn_web()
        wait_ready(self.model_worker)
        wait_ready(self.work_worker)

    def restart_web(self) -> None:
        """Start the web server again, where it was."""
        self.web.stop()
        self.web = self.spawn_web()

    def mend(self) -> None:
        """Stop what a test started besides, and start again what it killed."""
        own = (self.web, self.model_worker, self.work_worker)
        for process in self.processes:
            if process not in own:
                process.stop()
        self.processes = [process for process in own if process.is_alive]
        self.start()

    def stop(self) -> None:
        """Stop every process that was ever started here."""
        for process in self.processes:
            process.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def spawn(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> Process:
        """Start one more process of the stack, with a log of its own."""
        log = self.home / "logs" / f"{name}-{next(self.numbers)}.log"
        process = Process(name, [*_PYTHON, *command], {**self.environment, **(environment or {})}, log)
        self.processes.append(process)
        return process

    def spawn_web(self, environment: Mapping[str, str] | None = None, port: int = 0) -> Process:
        """Start a web server on ``port`` (the stack's own by default) and wait until it accepts connections."""
        port = port or self.port
        command = ["-m", "granian", "config.asgi:application", "--interface", "asgi", "--no-access-log"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--workers-kill-timeout", "5"]
        web = self.spawn("web", command, {"PORT": str(port), **(environment or {})})
        web.wait_until(lambda: is_listening(port), timeout=60)
        return web

    def spawn_worker(
        self, queue: str, *, environment: Mapping[str, str] | None = None, concurrency: int = 4, name: str = ""
    ) -> Process:
        """Start a Celery worker for ``model`` (threads) or ``work`` (one process); `wait_ready` waits for it."""
        pool = ["-P", "threads", "-c", str(concurrency)] if queue == "model" else ["-P", "solo"]
        name = name or f"{queue}-{uuid.uuid4().hex[:8]}"
        command = ["-m", "celery", "-A", self.application, "worker", "-Q", queue, "-n", f"{name}@test", *pool]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]
        return self.spawn(name, command, environment)

    def spawn_beat(self, environment: Mapping[str, str] | None = None) -> Process:
        """Start the scheduler."""
        schedule = ["--schedule", str(self.home / "beat-schedule"), "--pidfile", ""]
        return self.spawn("beat", ["-m", "celery", "-A", self.application, "beat", *schedule], environment)


def _runs(process: Process | None) -> bool:
    return process is not None and process.is_alive


def wait_ready(worker: Process) -> Process:
    """Wait until a worker takes jobs."""
    worker.wait_until(lambda: " ready." in worker.log.read_text(errors="replace"), timeout=60)
    return worker
