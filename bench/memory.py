"""Memory of every process at rest, as its share of the whole."""

import time
from collections import Counter
from collections.abc import Iterator

import psutil

from bench.report import Row
from bench.system import System

MIB = 1024 * 1024


def measure(system: System) -> Iterator[Row]:
    """Yield each kind of process: its proportional set size (shared pages counted once) against a bare Python's."""
    bare = system.spawn("bare", "-c", "import time; time.sleep(600)")
    time.sleep(1)  # until it has loaded what it needs
    reference = _pss(psutil.Process(bare.pid))
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for process in [psutil.Process(system.manager.pid), *psutil.Process(system.manager.pid).children(recursive=True)]:
        name = _kind(process)
        sizes[name] += _pss(process)
        counts[name] += 1
    for name, size in sizes.most_common():
        yield Row(
            f"memory: {name}", size / MIB, reference / MIB, "MiB", f"{counts[name]} process(es); reference: bare Python"
        )
    yield Row("memory: all", sum(sizes.values()) / MIB, reference / MIB, "MiB", f"{sum(counts.values())} processes")


def _pss(process: psutil.Process) -> int:
    return int(process.memory_full_info().pss)


def _kind(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    kinds = {"postgres": "PostgreSQL", "valkey": "Redis", "redis-server": "Redis", "granian": "web"}
    kinds |= {
        "celery": "Celery",
        "config.runtime": "process manager",
        "model_server": "local model",
        "guard.py": "guard",
    }
    found = next((kind for mark, kind in kinds.items() if mark in line), process.name())
    if found == "Celery":
        found += next((f" {part}" for part in ("model", "work", "beat") if part in line.split()), "")
    return found
