"""What the gateway counts. Each function costs less than a microsecond and never raises; `config.metrics` has the rest.

Labels are bounded: ``model`` is a key of the catalogue, ``endpoint`` a path that we serve ("chat/completions"). Never
pass what a caller wrote, a key or an organization.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import lru_cache

from billing_app.contracts import TokenBuckets
from config import metrics

_BUCKETS = ("input", "cached_input", "cache_write", "output", "reasoning")


def call_counted(*, endpoint: str, status: int, seconds: float, method: str = "POST") -> None:
    """Count one answered /v1 request: its HTTP status, and the time to the end of its answer (streams included)."""
    route = f"/v1/{endpoint}"
    metrics.count(1, metrics.REQUESTS, route, method, _text(status))
    metrics.observe(seconds, metrics.REQUEST_SECONDS, route)


def step_timed(step: str, seconds: float) -> None:
    """Note how long a step of the pipeline took: "Authenticate", "Access", "Route", "Limits", "open", "settle" …"""
    metrics.observe(seconds, metrics.STEP_SECONDS, step)


def call_settled(
    *,
    model: str,
    ending: str,
    tokens: TokenBuckets,
    cost_usd: Decimal,
    charged_usd: Decimal,
    first_token_ms: int | None = None,
) -> None:
    """Count a call that ended, its tokens and its cost. Floats: these are for graphs, the books are in Postgres."""
    metrics.count(1, metrics.CALLS, model, ending)
    for bucket in _BUCKETS:
        if amount := getattr(tokens, bucket):
            metrics.count(amount, metrics.TOKENS, model, bucket)
    if cost_usd:
        metrics.count(float(cost_usd), metrics.COST, model)
    if charged_usd:
        metrics.count(float(charged_usd), metrics.CHARGED, model)
    if first_token_ms is not None:
        metrics.observe(first_token_ms / 1000, metrics.FIRST_TOKEN_SECONDS, model)


def attempt_counted(*, provider: str, outcome: str) -> None:
    """Count one try at a provider: "answered", "failed" or "abandoned"."""
    metrics.count(1, metrics.ATTEMPTS, provider, outcome)


def breaker_set(*, provider: str, is_open: bool) -> None:
    """Note that this process keeps calls away from ``provider``, or lets them through again."""
    metrics.child(metrics.BREAKERS, provider).set(1 if is_open else 0)


def limits_degraded() -> None:
    """Count a call that was let through without its rate limits, because Redis did not answer."""
    metrics.count(1, metrics.LIMITS_DEGRADED, "redis")


@contextmanager
def stream_live(kind: str = "v1") -> Iterator[None]:
    """Count a stream as live for the block: ``v1`` (completions), or ``sse`` and ``websocket`` (live streams)."""
    gauge = metrics.child(metrics.LIVE_STREAMS, kind)
    gauge.inc()
    try:
        yield
    finally:
        gauge.dec()


@lru_cache(maxsize=100)
def _text(status: int) -> str:
    return str(status)
