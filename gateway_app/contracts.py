"""What this room hands to others: frozen values, never rows. Money is USD as `Decimal`, times are ms."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from billing_app.contracts import PriceRef, TokenBuckets

# One message in OpenAI's shape: {"role", "content", …}.
ChatMessage = dict[str, Any]


class Ending(StrEnum):
    """How a call ended. Each has one charge rule; see docs/charging.md."""

    COMPLETED = "completed"
    CLIENT_GONE = "client_gone"
    UPSTREAM_CUT = "upstream_cut"
    TIMEOUT = "timeout"
    NO_FUNDS = "no_funds"
    NO_USAGE = "no_usage"
    ZERO_OUTPUT = "zero_output"
    REFUSED = "refused"
    WORKER_KILLED = "worker_killed"


@dataclass(frozen=True)
class CallRequest:
    """What the pipeline knows of a call, whatever its endpoint.

    ``model`` empty means the default one. ``input_bound`` is the most tokens that can be read; ``max_output`` the most
    that the caller lets be written in all ``choices`` together (None: it did not say). ``operation_key`` empty: never
    answered from what is stored. ``image_tier`` is "quality/size".
    """

    endpoint: str
    model: str
    input_bound: int
    kind: str = "chat"
    max_output: int | None = None
    choices: int = 1
    is_stream: bool = False
    images: int = 0
    image_tier: str = ""
    operation_key: str = ""
    request_hash: str = ""
    purpose: str = ""
    task_id: UUID | None = None
    run_id: UUID | None = None
    step_key: str = ""
    prompt_version_id: UUID | None = None


@dataclass(frozen=True)
class StoredAnswer:
    """An answer of /v1 as it was sent, to be given again for the same operation."""

    http_status: int
    content_type: str
    body: bytes


@dataclass
class Outcome:
    """What has come of a call: tokens as the provider ``reported`` them (None: not), and as they were ``delivered``."""

    reported: TokenBuckets | None = None
    delivered: TokenBuckets = field(default_factory=TokenBuckets)
    images: int = 0
    finish_reason: str = ""
    first_token_ms: int | None = None
    error_code: str = ""


@dataclass(frozen=True)
class Settlement:
    """What a settled call cost. ``balance_usd`` is what the wallet has left (None: not told)."""

    cost_usd: Decimal
    charged_usd: Decimal
    balance_usd: Decimal | None = None


@dataclass(frozen=True)
class ChatRequest:
    """One chat call. ``operation_key`` names the operation within the organization: with the same key it is done once.

    ``model`` empty means the default one; ``max_tokens`` None the smaller of GATEWAY_MAX_TOKENS and the model's own
    limit. ``extra`` goes to the provider as it is (``tools``, ``stop``, ``seed`` …).
    """

    messages: tuple[ChatMessage, ...]
    operation_key: str
    model: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    response_format: dict[str, Any] | None = None
    purpose: str = ""
    task_id: UUID | None = None
    run_id: UUID | None = None
    step_key: str = ""
    prompt_version_id: UUID | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ChatResult:
    """What a call brought and cost. ``cost_usd`` is what its tokens are worth, ``charged_usd`` what the wallet paid.

    ``replayed``: the stored answer of an earlier call with the same operation key; nothing was charged again.
    """

    call_id: UUID
    text: str
    finish_reason: str
    model: str
    provider: str
    tokens: TokenBuckets
    cost_usd: Decimal
    charged_usd: Decimal
    ending: str
    attempts: int
    latency_ms: int
    replayed: bool = False
    first_token_ms: int | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class ModelCard:
    """One model as users see it. ``is_available``: it can be called now. ``price`` None: it has none in force.

    ``fallback``: key of the cheaper model that takes its calls when a budget runs out; empty for none.
    """

    key: str
    name: str
    provider: str
    kind: str
    is_available: bool
    is_default: bool
    is_local: bool
    context_window: int
    max_output_tokens: int
    price: PriceRef | None
    note: str
    source: str
    source_date: date | None
    fallback: str = ""


@dataclass(frozen=True)
class Catalogue:
    """All models. ``default`` empty: no provider is set up. ``local_notice``: the default is the tiny local model."""

    default: str
    local_notice: bool
    models: tuple[ModelCard, ...]


@dataclass(frozen=True)
class AttemptDetail:
    """One try at a provider. ``http_status`` None: no answer came."""

    number: int
    provider: str
    status: str
    http_status: int | None
    error: str
    latency_ms: int | None


@dataclass(frozen=True)
class CallDetail:
    """One call with its attempts."""

    id: UUID
    operation_key: str
    model: str
    provider: str
    purpose: str
    status: str
    ending: str
    error_code: str
    tokens: TokenBuckets
    cost_usd: Decimal
    charged_usd: Decimal
    shortfall_usd: Decimal
    first_token_ms: int | None
    latency_ms: int | None
    task_id: UUID | None
    run_id: UUID | None
    trace_id: str
    attempts: tuple[AttemptDetail, ...]
