"""What the disk allows: five one-row INSERT commits a workflow, and nothing else."""

import json
import os
import threading
import time
from statistics import median

import psycopg

THREADS, WORKFLOWS, STEPS, ALONE = 8, 400, 5, 200
INSERT = "INSERT INTO bench_raw (workflow, step, result) VALUES (%s, %s, %s)"


def main() -> None:
    """Print the figures as one line of JSON."""
    url = os.environ["DATABASE_OWNER_URL"]
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("DROP TABLE IF EXISTS bench_raw")
        owner.execute("CREATE TABLE bench_raw (workflow text, step int, result jsonb, PRIMARY KEY (workflow, step))")
        samples = [_timed(owner, f"alone-{number}") for number in range(ALONE)]
    began = time.perf_counter()
    threads = [threading.Thread(target=_several, args=(url, number)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    figures = {"latency_ms": median(samples) * 1000, "one_per_second": len(samples) / sum(samples)}
    print(json.dumps(figures | {"per_second": WORKFLOWS / seconds}))


def _several(url: str, number: int) -> None:
    with psycopg.connect(url, autocommit=True) as own:
        for workflow in range(WORKFLOWS // THREADS):
            _timed(own, f"{number}-{workflow}")


def _timed(own: "psycopg.Connection[tuple[object, ...]]", workflow: str) -> float:
    began = time.perf_counter()
    for step in range(STEPS):
        own.execute(INSERT, (workflow, step, json.dumps({"step": step, "ok": True})))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
