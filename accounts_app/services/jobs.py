"""Celery tasks that know for whom they work.

A task of a tenant is sent with the ids of its organization and person, runs in their context, and fails
with TenantRequired without them: row-level security would let it find nothing and call that success. A
task of the system runs in a named operator context. The trace id travels in a message header.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar
from uuid import UUID

from celery import Task, current_task, shared_task
from celery.signals import before_task_publish

from accounts_app.exceptions import TenantRequired
from accounts_app.services.trace import bind_trace, current_trace_id
from accounts_app.tenancy.context import operator_context, tenant_context
from config import metrics, tracing

TRACE_HEADER = "trace_id"
PARENT_HEADER = "traceparent"

R = TypeVar("R")
TaskDecorator = Callable[[Callable[..., R]], "Task[..., R]"]

logger = logging.getLogger(__name__)

_queues: dict[str, str] = {}


def tenant_task(**celery_options: Any) -> "TaskDecorator[Any]":
    """Make a function a Celery task of one tenant.

    Senders add ``organization_id: str`` and ``user_id: str | None`` to the function's own keyword arguments;
    the function sees only its own, inside `tenant_context`, with no transaction open. ``celery_options`` are
    those of ``shared_task`` (``queue="model"``, ``name=…``). Raises TenantRequired, in the worker, when no
    organization was named.
    """

    def decorate(function: Callable[..., R]) -> "Task[..., R]":
        @wraps(function)
        def run(
            *args: Any, organization_id: str | UUID | None = None, user_id: str | UUID | None = None, **kwargs: Any
        ) -> R:
            with _traced(function), tenant_context(_organization(organization_id), _uuid(user_id)):
                return _logged(logging.INFO, function, *args, **kwargs)

        return _task(run, celery_options)

    return decorate


def system_task(name: str, /, **celery_options: Any) -> "TaskDecorator[Any]":
    """Make a function a Celery task above all tenants, in the operator context ``name`` (sweeps, reapers, roll-ups)."""

    def decorate(function: Callable[..., R]) -> "Task[..., R]":
        @wraps(function)
        def run(*args: Any, **kwargs: Any) -> R:
            with _traced(function), operator_context(name):
                # Sweeps come each second; that one found nothing to do is no news.
                return _logged(logging.DEBUG, function, *args, **kwargs)

        return _task(run, celery_options)

    return decorate


def queue_of(name: str, *_call: Any, **_options: Any) -> dict[str, str] | None:
    """Route a task to the queue that its decorator named (the setting CELERY_TASK_ROUTES points here)."""
    return {"queue": _queues[name]} if name in _queues else None


@before_task_publish.connect
def send_trace(headers: dict[str, Any] | None = None, **_signal: Any) -> None:
    """Put the sender's trace id into the message."""
    if headers is not None:
        headers.setdefault(TRACE_HEADER, current_trace_id())
        headers.setdefault(PARENT_HEADER, tracing.traceparent())


def _task(run: Callable[..., R], options: dict[str, Any]) -> "Task[..., R]":
    # Celery is giving up the queue as an attribute of the task in favour of routes.
    options = dict(options)
    name = options.setdefault("name", f"{run.__module__}.{run.__name__}")
    if "queue" in options:
        _queues[name] = options.pop("queue")
    task: Task[..., R] = shared_task(**options)(run)
    return task


@contextmanager
def _traced(function: Callable[..., object]) -> Iterator[None]:
    # Without a header (beat, or called directly) the caller's trace goes on, or a new one begins.
    request = current_task.request if current_task else None
    header, parent = (request.get(TRACE_HEADER), request.get(PARENT_HEADER)) if request is not None else (None, None)
    with (
        bind_trace(header or current_trace_id()) as trace_id,
        tracing.span(f"job {function.__name__}", trace_id=trace_id, parent=parent or ""),
    ):
        yield


def _logged(level: int, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
    name, began = f"{function.__module__}.{function.__name__}", time.monotonic()
    try:
        result = function(*args, **kwargs)
    except Exception:
        # Celery logs the failure too, but outside this context: without trace and organization.
        logger.exception("task.failed", extra={"task": name, "duration_ms": _since(began)})
        _count(name, "failed", began)
        raise
    logger.log(level, "task.finished", extra={"task": name, "duration_ms": _since(began)})
    _count(name, "finished", began)
    return result


def _count(name: str, outcome: str, began: float) -> None:
    metrics.child(metrics.JOBS, name, outcome).inc()
    metrics.child(metrics.JOB_SECONDS, name).observe(time.monotonic() - began)


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _organization(value: str | UUID | None) -> UUID:
    organization_id = _uuid(value)
    if organization_id is None:
        raise TenantRequired
    return organization_id


def _uuid(value: str | UUID | None) -> UUID | None:
    if value is None or isinstance(value, UUID):
        return value
    try:
        return UUID(value)
    except ValueError:
        raise TenantRequired from None
