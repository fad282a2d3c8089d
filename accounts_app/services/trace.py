"""The trace id: one name for everything that one request or job caused."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_trace_id: ContextVar[str] = ContextVar("trace_id", default="")


def new_trace_id() -> str:
    """Return 32 lower-case hex digits, as W3C Trace Context writes a trace-id."""
    return secrets.token_hex(16)


def current_trace_id() -> str:
    """Return the bound trace id, or an empty string outside any request or job."""
    return _trace_id.get()


@contextmanager
def bind_trace(trace_id: str = "") -> Iterator[str]:
    """Bind ``trace_id`` (a new one if empty) for the block."""
    token = _trace_id.set(trace_id or new_trace_id())
    try:
        yield _trace_id.get()
    finally:
        _trace_id.reset(token)
