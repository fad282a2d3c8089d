"""OpenTelemetry spans, when OTEL_EXPORTER_OTLP_ENDPOINT names a collector; otherwise nothing, not even an import.

Our trace id is the collector's trace id. The SDK's own variables (OTEL_SERVICE_NAME, OTEL_EXPORTER_OTLP_HEADERS,
OTEL_TRACES_SAMPLER …) hold as its documentation says. Spans bear ids, names and figures: never a prompt, an answer or
a secret. Providers are not sent a ``traceparent``: whom a call belongs to is nothing of theirs.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from config.environment import env

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

ENDPOINT = str(env("OTEL_EXPORTER_OTLP_ENDPOINT", default=""))

Attributes = Mapping[str, str | int | float | bool]

_NS = 1_000_000_000
_next_trace_id: ContextVar[str] = ContextVar("next_trace_id", default="")


def is_on() -> bool:
    """Whether spans are sent anywhere."""
    return bool(ENDPOINT)


@contextmanager
def span(name: str, *, trace_id: str = "", parent: str = "", attributes: Attributes | None = None) -> Iterator[Any]:
    """Make the block a span; an exception marks it as failed, by its type alone.

    ``trace_id`` (32 hex digits) counts where no span is open yet; ``parent`` is then the ``traceparent`` of whoever
    asked for the work. Yields the span, or None while tracing is off.
    """
    if not ENDPOINT:
        yield None
        return
    from opentelemetry.trace import Status, StatusCode

    with (
        _provider(os.getpid())
        .get_tracer("deepspace")
        .start_as_current_span(
            name,
            context=_context(trace_id, parent),
            attributes=dict(attributes or {}),
            record_exception=False,  # its text may quote what a caller wrote
            set_status_on_exception=False,
        ) as current
    ):
        try:
            yield current
        except Exception as error:
            current.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def past(
    name: str, seconds: float, *, trace_id: str, ended_at: datetime | None = None, attributes: Attributes | None = None
) -> None:
    """Note something of this trace that took so long and has ended, just now or at ``ended_at``.

    For what is timed anyway, or begins in one coroutine and ends in another.
    """
    if ENDPOINT:
        end = time.time_ns() if ended_at is None else int(ended_at.timestamp() * _NS)
        tracer = _provider(os.getpid()).get_tracer("deepspace")
        tracer.start_span(
            name,
            context=_context(trace_id, ""),
            start_time=end - int(seconds * _NS),
            attributes=dict(attributes or {}),
        ).end(end)


def traceparent() -> str:
    """Return the open span as W3C Trace Context writes it, for work that another process will do; or nothing."""
    if not ENDPOINT:
        return ""
    from opentelemetry.trace import get_current_span

    current = get_current_span().get_span_context()
    return f"00-{current.trace_id:032x}-{current.span_id:016x}-{current.trace_flags:02x}" if current.is_valid else ""


def flush() -> None:
    """Send what waits, for processes that end without Python's exit."""
    if ENDPOINT and _provider.cache_info().currsize:
        _provider(os.getpid()).force_flush(2000)


def _context(trace_id: str, parent: str) -> Any:
    """The open span's context, or a new one in which the trace is ``trace_id`` and its parent who asked."""
    from opentelemetry import trace
    from opentelemetry.context import Context

    if trace.get_current_span().get_span_context().is_valid or not trace_id:
        return None
    _next_trace_id.set(trace_id)
    parts = parent.split("-")
    if len(parts) != 4 or parts[1] != trace_id:
        return Context()
    try:
        remote = trace.SpanContext(
            int(trace_id, 16), int(parts[2], 16), is_remote=True, trace_flags=trace.TraceFlags(int(parts[3], 16))
        )
    except ValueError:
        return Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(remote), Context())


@lru_cache(maxsize=2)
def _provider(_process: int) -> "TracerProvider":
    """Return the exporter of this process: a worker that was forked needs a sending thread of its own."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class OurTraceIds(RandomIdGenerator):
        def generate_trace_id(self) -> int:
            given = _next_trace_id.get()
            _next_trace_id.set("")
            return int(given or "0", 16) or super().generate_trace_id()

    name = os.environ.get("OTEL_SERVICE_NAME", "deepspace")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}), id_generator=OurTraceIds())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
