"""The engine: a run of five trivial steps, beside raw commits and DBOS on the same Postgres."""

import json
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.report import Row
from bench.system import ROOT, System

STEPS = 5
RUNS, ROUNDS = 1_000, 3
PEER_HOME = ROOT / "build" / "bench-dbos"
PEER_REQUIREMENTS = Path(__file__).parent / "requirements.txt"


def measure(system: System) -> Iterator[Row]:
    """Yield latency alone, throughput with one worker and with two, CPU a run, and what a kill or a crowd costs."""
    environment = system.environment | system.runtime()
    peer_python = _peer_python()
    # By turns: the hour of the machine is the same for all.
    rounds = [_round(environment, system.home, peer_python) for _number in range(ROUNDS)]
    raw, peer, ours = (_medians(figures) for figures in zip(*rounds, strict=True))
    second = system.spawn("worker-2", *_worker_command(), **system.runtime())
    try:
        _wait_ready(system.home / "worker-2.log")
        both = _medians([_throughput(environment) for _number in range(ROUNDS)])
        orphans = _ours(environment, "orphans", "--kill", str(second.pid))
    finally:
        second.kill()
        second.wait(timeout=60)
    # Last: it leaves thousands of runs behind.
    starts = _ours(environment, "starts")
    yield Row("run of 5 steps, alone, p50", ours["latency_ms"], peer["direct_ms"], "ms", "reference: DBOS, direct call")
    yield Row("the same", ours["latency_ms"], raw["latency_ms"], "ms", "reference: 5 INSERT commits")
    yield Row(
        "runs, one worker", ours["per_second"], peer["per_second"], "runs/s", "reference: DBOS queue, poll 0.02 s"
    )
    yield Row("the same", ours["per_second"], raw["one_per_second"], "runs/s", "reference: raw commits, 1 connection")
    yield Row("the same", ours["per_second"], raw["per_second"], "runs/s", "reference: raw commits, 8 connections")
    yield Row("runs, two workers", both["per_second"], ours["per_second"], "runs/s", "reference: one worker")
    yield Row(
        "waiting runs, two workers",
        both["worked_off_per_second"],
        ours["worked_off_per_second"],
        "runs/s",
        "reference: one worker; nobody starts others meanwhile",
    )
    yield Row("worker CPU a run", ours["cpu_ms"], peer["cpu_ms"], "ms", "reference: DBOS queue")
    yield Row(
        "orphaned runs resumed, the slowest", orphans["resumed_s"], orphans["lease_s"], "s", "reference: the lease"
    )
    yield Row("start under a backlog, p99", starts["start_busy_ms"], starts["start_idle_ms"], "ms", "reference: idle")


def _round(environment: dict[str, str], home: Path, peer_python: str) -> tuple[dict[str, Any], ...]:
    """Raw commits, the peer, and ours with one worker."""
    return (
        _figures(environment, sys.executable, "-m", "bench.workflow.raw"),
        _figures(environment, peer_python, str(ROOT / "bench" / "workflow" / "peer.py"), str(home)),
        _ours(environment, "alone") | _throughput(environment),
    )


def _throughput(environment: dict[str, str]) -> dict[str, Any]:
    return _ours(environment, "many") | _ours(environment, "backlog")


def _medians(rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: median(figures[name] for figures in rounds) for name in rounds[0]}


def _ours(environment: dict[str, str], what: str, *more: str) -> dict[str, Any]:
    return _figures(environment, sys.executable, "-m", "bench.workflow.ours", what, "--runs", str(RUNS), *more)


def _wait_ready(log: Path, seconds: float = 60) -> None:
    """Wait until a worker takes jobs: what it costs to start is not measured."""
    deadline = time.monotonic() + seconds
    while " ready." not in log.read_text(errors="replace"):
        if time.monotonic() > deadline:
            raise RuntimeError(log.read_text(errors="replace")[-2000:])
        time.sleep(0.1)


def _figures(environment: dict[str, str], *command: str) -> dict[str, Any]:
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def _worker_command() -> tuple[str, ...]:
    return (
        "-m",
        "celery",
        "-A",
        "config",
        "worker",
        "-Q",
        "model",
        "-n",
        "second@%h",
        "-P",
        "threads",
        "-c",
        "8",
        "-l",
        "INFO",
    )


def _peer_python() -> str:
    """An environment of its own: the peer's dependencies must not meet ours."""
    python = PEER_HOME / "bin" / "python"
    if not python.exists():
        venv.create(PEER_HOME, with_pip=True)
    install = [str(python), "-m", "pip", "install", "-q", "-r", str(PEER_REQUIREMENTS)]
    subprocess.run(install, check=True)  # noqa: S603
    return str(python)
