"""A call on its way: what steps, hold, transport and settlement tell each other."""

import time
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.utils import timezone

from accounts_app.contracts import KeyCard
from accounts_app.ids import uuid7
from accounts_app.services.trace import current_trace_id
from accounts_app.tenancy.context import Tenant, tenant_or_nobody
from billing_app.contracts import PriceRef, TokenBuckets
from gateway_app.contracts import CallRequest, Outcome, Settlement, StoredAnswer
from gateway_app.models import AttemptStatus
from gateway_app.services.limits import Allowance, LimitRule
from gateway_app.services.routes import Candidate, Endpoint
from gateway_app.services.snapshot import ModelSnap, Snapshot

if TYPE_CHECKING:
    from gateway_app.services.pipeline import Step


@dataclass
class Attempt:
    """One try at the provider, as it will be stored."""

    number: int
    provider: str
    id: UUID = field(default_factory=uuid7)
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


@dataclass(frozen=True)
class Option:
    """A model that the call can be made with: the one asked for, or a cheaper one that a budget turns it into.

    ``amount`` is the most that it can cost in USD for ``input_tokens`` of input and ``max_tokens`` of output.
    """

    model: ModelSnap
    price: PriceRef
    candidates: tuple[Candidate, ...]
    input_tokens: int
    max_tokens: int
    amount: Decimal


@dataclass
class Call:
    """A call on its way through the steps; each step fills in what the next ones need.

    ``card`` is who calls from outside, ``None`` for our own rooms; ``snapshot`` and ``limits`` are what to decide by.
    """

    request: CallRequest
    snapshot: Snapshot
    tenant: Tenant = field(default_factory=tenant_or_nobody)
    trace_id: str = field(default_factory=current_trace_id)
    card: KeyCard | None = None
    client_address: str = ""
    limits: tuple[LimitRule, ...] = ()
    id: UUID = field(default_factory=uuid7)
    hold_id: UUID = field(default_factory=uuid7)
    began: float = field(default_factory=time.monotonic)
    # Set by Route: the models to make it with, best first.
    options: tuple[Option, ...] = ()
    # Set by Limits.
    allowance: Allowance | None = None
    # Set by the hold: which option it is, what is held, what the wallet has left.
    option: Option | None = None
    hold_usd: Decimal = Decimal(0)
    balance_usd: Decimal | None = None
    replayed: UUID | None = None
    candidates: list[Candidate] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    # Set by whoever makes the call, before it is settled.
    outcome: Outcome = field(default_factory=Outcome)
    answer: dict[str, Any] | None = None
    charged_tokens: TokenBuckets = field(default_factory=TokenBuckets)
    settlement: Settlement | None = None
    timings: dict[str, float] = field(default_factory=dict)
    steps_done: "list[Step]" = field(default_factory=list)

    _lease_ends: float = 0

    @property
    def organization_id(self) -> UUID:
        """Whose call it is."""
        assert self.tenant.organization_id
        return self.tenant.organization_id

    @property
    def chosen(self) -> Option:
        """What was held for."""
        assert self.option
        return self.option

    @property
    def model_key(self) -> str:
        """The model that the call is made with."""
        return self.chosen.model.key

    @property
    def price(self) -> PriceRef:
        """Its frozen price."""
        return self.chosen.price

    @property
    def max_tokens(self) -> int:
        """The most output that was held for at first."""
        return self.chosen.max_tokens

    @property
    def candidate(self) -> Candidate:
        """Where the present try goes."""
        return self.candidates[0]

    @property
    def endpoint(self) -> Endpoint:
        """The present candidate's endpoint."""
        return self.candidates[0].endpoint

    @property
    def latency_ms(self) -> int:
        """Time since the call began."""
        return round((time.monotonic() - self.began) * 1000)

    def answer_keep(self, answer: StoredAnswer) -> None:
        """Let the settlement store ``answer`` for a repeated request."""
        self.answer = {
            "text": "",
            "http_status": answer.http_status,
            "content_type": answer.content_type,
            "bytes": answer.body,
        }

    def lease_seconds(self, seconds: float) -> None:
        """Note that the lease, as just written, lasts that long from now."""
        self._lease_ends = time.monotonic() + seconds

    def lease_left(self) -> float:
        """Seconds until the lease ends."""
        return self._lease_ends - time.monotonic()

    def time_left(self) -> float:
        """Seconds until the whole call must have ended."""
        return self.began + self.endpoint.total_timeout - time.monotonic()
