"""Figures for Prometheus, shared by all processes of a machine through files that they map into memory.

Every process (web servers, workers, the scheduler) writes its own files in METRICS_DIR; whichever web process is asked
for ``/metrics`` adds them up. A counter costs about 2 µs; what an event loop counts is gathered for a quarter of a
second, and costs a tenth of that. Labels are few and bounded: routes, models, providers, steps, never a key, a person
or an organization. See docs/observability.md.
"""

import asyncio
import atexit
import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.environment import DATA_DIR, env

METRICS_DIR = Path(str(env("METRICS_DIR", default="")) or DATA_DIR / "metrics")


def _shared() -> None:
    """Point the library at the folder, before it is imported: then it decides how it keeps its values."""
    try:
        METRICS_DIR.mkdir(parents=True, exist_ok=True)
    except OSError:  # a command of somebody who may not write there counts for itself alone
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
        return
    if os.access(METRICS_DIR, os.W_OK | os.X_OK):
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(METRICS_DIR)
    else:
        os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)


_shared()

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest  # noqa: E402
from prometheus_client.core import GaugeMetricFamily, Metric  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector  # noqa: E402
from prometheus_client.registry import Collector  # noqa: E402

from config.metric_files import files_tidy, folder_locked  # noqa: E402

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# More values than this of one label are counted together: a mistake must not fill the memory of the one who asks.
MOST_VALUES = 300
OTHER = "other"

_FAST = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_SLOW = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300)

REQUESTS = Counter("deepspace_http_requests", "Requests answered.", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "deepspace_http_request_seconds", "From a request to the end of its answer.", ["route"], buckets=_SLOW
)
STEP_SECONDS = Histogram("deepspace_step_seconds", "One step of the gateway's pipeline.", ["step"], buckets=_FAST)
FIRST_TOKEN_SECONDS = Histogram(
    "deepspace_first_token_seconds", "From a call's dispatch to its first token.", ["model"], buckets=_SLOW
)
CALLS = Counter("deepspace_calls", "Model calls that ended.", ["model", "ending"])
TOKENS = Counter("deepspace_tokens", "Tokens of settled calls, in disjoint buckets.", ["model", "bucket"])
COST = Counter("deepspace_cost_usd", "What the tokens of settled calls are worth.", ["model"])
CHARGED = Counter("deepspace_charged_usd", "What wallets paid for settled calls.", ["model"])
ATTEMPTS = Counter("deepspace_provider_attempts", "Tries at providers.", ["provider", "outcome"])
LIMITS_DEGRADED = Counter("deepspace_limits_degraded", "Calls let through without rate limits (Redis gone).", ["why"])
BREAKERS = Gauge(
    "deepspace_breaker_open", "Processes that keep calls away from it.", ["provider"], multiprocess_mode="livesum"
)
LIVE_STREAMS = Gauge("deepspace_live_streams", "Streams being sent now.", ["kind"], multiprocess_mode="livesum")
RUNS = Counter("deepspace_runs", "Workflow runs that a worker began, and that ended.", ["event"])
RUN_ATTEMPTS = Counter("deepspace_run_attempts", "Attempts at steps that ended.", ["handler", "outcome"])
RUN_STEP_SECONDS = Histogram("deepspace_run_step_seconds", "One attempt at a step.", ["handler"], buckets=_SLOW)
RUN_CLAIM_SECONDS = Histogram("deepspace_run_claim_seconds", "From a run's start to its first worker.", buckets=_SLOW)
RUN_FORCED_ENDS = Counter("deepspace_run_forced_ends", "Runs that the reaper had to end.", ["why"])
RUN_LOG_LINES_DROPPED = Counter(
    "deepspace_run_log_lines_dropped", "Log lines of steps that are not stored with their run.", ["why"]
)
JOBS = Counter("deepspace_jobs", "Celery jobs that ended.", ["task", "outcome"])
JOB_SECONDS = Histogram("deepspace_job_seconds", "One Celery job.", ["task"], buckets=_SLOW)

Child = Any
_children: dict[tuple[object, ...], Child] = {}
_values: dict[tuple[str, str], set[str]] = {}


def child(metric: Counter | Gauge | Histogram, *labels: str) -> Child:
    """Return the counter, gauge or histogram of these label values; found in a dictionary after the first time."""
    key = (metric, *labels)
    found = _children.get(key)
    if found is None:
        found = _children[key] = metric.labels(*(_bounded(metric, n, value) for n, value in enumerate(labels)))
    return found


def _bounded(metric: Counter | Gauge | Histogram, place: int, value: str) -> str:
    known = _values.setdefault((str(metric), str(place)), set())
    if value not in known and len(known) >= MOST_VALUES:
        return OTHER
    known.add(value)
    return value


class Gathered:
    """What was counted and observed and is not written yet. Of all threads of a process, and lost with it."""

    SECONDS = 0.25

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[tuple[Any, ...], float] = {}
        self._observed: dict[tuple[Any, ...], list[float]] = {}
        self._due = 0.0

    def count(self, amount: float, *key: Any) -> None:
        """Add ``amount`` to a counter: ``key`` is the metric and its label values."""
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + amount
        self._write_soon()

    def observe(self, value: float, *key: Any) -> None:
        """Add ``value`` to a histogram."""
        with self._lock:
            self._observed.setdefault(key, []).append(value)
        self._write_soon()

    def write(self) -> None:
        """Write what was gathered."""
        with self._lock:
            self._due = 0.0
            counts, self._counts = self._counts, {}
            observed, self._observed = self._observed, {}
        for key, amount in counts.items():
            child(*key).inc(amount)
        for key, values in observed.items():
            _observe_all(child(*key), values)

    def _write_soon(self) -> None:
        now = time.monotonic()
        # A loop that was closed before it came to write does not keep others from it.
        if now < self._due + 1:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write()
        else:
            self._due = now + self.SECONDS
            loop.call_later(self.SECONDS, self.write)


def _observe_all(histogram: Any, values: list[float]) -> None:
    """Observe many values for the price of a few: the library itself only takes one at a time."""
    bounds, buckets = histogram._upper_bounds, histogram._buckets  # noqa: SLF001
    places: dict[int, int] = {}
    for value in values:
        place = bisect_left(bounds, value)
        places[place] = places.get(place, 0) + 1
    for place, times in places.items():
        buckets[place].inc(times)
    histogram._sum.inc(sum(values))  # noqa: SLF001


gathered = Gathered()
count, observe = gathered.count, gathered.observe
# A forked child must not write again what its parent will write.
os.register_at_fork(after_in_child=gathered.__init__)  # type: ignore[misc]
atexit.register(gathered.write)


@dataclass(frozen=True)
class Reading:
    """A figure that is looked up when somebody asks: ``values`` by the values of ``labels``."""

    name: str
    help: str
    labels: tuple[str, ...]
    values: Mapping[tuple[str, ...], float]


_sources: dict[str, Callable[[], Iterable[Reading]]] = {}


def source_register(name: str, source: Callable[[], Iterable[Reading]]) -> None:
    """Ask ``source`` at each scrape; rooms register theirs in ``AppConfig.ready()``. It must be cheap, and may raise:
    then ``deepspace_scrape_failed{source="name"}`` is 1 and the other figures are given all the same."""
    _sources[name] = source


def metrics_text() -> bytes:
    """Return all figures of this machine's processes and of the sources, as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(_Readings())
    return _counted() + generate_latest(registry)


def _counted() -> bytes:
    gathered.write()
    shared = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if not shared:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    with folder_locked(Path(shared)):
        files_tidy(Path(shared))
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def metrics_tidy() -> None:
    """Gather what ended processes left behind; for processes as they start, because perhaps nobody ever scrapes."""
    if shared := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        with folder_locked(Path(shared)):
            files_tidy(Path(shared))


class _Readings(Collector):
    def collect(self) -> Iterator[Metric]:
        failed = GaugeMetricFamily("deepspace_scrape_failed", "Sources that gave no figures.", labels=["source"])
        for name, source in sorted(_sources.items()):
            try:
                readings = list(source())
            except Exception:  # noqa: BLE001 - what is down is what one wants the other figures for
                readings = []
                failed.add_metric([name], 1)
            else:
                failed.add_metric([name], 0)
            yield from map(_family, readings)
        yield failed


def _family(reading: Reading) -> GaugeMetricFamily:
    family = GaugeMetricFamily(reading.name, reading.help, labels=reading.labels)
    for values, figure in reading.values.items():
        family.add_metric(values, figure)
    return family
