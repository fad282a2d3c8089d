"""Runs the load against each of the three in turn, several rounds, and reports medians."""

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

import psutil

from bench.report import Row
from bench.system import EMAIL, ROOT, System
from config.runtime.ports import free_port

ROUNDS, SECONDS = 3, 4.0
# kind, connections
RUNS = (("whole", 1), ("whole", 16), ("whole", 64), ("burst", 16), ("paced", 16))
MIB = 1024 * 1024

# A priced model of a provider that is the cheap server, and a limit and a budget of each kind that are never reached.
_SET_UP = """
from decimal import Decimal
from django.utils import timezone
from accounts_app.models import ApiKey
from accounts_app.tenancy.context import operator_atomic, tenant_atomic
from billing_app.services.budgets import budget_set
from billing_app.services.prices import price_set
from gateway_app.models import ModelEntry, ModelRoute, Provider
from gateway_app.services.limits import rate_limit_set
with operator_atomic("bench"):
    provider = Provider.objects.create(key="bench", name="Bench", base_url="http://127.0.0.1:{port}/v1")
    entry = ModelEntry.objects.create(
        key="bench", name="Bench", is_active=True, context_window=100_000, max_output_tokens=4_000)
    ModelRoute.objects.create(entry=entry, provider=provider, upstream_name="bench")
    price_set(model_key="bench", input=Decimal(1), cached_input=Decimal(1), output=Decimal(2),
              effective_from=timezone.now(), source="bench")
    key = ApiKey.objects.get(user__email="{email}")
with tenant_atomic(key.organization_id, key.user_id, "owner"):
    rate_limit_set(scope="organization", requests_per_minute=10_000_000, tokens_per_minute=1_000_000_000)
    budget_set(scope="organization", period="month", limit_usd=Decimal(900))
"""


@dataclass
class Target:
    """What is loaded: where it listens, which key it wants, whose memory and CPU count (0: nobody's)."""

    name: str
    port: int
    key: str = ""
    pid: int = 0

    def processes(self) -> list[psutil.Process]:
        """The server's processes."""
        if not self.pid:
            return []
        server = psutil.Process(self.pid)
        return [server, *server.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """CPU time used by now."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes())


def measure(system: System) -> Iterator[Row]:
    """Yield throughput, latency, streams, CPU and memory of one worker with everything on."""
    targets = _targets(system)
    found: dict[tuple[str, str, int], list[dict[str, float]]] = defaultdict(list)
    for target in targets:
        _run(target, "whole", 16, 2.0)
    for _round in range(ROUNDS):
        for kind, connections in RUNS:
            for target in targets:
                found[target.name, kind, connections].append(_run(target, kind, connections, SECONDS))
    yield from _rows(
        lambda name, kind, connections, figure: median(run[figure] for run in found[name, kind, connections]), targets
    )


def _rows(figure: Callable[[str, str, int, str], float], targets: list[Target]) -> Iterator[Row]:
    def row(title: str, kind: str, connections: int, name: str, unit: str) -> Row:
        direct = figure("direct", kind, connections, name)
        ours, bare = (figure(target, kind, connections, name) for target in ("ours", "bare"))
        return Row(f"/v1 {title}", ours, bare, unit, f"reference: bare pass-through; the model server: {direct:,.2f}")

    yield row("JSON, 1 connection, p50", "whole", 1, "p50_ms", "ms")
    for connections in (16, 64):
        yield row(f"JSON, {connections} connections", "whole", connections, "per_second", "req/s")
    yield row("JSON, 16 connections, p99", "whole", 16, "p99_ms", "ms")
    yield row("JSON, 16 connections, CPU", "whole", 16, "cpu_ms", "ms/req")
    yield row("16 bursting streams", "burst", 16, "chunks_per_second", "chunks/s")
    yield row("16 paced streams, first chunk, p50", "paced", 16, "first_p50_ms", "ms")
    memory = {target.name: max((p.memory_info().rss for p in target.processes()), default=0) for target in targets}
    yield Row("/v1 worker's memory after all runs", memory["ours"] / MIB, memory["bare"] / MIB, "MiB", "resident")


def _targets(system: System) -> list[Target]:
    upstream, bare = free_port(), free_port()
    system.spawn("v1 upstream", "-m", "bench.v1.upstream", str(upstream))
    server = ("--interface", "asginl", "--loop", "uvloop", "--host", "127.0.0.1", "--no-access-log")
    reference = system.spawn(
        "v1 pass-through",
        *("-m", "granian", "bench.v1.passthrough:application", *server, "--port", str(bare)),
        BENCH_UPSTREAM=f"http://127.0.0.1:{upstream}",
    )
    for port in (upstream, bare):
        system.wait_for(port)
    system.manage("shell", "-c", _SET_UP.format(port=upstream, email=EMAIL))
    return [
        Target("direct", upstream),
        Target("bare", bare, pid=reference.pid),
        Target("ours", system.port, key=system.key, pid=_web(system)),
    ]


def _web(system: System) -> int:
    """The process of the web server among those that the manager started."""
    manager = psutil.Process(system.manager.pid)
    return next(child.pid for child in manager.children() if "config.asgi:application" in child.cmdline())


def _run(target: Target, kind: str, connections: int, seconds: float) -> dict[str, float]:
    before = target.cpu_seconds()
    command = [
        sys.executable,
        "-m",
        "bench.v1.load",
        str(target.port),
        kind,
        str(connections),
        str(seconds),
        target.key,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"{target.name}, {kind}, {connections}: {done.stderr[-1500:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found | {"cpu_ms": (target.cpu_seconds() - before) * 1000 / found["answers"]}
