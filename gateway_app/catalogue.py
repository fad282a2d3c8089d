"""The catalogue that ships: names, limits and list prices of common models, each dated with its source.

Prices are USD per 1,000,000 tokens as the vendors publish them for the standard tier. They change: what an operator
enters later counts from the moment entered.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from django.utils.translation import gettext_noop as _

CHAT, EMBEDDING, IMAGE = "chat", "embedding", "image"
LOCAL_MODEL = "smollm2-135m-instruct"


@dataclass(frozen=True)
class ProviderSeed:
    """One provider row; see `gateway_app.models.Provider`."""

    key: str
    name: str
    base_url: str = ""
    base_url_setting: str = ""
    api_key_setting: str = ""
    kind: str = "remote"
    priority: int = 100


@dataclass(frozen=True)
class Source:
    """Where figures were read, and when."""

    text: str
    read_on: date


@dataclass(frozen=True)
class ModelSeed:
    """One model row and its price. ``prices``: input, cached input, output; None where the vendor has no such price.

    ``fallback``: key of the cheaper model of the same vendor that stands in for it when a budget runs out.
    """

    key: str
    name: str
    provider: str
    context_window: int
    max_output_tokens: int
    prices: tuple[str, str | None, str]
    source: Source
    kind: str = CHAT
    is_reasoning: bool = False
    cache_write: str | None = None
    note: str = ""
    fallback: str = ""

    def rate(self, index: int) -> Decimal | None:
        """Return one of ``prices``."""
        value = self.prices[index]
        return None if value is None else Decimal(value)


PROVIDERS = (
    ProviderSeed("openai", "OpenAI", "https://api.openai.com/v1", "OPENAI_BASE_URL", "OPENAI_API_KEY", priority=10),
    ProviderSeed("anthropic", "Anthropic", "https://api.anthropic.com/v1", "", "ANTHROPIC_API_KEY", priority=20),
    ProviderSeed("deepseek", "DeepSeek", "https://api.deepseek.com", "", "DEEPSEEK_API_KEY", priority=30),
    ProviderSeed("local", "This machine", "", "LOCAL_MODEL_URL", "", kind="local", priority=200),
)

_OPENAI = Source("https://platform.openai.com/docs/pricing", date(2026, 5, 27))
_ANTHROPIC = Source("https://docs.claude.com/en/docs/about-claude/pricing", date(2026, 3, 21))
_DEEPSEEK = Source("https://api-docs.deepseek.com/quick_start/pricing", date(2025, 12, 9))
_LOCAL = Source("DeepSpace: a token price, so that the use of this machine is seen in the wallet", date(2026, 11, 22))

_LONG = 1_047_576

MODELS = (
    ModelSeed("gpt-4o", "GPT-4o", "openai", 128_000, 16_384, ("2.50", "1.25", "10.00"), _OPENAI),
    ModelSeed("gpt-4o-mini", "GPT-4o mini", "openai", 128_000, 16_384, ("0.15", "0.075", "0.60"), _OPENAI),
    ModelSeed("gpt-4.1", "GPT-4.1", "openai", _LONG, 32_768, ("2.00", "0.50", "8.00"), _OPENAI),
    ModelSeed("gpt-4.1-mini", "GPT-4.1 mini", "openai", _LONG, 32_768, ("0.40", "0.10", "1.60"), _OPENAI),
    ModelSeed("gpt-4.1-nano", "GPT-4.1 nano", "openai", _LONG, 32_768, ("0.10", "0.025", "0.40"), _OPENAI),
    ModelSeed("gpt-5", "GPT-5", "openai", 400_000, 128_000, ("1.25", "0.125", "10.00"), _OPENAI, is_reasoning=True),
    ModelSeed(
        "gpt-5-mini", "GPT-5 mini", "openai", 400_000, 128_000, ("0.25", "0.025", "2.00"), _OPENAI, is_reasoning=True
    ),
    ModelSeed(
        "gpt-5-nano", "GPT-5 nano", "openai", 400_000, 128_000, ("0.05", "0.005", "0.40"), _OPENAI, is_reasoning=True
    ),
    ModelSeed("o1", "o1", "openai", 200_000, 100_000, ("15.00", "7.50", "60.00"), _OPENAI, is_reasoning=True),
    ModelSeed("o3", "o3", "openai", 200_000, 100_000, ("2.00", "0.50", "8.00"), _OPENAI, is_reasoning=True),
    ModelSeed("o3-mini", "o3-mini", "openai", 200_000, 100_000, ("1.10", "0.55", "4.40"), _OPENAI, is_reasoning=True),
    ModelSeed("o4-mini", "o4-mini", "openai", 200_000, 100_000, ("1.10", "0.275", "4.40"), _OPENAI, is_reasoning=True),
    ModelSeed(
        "text-embedding-3-small",
        "text-embedding-3-small",
        "openai",
        8_192,
        0,
        ("0.02", None, "0"),
        _OPENAI,
        kind=EMBEDDING,
    ),
    ModelSeed(
        "text-embedding-3-large",
        "text-embedding-3-large",
        "openai",
        8_192,
        0,
        ("0.13", None, "0"),
        _OPENAI,
        kind=EMBEDDING,
    ),
    ModelSeed(
        "gpt-image-1",
        "GPT Image 1",
        "openai",
        0,
        0,
        ("5.00", "1.25", "40.00"),
        _OPENAI,
        kind=IMAGE,
        note=_("Text input and image output tokens."),
    ),
    ModelSeed(
        "claude-sonnet-4-5",
        "Claude Sonnet 4.5",
        "anthropic",
        200_000,
        64_000,
        ("3.00", "0.30", "15.00"),
        _ANTHROPIC,
        cache_write="3.75",
    ),
    ModelSeed(
        "claude-haiku-4-5",
        "Claude Haiku 4.5",
        "anthropic",
        200_000,
        64_000,
        ("1.00", "0.10", "5.00"),
        _ANTHROPIC,
        cache_write="1.25",
    ),
    ModelSeed(
        "claude-opus-4-5",
        "Claude Opus 4.5",
        "anthropic",
        200_000,
        64_000,
        ("5.00", "0.50", "25.00"),
        _ANTHROPIC,
        cache_write="6.25",
    ),
    ModelSeed("deepseek-chat", "DeepSeek Chat", "deepseek", 128_000, 8_192, ("0.28", "0.028", "0.42"), _DEEPSEEK),
    ModelSeed(
        "deepseek-reasoner", "DeepSeek Reasoner", "deepseek", 128_000, 65_536, ("0.28", "0.028", "0.42"), _DEEPSEEK
    ),
    ModelSeed(
        LOCAL_MODEL,
        "SmolLM2 135M Instruct",
        "local",
        8_192,
        1_024,
        ("0.02", None, "0.04"),
        _LOCAL,
        note=_("A tiny model on this machine, English only. Set OPENAI_API_KEY for a better one."),
    ),
)
