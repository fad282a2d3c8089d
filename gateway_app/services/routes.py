"""From a model's key to the endpoint that serves it."""

from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from gateway_app.exceptions import ModelNotFound, ModelUnavailable
from gateway_app.models import ModelEntry, ModelKind, Provider, ProviderKind

# Whose models an endpoint of the operator's own (OPENAI_BASE_URL) is asked for.
OPENAI = "openai"
# Which one writes when nobody chose, best first.
DEFAULTS = ("gpt-4o-mini", "claude-haiku-4-5", "deepseek-chat", "smollm2-135m-instruct")


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint, ready to call. Time limits in seconds."""

    provider: str
    url: str
    api_key: str
    connect_timeout: float
    first_token_timeout: float
    between_tokens_timeout: float
    total_timeout: float


@dataclass(frozen=True)
class Route:
    """Where a model is and what it can do."""

    model_key: str
    upstream_name: str
    context_window: int
    max_output_tokens: int
    is_reasoning: bool
    endpoint: Endpoint


def route_of(model_key: str = "") -> Route:
    """Return the route to a chat model, by default the default one.

    Raises ModelNotFound for a model that is unknown, switched off or not of a provider that is set up, and
    ModelUnavailable when no provider is. Needs a transaction.
    """
    entries = _chat_entries()
    key = model_key or default_key(entries)
    if not key:
        raise ModelUnavailable(_("No model provider is set up. Set OPENAI_API_KEY or OPENAI_BASE_URL."))
    entry = next((entry for entry in entries if entry.key == key), None)
    endpoint = endpoint_of(entry) if entry else None
    if entry is None or endpoint is None:
        raise ModelNotFound(_unknown(key))
    return Route(
        model_key=entry.key,
        upstream_name=entry.upstream_name,
        context_window=entry.context_window,
        max_output_tokens=entry.max_output_tokens,
        is_reasoning=entry.is_reasoning,
        endpoint=endpoint,
    )


def default_key(entries: list[ModelEntry]) -> str:
    """Return the default among ``entries``: OPENAI_MODEL, else the operator's choice, else the best known; or ""."""
    if settings.OPENAI_MODEL:
        return str(settings.OPENAI_MODEL)
    available = [entry for entry in entries if entry.kind == ModelKind.CHAT and endpoint_of(entry)]
    chosen = [entry.key for entry in available if entry.is_default]
    known = [key for key in DEFAULTS if any(entry.key == key for entry in available)]
    return next(iter([*chosen, *known, *(entry.key for entry in available)]), "")


def endpoint_of(entry: ModelEntry) -> Endpoint | None:
    """Return where ``entry`` can be called now; None when it or its provider is switched off or not set up."""
    if not entry.is_active:
        return None
    own = endpoint_at(entry.provider)
    if own and not _is_hidden(entry):
        return own
    # The model named by OPENAI_MODEL is asked of the operator's own endpoint, whoever made it.
    if entry.key == settings.OPENAI_MODEL and settings.OPENAI_BASE_URL:
        openai = Provider.objects.filter(key=OPENAI).first()
        return endpoint_at(openai) if openai else None
    return None


def endpoint_at(provider: Provider) -> Endpoint | None:
    """Return ``provider`` ready to call; None when it is switched off or its URL or key is not set."""
    override = _setting(provider.base_url_setting)
    api_key = _setting(provider.api_key_setting)
    url = override or provider.base_url
    # An endpoint of one's own may need no key; a published one does.
    needs_key = bool(provider.api_key_setting) and not override
    if not provider.is_active or not url or (needs_key and not api_key):
        return None
    return Endpoint(
        provider=provider.key,
        url=url,
        api_key=api_key or "none",
        connect_timeout=provider.connect_timeout_ms / 1000,
        first_token_timeout=provider.first_token_timeout_ms / 1000,
        between_tokens_timeout=provider.between_tokens_timeout_ms / 1000,
        total_timeout=provider.total_timeout_ms / 1000,
    )


def is_local(entry: ModelEntry) -> bool:
    """Whether the tiny model on this machine serves ``entry``."""
    return entry.provider.kind == ProviderKind.LOCAL


def _is_hidden(entry: ModelEntry) -> bool:
    """Whether OpenAI's models are shadowed: the operator's own endpoint serves the model it is said to, and those that
    it listed itself."""
    own = entry.provider.key == OPENAI and settings.OPENAI_BASE_URL and settings.OPENAI_MODEL
    return bool(own) and entry.key != settings.OPENAI_MODEL and entry.listed_at is None


def _setting(name: str) -> str:
    return str(getattr(settings, name, "") or "") if name else ""


def _chat_entries() -> list[ModelEntry]:
    return list(ModelEntry.objects.select_related("provider").filter(kind=ModelKind.CHAT))


def _unknown(key: str) -> str:
    if key == settings.OPENAI_MODEL:
        return _(
            "The model %(model)s, named by OPENAI_MODEL, has no price and is not active. An operator can price it: "
            "./manage.py price_model %(model)s --input USD --output USD"
        ) % {"model": key}
    return _("There is no model called %(model)s, or it is not active.") % {"model": key}
