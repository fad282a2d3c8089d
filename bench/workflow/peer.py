"""DBOS on the same Postgres: a direct call, and its queue with one worker process. Runs in an environment of its own.

As a worker: ``peer.py worker``. The figures are printed as one line of JSON.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from dbos import DBOS, DBOSClient  # type: ignore[import-not-found]  # lives in an environment of its own

# As many as of ours, and as many before that are not measured.
STEPS, RUNS, WARM, ALONE, POLL, THREADS = 5, 1_000, 200, 50, 0.02, 8


def _url(database: str) -> str:
    return urlunsplit(urlsplit(os.environ["DATABASE_OWNER_URL"])._replace(path=f"/{database}"))


NAME = "bench_dbos"
DBOS(
    config={
        "name": "bench",
        "system_database_url": _url(NAME),
        "executor_id": sys.argv[1],
        "application_version": "1",
        "log_level": "ERROR",
        "sys_db_pool_size": 20,
    }
)


@DBOS.step()  # type: ignore[untyped-decorator]
def step(number: int) -> dict[str, Any]:
    return {"step": number, "ok": True}


@DBOS.workflow()  # type: ignore[untyped-decorator]
def flow(_name: str) -> list[Any]:
    return [step(number) for number in range(STEPS)]


def worker() -> None:
    """Serve the queue until terminated."""
    DBOS.launch()
    DBOS.register_queue("q", worker_concurrency=THREADS, polling_interval_sec=POLL, on_conflict="always_update")
    print("ready", flush=True)
    threading.Event().wait()


def main() -> None:
    """Print the figures as one line of JSON."""
    DBOS.launch()
    for number in range(10):
        flow(f"warm {number}")
    direct = [_timed(lambda: flow("alone")) for _number in range(ALONE)]
    DBOS.destroy()
    own = subprocess.Popen([sys.executable, __file__, "worker"], stdout=subprocess.PIPE, text=True)  # noqa: S603
    try:
        assert own.stdout is not None
        own.stdout.readline()
        queued = _queue(own.pid)
    finally:
        own.terminate()
        own.wait(timeout=30)
    print(json.dumps({"direct_ms": median(direct) * 1000, **queued}))


def _queue(pid: int) -> dict[str, float]:
    client = DBOSClient(system_database_url=_url(NAME), application_name="bench")
    with psycopg.connect(_url(NAME), autocommit=True) as own:
        # A workflow of a known name is not begun again: those of an earlier round keep theirs.
        _enqueue(client, own, f"warm-{pid}", WARM)
        before, began = _cpu(pid), time.perf_counter()
        _enqueue(client, own, f"run-{pid}", RUNS)
        seconds = time.perf_counter() - began
    return {"per_second": RUNS / seconds, "cpu_ms": (_cpu(pid) - before) / RUNS * 1000}


def _enqueue(client: DBOSClient, own: "psycopg.Connection[tuple[Any, ...]]", tag: str, number: int) -> None:
    for index in range(number):
        options = {"queue_name": "q", "workflow_name": "flow", "workflow_id": f"{tag}-{index}"}
        client.enqueue(options, tag)
    done = "SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS' AND workflow_uuid LIKE %s"
    while own.execute(done, [f"{tag}-%"]).fetchall()[0][0] < number:
        time.sleep(0.02)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    worker() if sys.argv[1] == "worker" else main()
