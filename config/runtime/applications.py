"""The applications: the two workers, the scheduler, the web server."""

import sys
from collections.abc import Mapping

from config.runtime.children import Child
from config.runtime.options import Options

# At most 2 processes of the work queue, the second one only while there is work for two.
WORK_PROCESSES = "2,1"
CELERY = [sys.executable, "-m", "celery", "-A", "config"]
QUIET = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"]


def applications(options: Options, environment: Mapping[str, str]) -> list[Child]:
    """Return what to run, in the order of starting; it is stopped in the reverse order."""

    def child(name: str, command: list[str]) -> Child:
        log = options.data_dir / "logs" / f"{name.replace(' ', '-')}.log"
        return Child(name, command, environment, log)

    return [
        child("model worker", _worker("model", ["-P", "threads", "-c", str(options.model_threads)])),
        child("work worker", _worker("work", ["-P", "prefork", "--autoscale", WORK_PROCESSES])),
        child("web", _web(options)),
        child("beat", _beat(options)),
    ]


def _worker(queue: str, pool: list[str]) -> list[str]:
    return [*CELERY, "worker", "-Q", queue, "-n", f"{queue}@%h", *pool, *QUIET]


def _beat(options: Options) -> list[str]:
    schedule = options.data_dir / "beat-schedule"
    return [*CELERY, "beat", "--schedule", str(schedule), "--pidfile", "", "--loglevel", "INFO"]


def _web(options: Options) -> list[str]:
    """Granian; an open stream has ten seconds to end when the server stops."""
    command = [sys.executable, "-m", "granian", "config.asgi:application", "--interface", "asgi"]
    command += ["--host", options.host, "--port", str(options.port), "--workers", str(options.web_workers)]
    return [*command, "--respawn-failed-workers", "--workers-kill-timeout", "10", "--no-access-log"]
