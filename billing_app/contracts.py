"""What this room hands to others: frozen values, never rows. Money is USD as `Decimal`, tokens are whole numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

ZERO = Decimal(0)


@dataclass(frozen=True)
class TokenBuckets:
    """Tokens of one model call in disjoint buckets, so that each token is priced once.

    ``input`` leaves out what the provider read from its cache (``cached_input``) or wrote to it (``cache_write``);
    ``output`` leaves out ``reasoning``. Raises TypeError for anything but int, ValueError below zero.
    """

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    def __post_init__(self) -> None:
        for name, count in vars(self).items():
            if type(count) is not int:
                raise TypeError(f"{name} must be an int, not {type(count).__name__}.")
            if count < 0:
                raise ValueError(f"{name} must not be negative.")

    @property
    def input_total(self) -> int:
        """All tokens read: what a provider reports as prompt tokens."""
        return self.input + self.cached_input + self.cache_write

    @property
    def output_total(self) -> int:
        """All tokens written: what a provider reports as completion tokens."""
        return self.output + self.reasoning

    @property
    def total(self) -> int:
        """All tokens of the call."""
        return self.input_total + self.output_total


@dataclass(frozen=True)
class HoldRef:
    """Money set aside for one call. ``status`` is open, captured, released or expired."""

    id: UUID
    wallet_id: UUID
    amount: Decimal
    expires_at: datetime
    billing_ref_id: str = ""
    status: str = "open"
    captured: Decimal = ZERO
    refunded: Decimal = ZERO


@dataclass(frozen=True)
class PriceRef:
    """One version of a model's price: USD per 1,000,000 tokens of each bucket, per request and per image.

    ``image_tiers`` maps "quality/size" to USD per image; an image that no tier names costs ``per_image``; where that
    is 0, it is refused.
    """

    id: UUID
    model_key: str
    input: Decimal
    cached_input: Decimal
    cache_write: Decimal
    output: Decimal
    reasoning: Decimal
    per_request: Decimal = ZERO
    effective_from: datetime | None = None
    per_image: Decimal = ZERO
    image_tiers: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True)
class UsageEntry:
    """The record of one model call. ``cost_usd`` is what its tokens are worth, ``charged_usd`` what the wallet paid."""

    id: UUID
    organization_id: UUID
    call_id: UUID
    model: str
    provider: str
    tokens: TokenBuckets
    cost_usd: Decimal
    charged_usd: Decimal
    ending: str
    price_id: UUID
    created_at: datetime
    user_id: UUID | None = None
    task_id: UUID | None = None
    run_id: UUID | None = None
    step_key: str = ""
    prompt_version_id: UUID | None = None
    trace_id: str = ""
    meta: dict[str, Any] = field(default_factory=dict)
    project_id: UUID | None = None
    api_key_id: UUID | None = None
    endpoint: str = ""


@dataclass(frozen=True)
class UsageTotals:
    """Sums over usage records. Money in USD."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = ZERO
    charged_usd: Decimal = ZERO

    @property
    def tokens(self) -> int:
        """All tokens, read and written."""
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True)
class DaySpend:
    """One day (UTC) of the roll-up."""

    day: date
    totals: UsageTotals


@dataclass(frozen=True)
class ModelSpend:
    """One model of the roll-up."""

    model: str
    totals: UsageTotals


@dataclass(frozen=True)
class BudgetRef:
    """A budget: at most ``limit_usd`` in each ``period`` (day, month, total; UTC) for ``subject_id`` of ``scope``.

    ``scope`` is organization (``subject_id`` None), project, member or key; ``on_exceed`` is refuse or fallback.
    """

    id: UUID
    organization_id: UUID
    scope: str
    subject_id: UUID | None
    period: str
    limit_usd: Decimal
    soft_percent: int
    on_exceed: str
    is_active: bool


@dataclass(frozen=True)
class WalletSummary:
    """A wallet in USD; ``available`` = balance − frozen; ``credits`` is the available sum in credits, rounded up."""

    balance: Decimal
    frozen: Decimal
    available: Decimal
    credits: int
