"""The catalogue that ships: names, limits and list prices of common models, each dated with its source.

Prices are USD per 1,000,000 tokens as the vendors publish them for the standard tier. They change: what an operator
enters later counts from the moment entered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

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
_OPENAI_MODELS = Source("https://developers.openai.com/api/docs/models", date(2026, 11, 22))
_ANTHROPIC = Source("https://docs.claude.com/en/docs/about-claude/pricing", date(2026, 3, 21))
_CLAUDE_5 = Source("https://platform.claude.com/docs/en/about-claude/models", date(2026, 11, 22))
_DEEPSEEK = Source("https://api-docs.deepseek.com/quick_start/pricing", date(2025, 12, 9))
_LOCAL = Source("DeepSpace: a token price, so that the use of this machine is seen in the wallet", date(2026, 11, 22))

_LONG = 1_047_576

# How hard a model is to think in our own steps, unless a prompt says otherwise (`reasoning_effort`). Their limits of
# tokens are made for the text alone; thoughts would use them up before the first word.
EFFORTS = {"gpt-6-luna": "none"}

# Priced still, because endpoints of others serve them under the same name.
_RETIRED = _("OpenAI itself no longer serves it.")
# https://developers.openai.com/api/docs/deprecations, read on 2026-11-22.
_UNTIL_DECEMBER = _("OpenAI itself serves it until 11 December 2026.")
_UNTIL_JANUARY = _("OpenAI itself serves it until 14 January 2027.")
# Images that are sent in cost more than text: all that is read is charged at their rate.
_PICTURES = _("What it reads, text too, is charged at the price of images.")


def _of(provider: str, source: Source, kind: str = CHAT) -> Callable[..., ModelSeed]:
    def model(
        key: str, name: str, window: int, output: int, prices: tuple[str, str | None, str], **more: Any
    ) -> ModelSeed:
        return ModelSeed(key, name, provider, window, output, prices, **{"source": source, "kind": kind, **more})

    return model


_openai, _embedding = _of("openai", _OPENAI), _of("openai", _OPENAI, EMBEDDING)
_image = _of("openai", _OPENAI_MODELS, IMAGE)
_anthropic, _deepseek, _local = _of("anthropic", _ANTHROPIC), _of("deepseek", _DEEPSEEK), _of("local", _LOCAL)

MODELS = (
    _openai(
        "gpt-4o", "GPT-4o", 128_000, 16_384, ("2.50", "1.25", "10.00"), note=_UNTIL_JANUARY, fallback="gpt-4o-mini"
    ),
    _openai("gpt-4o-mini", "GPT-4o mini", 128_000, 16_384, ("0.15", "0.075", "0.60"), note=_UNTIL_JANUARY),
    _openai(
        "gpt-4.1", "GPT-4.1", _LONG, 32_768, ("2.00", "0.50", "8.00"), note=_UNTIL_JANUARY, fallback="gpt-4.1-mini"
    ),
    _openai("gpt-4.1-mini", "GPT-4.1 mini", _LONG, 32_768, ("0.40", "0.10", "1.60"), note=_UNTIL_JANUARY),
    _openai("gpt-4.1-nano", "GPT-4.1 nano", _LONG, 32_768, ("0.10", "0.025", "0.40"), note=_RETIRED),
    _openai(
        "gpt-5",
        "GPT-5",
        400_000,
        128_000,
        ("1.25", "0.125", "10.00"),
        is_reasoning=True,
        note=_UNTIL_DECEMBER,
        fallback="gpt-5-mini",
    ),
    _openai(
        "gpt-5-mini",
        "GPT-5 mini",
        400_000,
        128_000,
        ("0.25", "0.025", "2.00"),
        is_reasoning=True,
        note=_UNTIL_DECEMBER,
        fallback="gpt-5-nano",
    ),
    _openai(
        "gpt-5-nano", "GPT-5 nano", 400_000, 128_000, ("0.05", "0.005", "0.40"), is_reasoning=True, note=_UNTIL_DECEMBER
    ),
    _openai(
        "o1",
        "o1",
        200_000,
        100_000,
        ("15.00", "7.50", "60.00"),
        is_reasoning=True,
        note=_RETIRED,
        fallback="gpt-5-mini",
    ),
    _openai(
        "o3",
        "o3",
        200_000,
        100_000,
        ("2.00", "0.50", "8.00"),
        is_reasoning=True,
        note=_UNTIL_DECEMBER,
        fallback="gpt-5-mini",
    ),
    _openai(
        "o3-mini",
        "o3-mini",
        200_000,
        100_000,
        ("1.10", "0.55", "4.40"),
        is_reasoning=True,
        note=_RETIRED,
        fallback="gpt-5-nano",
    ),
    _openai(
        "o4-mini",
        "o4-mini",
        200_000,
        100_000,
        ("1.10", "0.275", "4.40"),
        is_reasoning=True,
        note=_RETIRED,
        fallback="gpt-5-nano",
    ),
    # Beyond 272,000 tokens of input a request costs twice as much, which no price of ours says: so it ends there.
    _openai(
        "gpt-6-luna",
        "GPT-6 Luna",
        272_000,
        128_000,
        ("0.10", "0.01", "0.50"),
        is_reasoning=True,
        cache_write="0.125",
        source=_OPENAI_MODELS,
    ),
    _embedding("text-embedding-3-small", "text-embedding-3-small", 8_192, 0, ("0.02", None, "0")),
    _embedding("text-embedding-3-large", "text-embedding-3-large", 8_192, 0, ("0.13", None, "0")),
    _image(
        "gpt-image-1", "GPT Image 1", 0, 0, ("10.00", "2.50", "40.00"), note=_RETIRED, fallback="gpt-image-2.6-sunburst"
    ),
    _image("gpt-image-2.6-sunburst", "GPT-Image-2.6 Sunburst", 0, 0, ("8.00", "2.00", "30.00"), note=_PICTURES),
    _anthropic(
        "claude-sonnet-4-5",
        "Claude Sonnet 4.5",
        200_000,
        64_000,
        ("3.00", "0.30", "15.00"),
        cache_write="3.75",
        fallback="claude-haiku-4-5",
    ),
    _anthropic("claude-haiku-4-5", "Claude Haiku 4.5", 200_000, 64_000, ("1.00", "0.10", "5.00"), cache_write="1.25"),
    _anthropic(
        "claude-opus-4-5",
        "Claude Opus 4.5",
        200_000,
        64_000,
        ("5.00", "0.50", "25.00"),
        cache_write="6.25",
        fallback="claude-sonnet-4-5",
    ),
    _anthropic(
        "claude-sonnet-5",
        "Claude Sonnet 5",
        1_000_000,
        128_000,
        ("2.00", "0.20", "10.00"),
        cache_write="2.50",
        fallback="claude-haiku-4-5",
        source=_CLAUDE_5,
    ),
    _anthropic(
        "claude-opus-5",
        "Claude Opus 5",
        1_000_000,
        128_000,
        ("5.00", "0.50", "25.00"),
        cache_write="6.25",
        fallback="claude-sonnet-5",
        source=_CLAUDE_5,
    ),
    _deepseek("deepseek-chat", "DeepSeek Chat", 128_000, 8_192, ("0.28", "0.028", "0.42")),
    _deepseek("deepseek-reasoner", "DeepSeek Reasoner", 128_000, 65_536, ("0.28", "0.028", "0.42")),
    _local(
        LOCAL_MODEL,
        "SmolLM2 135M Instruct",
        8_192,
        1_024,
        ("0.02", None, "0.04"),
        note=_("A tiny model on this machine, English only. Set OPENAI_API_KEY for a better one."),
    ),
)
