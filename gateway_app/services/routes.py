"""From a model to the endpoints that serve it: rows, and the settings that stand above them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.db.models import Prefetch
from django.utils.translation import gettext as _

from gateway_app.exceptions import ModelNotFound, ModelUnavailable
from gateway_app.models import ModelEntry, ModelKind, ModelRoute, Provider, ProviderKind
from gateway_app.services.secrets import credential_of

# Whose models an endpoint of the operator's own (OPENAI_BASE_URL) is asked for.
OPENAI = "openai"
# Which one writes when nobody chose, best first. OpenAI names the first as what follows the second in January 2027.
DEFAULTS = ("gpt-6-luna", "gpt-4o-mini", "claude-haiku-4-5", "deepseek-chat", "smollm2-135m-instruct")


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint, ready to call. Time limits in seconds; ``max_concurrency`` 0: no limit.

    ``is_trusted``: a setting of this machine names it, so it may be on a private network; see `egress`.
    """

    provider: str
    url: str
    api_key: str = field(repr=False)
    connect_timeout: float
    first_token_timeout: float
    between_tokens_timeout: float
    total_timeout: float
    max_concurrency: int = 0
    is_trusted: bool = False


@dataclass(frozen=True)
class Candidate:
    """One way to a model that can be called now. The lowest priority is asked first; among equals, weights decide."""

    endpoint: Endpoint
    upstream_name: str
    priority: int = 100
    weight: int = 1


def entries_load() -> list[ModelEntry]:
    """Return the whole catalogue with routes and providers. Two queries."""
    routes = Prefetch("routes", ModelRoute.objects.select_related("provider"))
    return list(ModelEntry.objects.select_related("fallback").prefetch_related(routes))


def default_key(entries: Sequence[ModelEntry]) -> str:
    """Return the default among ``entries``: OPENAI_MODEL, else the operator's choice, else the best known; or ""."""
    if settings.OPENAI_MODEL:
        return str(settings.OPENAI_MODEL)
    available = [entry for entry in entries if entry.kind == ModelKind.CHAT and candidates_of(entry)]
    chosen = [entry.key for entry in available if entry.is_default]
    known = [key for key in DEFAULTS if any(entry.key == key for entry in available)]
    return next(iter([*chosen, *known, *(entry.key for entry in available)]), "")


def candidates_of(entry: ModelEntry) -> tuple[Candidate, ...]:
    """Return the ways in which ``entry`` can be called now, the lowest priority first.

    None when it, its routes or their providers are switched off or not set up.
    """
    if not entry.is_active:
        return ()
    own = [_candidate(route) for route in entry.routes.all() if route.is_active and not _is_hidden(entry, route)]
    ready = sorted((candidate for candidate in own if candidate), key=lambda candidate: candidate.priority)
    return tuple(ready) or _override(entry)


def endpoint_at(provider: Provider) -> Endpoint | None:
    """Return ``provider`` ready to call; None when it is switched off or its URL or key is not set."""
    override = _setting(provider.base_url_setting)
    url = override or provider.base_url
    # The stored key was given for the stored URL: an endpoint named by a setting never sees it.
    api_key = _setting(provider.api_key_setting) or ("" if override else credential_of(provider))
    # An endpoint of one's own may need no key; a published one does.
    needs_key = bool(provider.api_key_setting or provider.credential) and not override
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
        max_concurrency=provider.max_concurrency,
        is_trusted=bool(override),
    )


def has_override(provider: Provider) -> bool:
    """Whether a setting of this machine says where the provider is."""
    return bool(_setting(provider.base_url_setting))


def key_source(provider: Provider) -> str:
    """Return where the provider's API key comes from: the setting's name, "stored", or empty for nowhere."""
    if _setting(provider.api_key_setting):
        return provider.api_key_setting
    return "stored" if not has_override(provider) and credential_of(provider) else ""


def is_local(entry: ModelEntry) -> bool:
    """Whether the tiny model on this machine serves ``entry``."""
    return any(route.provider.kind == ProviderKind.LOCAL for route in entry.routes.all())


def no_provider() -> ModelUnavailable:
    """Return the error of a call that named no model while there is no default."""
    return ModelUnavailable(_("No model provider is set up. Set OPENAI_API_KEY or OPENAI_BASE_URL."))


def unknown_model(key: str) -> ModelNotFound:
    """Return the error of a call for a model that is unknown or cannot be called, with its remedy."""
    if key == settings.OPENAI_MODEL:
        return ModelNotFound(
            _(
                "The model %(model)s, named by OPENAI_MODEL, has no price and is not active. An operator can price it: "
                "./manage.py price_model %(model)s --input USD --output USD"
            )
            % {"model": key}
        )
    return ModelNotFound(_("There is no model called %(model)s, or it is not active.") % {"model": key})


def _candidate(route: ModelRoute) -> Candidate | None:
    endpoint = endpoint_at(route.provider)
    if endpoint is None:
        return None
    return Candidate(endpoint=endpoint, upstream_name=route.upstream_name, priority=route.rank, weight=route.weight)


def _override(entry: ModelEntry) -> tuple[Candidate, ...]:
    """The model named by OPENAI_MODEL is asked of the operator's own endpoint, whoever made it."""
    if entry.key != settings.OPENAI_MODEL or not settings.OPENAI_BASE_URL:
        return ()
    openai = Provider.objects.filter(key=OPENAI).first()
    endpoint = endpoint_at(openai) if openai else None
    names = [route.upstream_name for route in entry.routes.all()]
    return (Candidate(endpoint=endpoint, upstream_name=names[0] if names else entry.key),) if endpoint else ()


def _is_hidden(entry: ModelEntry, route: ModelRoute) -> bool:
    """Whether OpenAI's models are shadowed: the operator's own endpoint serves the model it is said to, and those that
    it listed itself."""
    own = route.provider.key == OPENAI and settings.OPENAI_BASE_URL and settings.OPENAI_MODEL
    return bool(own) and entry.key != settings.OPENAI_MODEL and route.listed_at is None


def _setting(name: str) -> str:
    return str(getattr(settings, name, "") or "") if name else ""
