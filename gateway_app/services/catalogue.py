"""The catalogue: what ships, what a provider lists, what an operator prices."""

from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts_app.services.audit import audit_record
from billing_app.contracts import ZERO, PriceRef
from billing_app.exceptions import KeyConflict
from billing_app.services.prices import price_set
from gateway_app.catalogue import MODELS, PROVIDERS, ModelSeed
from gateway_app.exceptions import ModelNotFound, ModelUnavailable
from gateway_app.models import ModelEntry, ModelRoute, Provider
from gateway_app.services.routes import endpoint_at


@transaction.atomic
def catalogue_refresh(**_signal: Any) -> int:
    """Load or refresh the catalogue that ships and return the number of models.

    Facts (names, limits, sources) follow the catalogue; switches, defaults, time limits and prices that an operator
    set stay. Runs in an operator context.
    """
    providers = {seed.key: _provider_upsert(vars(seed)) for seed in PROVIDERS}
    entries = {seed.key: _model_upsert(seed, providers[seed.provider]) for seed in MODELS}
    for seed in MODELS:
        if seed.fallback:
            # Only where there is none: an operator's choice stays.
            ModelEntry.objects.filter(key=seed.key, fallback=None).update(fallback=entries[seed.fallback])
    return len(MODELS)


def models_sync(*, provider: Provider) -> tuple[list[str], list[str]]:
    """Read the provider's own list; return the keys that are new to the catalogue and those that it knew.

    New ones stay inactive until they are priced; a known one gets a route to this provider too, which an operator
    switches on. Raises ModelUnavailable when the provider is not set up or does not
    answer. Not in a transaction: it waits for the network.
    """
    # With the openai package, which costs 20 MiB: only processes that ask a provider load it.
    from gateway_app.services.clients import sync_client
    from gateway_app.services.failures import UPSTREAM_ERRORS

    with transaction.atomic():
        endpoint = endpoint_at(provider)
    if endpoint is None:
        raise ModelUnavailable
    try:
        names = sorted({model.id for model in sync_client(endpoint).models.list()})
    except UPSTREAM_ERRORS as error:
        raise ModelUnavailable from error
    with transaction.atomic():
        known = set(ModelEntry.objects.filter(key__in=names).values_list("key", flat=True))
        new = [name for name in names if name not in known]
        ModelEntry.objects.bulk_create([ModelEntry(key=name, name=name) for name in new])
        _routes_listed(provider, names, new)
        audit_record(
            action="models.sync", target_type="provider", target_id=provider.pk, data={"new": new, "known": len(known)}
        )
    return new, sorted(known)


@transaction.atomic
def model_price(
    *,
    model_key: str,
    provider: Provider | None = None,
    input_usd: Decimal,
    output_usd: Decimal,
    cached_input_usd: Decimal | None = None,
    per_request_usd: Decimal = ZERO,
    per_image_usd: Decimal = ZERO,
    source: str,
) -> PriceRef:
    """Price a model from now on, in USD per 1,000,000 tokens, per request and per image, and switch it on.

    A model that the catalogue does not know is added to ``provider``; without one, raises ModelNotFound.
    """
    entry = ModelEntry.objects.filter(key=model_key).first()
    if entry is None:
        if provider is None:
            raise ModelNotFound
        entry = ModelEntry.objects.create(key=model_key, name=model_key)
        ModelRoute.objects.create(entry=entry, provider=provider, upstream_name=model_key)
    entry.is_active = True
    entry.save(update_fields=["is_active"])
    return price_set(
        model_key=model_key,
        input=input_usd,
        output=output_usd,
        cached_input=cached_input_usd,
        per_request=per_request_usd,
        per_image=per_image_usd,
        effective_from=timezone.now(),
        source=source,
        source_date=timezone.localdate(),
    )


def _provider_upsert(seed: dict[str, Any]) -> Provider:
    facts = ("name", "base_url", "base_url_setting", "api_key_setting", "kind")
    defaults = {name: seed[name] for name in facts}
    create = {**defaults, "priority": seed["priority"]}
    return Provider.objects.update_or_create(key=seed["key"], defaults=defaults, create_defaults=create)[0]


def _routes_listed(provider: Provider, names: list[str], new: list[str]) -> None:
    """Note which models the provider lists; it serves those that it brought, others once an operator says so."""
    now = timezone.now()
    served = set(
        ModelRoute.objects.filter(provider=provider, upstream_name__in=names).values_list("upstream_name", flat=True)
    )
    ModelRoute.objects.filter(provider=provider, upstream_name__in=names).update(listed_at=now)
    entries = ModelEntry.objects.filter(key__in=[name for name in names if name not in served])
    ModelRoute.objects.bulk_create(
        ModelRoute(
            entry=entry, provider=provider, upstream_name=entry.key, listed_at=now, is_active=entry.key in set(new)
        )
        for entry in entries
    )


def _model_upsert(seed: ModelSeed, provider: Provider) -> ModelEntry:
    facts = {
        "name": seed.name,
        "kind": seed.kind,
        "context_window": seed.context_window,
        "max_output_tokens": seed.max_output_tokens,
        "is_reasoning": seed.is_reasoning,
        "note": seed.note,
        "source": seed.source.text,
        "source_date": seed.source.read_on,
    }
    entry, created = ModelEntry.objects.update_or_create(
        key=seed.key, defaults=facts, create_defaults={**facts, "is_active": True}
    )
    if created:
        ModelRoute.objects.create(entry=entry, provider=provider, upstream_name=seed.key)
    _price(seed)
    return entry


def _price(seed: ModelSeed) -> None:
    read_on = seed.source.read_on
    # In conflict only when an operator priced it from the same moment: theirs counts.
    with suppress(KeyConflict):
        price_set(
            model_key=seed.key,
            input=seed.rate(0) or Decimal(0),
            cached_input=seed.rate(1),
            cache_write=None if seed.cache_write is None else Decimal(seed.cache_write),
            output=seed.rate(2) or Decimal(0),
            effective_from=datetime(read_on.year, read_on.month, read_on.day, tzinfo=UTC),
            source=seed.source.text,
            source_date=read_on,
        )
