"""Reads of this room. Each needs a transaction; calls also a bound tenant."""

from uuid import UUID

from django.utils.translation import gettext

from accounts_app.exceptions import NotFound
from accounts_app.tenancy.context import current_organization_id
from billing_app.contracts import PriceRef
from billing_app.services.prices import prices_in_force
from gateway_app.contracts import AttemptDetail, CallDetail, Catalogue, ModelCard
from gateway_app.models import GatewayAttempt, GatewayCall, ModelEntry, ModelKind
from gateway_app.services.routes import candidates_of, default_key, entries_load, is_local


def catalogue() -> Catalogue:
    """Return the models with the default one and whether that is the tiny local one."""
    entries = entries_load()
    models, default = _cards(entries), default_key(entries)
    return Catalogue(
        default=default, local_notice=any(card.key == default and card.is_local for card in models), models=models
    )


def model_list() -> tuple[ModelCard, ...]:
    """Return the whole catalogue: what can be called first, then by kind and key."""
    return _cards(entries_load())


def default_model_key() -> str:
    """Return the key of the model that writes when none is named; empty when no provider is set up."""
    return default_key(entries_load())


def local_model_notice() -> bool:
    """Return whether the tiny model on this machine is what writes by default: pages must say so."""
    entries = entries_load()
    default = default_key(entries)
    return any(entry.key == default and is_local(entry) for entry in entries)


def call_detail(call_id: UUID) -> CallDetail:
    """Return one call of the bound organization with its attempts; raises NotFound."""
    call = GatewayCall.objects.filter(organization_id=current_organization_id(), pk=call_id).first()
    if call is None:
        raise NotFound
    return CallDetail(
        id=call.pk,
        operation_key=call.operation_key,
        model=call.model,
        provider=call.provider,
        purpose=call.purpose,
        status=call.status,
        ending=call.ending,
        error_code=call.error_code,
        tokens=call.tokens,
        cost_usd=call.cost_usd,
        charged_usd=call.charged_usd,
        shortfall_usd=call.shortfall_usd,
        first_token_ms=call.first_token_ms,
        latency_ms=call.latency_ms,
        task_id=call.task_id,
        run_id=call.run_id,
        trace_id=call.trace_id,
        attempts=tuple(_attempt(attempt) for attempt in call.attempts.order_by("number")),
    )


def _cards(entries: list[ModelEntry]) -> tuple[ModelCard, ...]:
    prices, default = prices_in_force(), default_key(entries)
    cards = [_card(entry, prices.get(entry.key), is_default=entry.key == default) for entry in entries]
    return tuple(sorted(cards, key=lambda card: (not card.is_available, card.kind, card.key)))


def _card(entry: ModelEntry, price: PriceRef | None, *, is_default: bool) -> ModelCard:
    return ModelCard(
        key=entry.key,
        name=entry.name,
        provider=_provider_name(entry),
        kind=entry.kind,
        is_available=price is not None and bool(candidates_of(entry)),
        is_default=is_default and entry.kind == ModelKind.CHAT,
        is_local=is_local(entry),
        context_window=entry.context_window,
        max_output_tokens=entry.max_output_tokens,
        price=price,
        note=gettext(entry.note) if entry.note else "",
        source=entry.source,
        source_date=entry.source_date,
        fallback=entry.fallback.key if entry.fallback else "",
    )


def _provider_name(entry: ModelEntry) -> str:
    """The provider that is asked first, or the only one that it has while none is set up."""
    routes = sorted(entry.routes.all(), key=lambda route: (not route.is_active, route.rank))
    return routes[0].provider.name if routes else ""


def _attempt(attempt: GatewayAttempt) -> AttemptDetail:
    return AttemptDetail(
        number=attempt.number,
        provider=attempt.provider,
        status=attempt.status,
        http_status=attempt.http_status,
        error=attempt.error,
        latency_ms=attempt.latency_ms,
    )
