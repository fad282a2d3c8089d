"""The pipeline that every model call passes: authenticate → policy → hold → (call) → settle → record.

A step is a small class with two methods; ``settings.GATEWAY_STEPS`` lists the steps in order. What is to be plugged
in (retrieval, tools, further policies) is one more step in that list.
"""

import logging
import time
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from uuid import UUID, uuid4

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import Tenant, bound, tenant_or_nobody
from billing_app.contracts import HoldRef, PriceRef, TokenBuckets
from gateway_app.contracts import ChatRequest, ChatResult, Ending
from gateway_app.exceptions import CallTakenOver
from gateway_app.models import AttemptStatus
from gateway_app.services.answers import Answer
from gateway_app.services.routes import Route

logger = logging.getLogger(__name__)

# Seconds between the tries to settle. Each broken connection of the pool may cost one.
SETTLE_PAUSES = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)


@dataclass
class Attempt:
    """One try at the provider, as it will be stored."""

    number: int
    started_at: datetime = field(default_factory=timezone.now)
    status: AttemptStatus = AttemptStatus.RUNNING
    http_status: int | None = None
    error: str = ""
    upstream_request_id: str = ""
    ended_at: datetime | None = None
    began: float = field(default_factory=time.monotonic)

    def end(self, status: AttemptStatus, *, http_status: int | None = None, error: str = "") -> None:
        """Note how the try ended."""
        self.status, self.error, self.ended_at = status, error[:300], timezone.now()
        self.http_status = http_status or self.http_status

    @property
    def latency_ms(self) -> int | None:
        """How long it took."""
        return None if self.ended_at is None else round((self.ended_at - self.started_at).total_seconds() * 1000)


@dataclass
class Call:
    """A call on its way through the steps; each step fills in what the next ones need."""

    request: ChatRequest
    tenant: Tenant = field(default_factory=tenant_or_nobody)
    trace_id: str = field(default_factory=current_trace_id)
    id: UUID = field(default_factory=uuid4)
    route: Route | None = None
    price: PriceRef | None = None
    max_tokens: int = 0
    hold: HoldRef | None = None
    attempts: list[Attempt] = field(default_factory=list)
    answer: Answer = field(default_factory=Answer)
    error_code: str = ""
    tokens: TokenBuckets = field(default_factory=TokenBuckets)
    cost_usd: Decimal = Decimal(0)
    charged_usd: Decimal = Decimal(0)
    shortfall_usd: Decimal = Decimal(0)
    latency_ms: int = 0
    # Set by Hold when the operation was done before, by Record at the end.
    result: ChatResult | None = None

    _lease_ends: float = 0

    @property
    def organization_id(self) -> UUID:
        """Whose call it is."""
        assert self.tenant.organization_id
        return self.tenant.organization_id

    def lease_seconds(self, seconds: float) -> None:
        """Note that the lease, as just written, lasts that long from now."""
        self._lease_ends = time.monotonic() + seconds

    def lease_left(self) -> float:
        """Seconds until the lease ends."""
        return self._lease_ends - time.monotonic()

    def time_left(self) -> float:
        """Seconds until the whole call must have ended."""
        assert self.route
        return self.answer.began + self.route.endpoint.total_timeout - time.monotonic()


class Step:
    """One step. The defaults do nothing, so that a step overrides only what it needs."""

    def before(self, call: Call) -> None:
        """Prepare ``call`` (its request may be replaced by another) or refuse it by raising.

        Runs in the tenant's context, in no transaction: open one for database work, and none while waiting for a
        network. When a step sets ``call.result``, that is the answer, and no provider is asked.
        """

    def after(self, call: Call, ending: Ending) -> None:
        """Book ``call``, which ended so. Runs for all steps in one transaction, once, also when the caller has left;
        raising undoes what the steps before did. Must not wait for a network."""


@lru_cache(maxsize=8)
def _steps(paths: tuple[str, ...]) -> tuple[Step, ...]:
    return tuple(import_string(path)() for path in paths)


def steps() -> tuple[Step, ...]:
    """Return the configured steps in order."""
    return _steps(tuple(settings.GATEWAY_STEPS))


def begin(call: Call) -> None:
    """Run every step's ``before``; afterwards the hold is committed and no connection is kept.

    Raises what a step raises; a hold that was made by then is given back.
    """
    try:
        with bound(call.tenant):
            for step in steps():
                step.before(call)
                if call.result is not None:
                    break
    except Exception:
        if call.hold is not None:
            call.attempts[-1].end(AttemptStatus.FAILED, error="A later step refused the call.")
            settle(call, Ending.REFUSED)
        raise
    finally:
        connection_release()


def settle(call: Call, ending: Ending) -> ChatResult:
    """Run every step's ``after`` in one transaction and return the result; all of it happens, or nothing.

    A database that was restarted meanwhile is asked again for a few seconds: the answer has been given, and its
    money is held. Raises CallTakenOver when the call was settled by somebody else, OperationalError at last.
    """
    for pause in (*SETTLE_PAUSES, None):
        try:
            return _settle(call, ending)
        except (OperationalError, InterfaceError):
            logger.warning("call.settle_failed", extra={"call_id": str(call.id)}, exc_info=True)
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("unreachable")


def _settle(call: Call, ending: Ending) -> ChatResult:
    try:
        with bound(call.tenant), transaction.atomic(durable=True):
            for step in steps():
                step.after(call, ending)
    except CallTakenOver:
        logger.warning("call.taken_over", extra={"call_id": str(call.id), "ending": ending.value})
        raise
    finally:
        connection_release()
    assert call.result is not None
    return call.result


def connection_release() -> None:
    """Give this thread's connection back to the pool: a call may wait for minutes and needs none meanwhile."""
    if not connection.in_atomic_block:
        connection.close()
