"""Task Hub's `POST /api/tasks` against a bare Django view with one INSERT."""

from collections.abc import Iterator

import psycopg

from bench import load
from bench.report import Row
from bench.system import System
from config.runtime.ports import free_port
from config.runtime.postgres import APP

BODY = {"inputText": "I want an article about tide pools for curious children, about 600 words."}
ROUNDS, REQUESTS = 3, 240


def measure(system: System) -> Iterator[Row]:
    """Yield requests per second at 1 and 8 connections, rounds interleaved, the best round of each."""
    port = _reference(system)
    targets = {
        "ours": load.Target(system.port, "/api/tasks", BODY, system.authorization),
        "reference": load.Target(port, "/api/tasks", BODY),
    }
    for target in targets.values():
        load.run(target, connections=2, requests=40)
    for connections in (1, 8):
        best = dict.fromkeys(targets, 0.0)
        for _ in range(ROUNDS):
            for name, target in targets.items():
                rate, _timing = load.run(target, connections=connections, requests=REQUESTS)
                best[name] = max(best[name], rate)
        note = "authenticated, tenant-checked, routed, task + event + audit written"
        yield Row(f"POST /api/tasks, {connections} conn.", best["ours"], best["reference"], "req/s", note)


def _reference(system: System) -> int:
    runtime, port = system.runtime(), free_port()
    with psycopg.connect(runtime["DATABASE_OWNER_URL"]) as owner:
        owner.execute("CREATE TABLE bench_reference (id bigserial PRIMARY KEY, body text NOT NULL)")
        owner.execute(f"GRANT INSERT, SELECT ON bench_reference TO {APP}")
        owner.execute(f"GRANT USAGE ON SEQUENCE bench_reference_id_seq TO {APP}")
    command = ("-m", "granian", "--interface", "asginl", "--port", str(port), "--workers", "1", "--no-ws")
    system.spawn("reference", *command, "bench.reference_app:application", BENCH_DATABASE_URL=runtime["DATABASE_URL"])
    system.wait_for(port)
    return port
