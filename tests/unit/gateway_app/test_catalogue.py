"""What ships, what a provider lists, what an operator prices."""

from decimal import Decimal
from io import StringIO
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts_app.models import AuditLog
from accounts_app.tenancy.context import operator_atomic, operator_context
from billing_app.services.prices import price_current, price_set, prices_in_force
from gateway_app.catalogue import MODELS, PROVIDERS
from gateway_app.exceptions import ModelNotFound, ModelUnavailable
from gateway_app.models import ModelEntry, ModelRoute, Provider
from gateway_app.services.catalogue import catalogue_refresh, model_price, models_sync
from gateway_app.services.routes import DEFAULTS
from gateway_app.services.snapshot import snapshot_load
from tests.factories.gateway import scripted_model, scripted_provider
from tests.support.upstream import ScriptedUpstream


@pytest.mark.django_db
def test_everything_that_ships_is_priced_limited_and_dated() -> None:
    prices = prices_in_force()
    for entry in ModelEntry.objects.filter(key__in=[seed.key for seed in MODELS]):
        assert entry.key in prices
        assert entry.is_active
        assert entry.source
        assert entry.source_date
        assert entry.kind != "chat" or (entry.context_window and entry.max_output_tokens)
    assert Provider.objects.filter(key__in=[seed.key for seed in PROVIDERS]).count() == len(PROVIDERS)


@pytest.mark.django_db
def test_the_model_that_stands_in_is_cheaper_and_makes_the_same() -> None:
    seeds, prices = {seed.key: seed for seed in MODELS}, prices_in_force()
    for seed in (seed for seed in MODELS if seed.fallback):
        cheaper = seeds[seed.fallback]
        assert (cheaper.kind, cheaper.provider) == (seed.kind, seed.provider)
        assert prices[cheaper.key].output < prices[seed.key].output
        assert prices[cheaper.key].input < prices[seed.key].input
        entry = ModelEntry.objects.select_related("fallback").get(key=seed.key)
        assert entry.fallback is not None
        assert entry.fallback.key == seed.fallback
        # Vectors of another model cannot be compared with those that a caller has.
        assert seed.kind != "embedding"


@pytest.mark.django_db
def test_a_refresh_keeps_routes_and_the_operators_fallback() -> None:
    with operator_atomic("test"):
        before = ModelRoute.objects.get(entry__key="gpt-4o")
        ModelEntry.objects.filter(key="gpt-4o").update(fallback=ModelEntry.objects.get(key="gpt-4.1-mini"))
        catalogue_refresh()
        entry = ModelEntry.objects.select_related("fallback").get(key="gpt-4o")
        assert [route.pk for route in entry.routes.all()] == [before.pk]
        assert entry.fallback is not None
        assert entry.fallback.key == "gpt-4.1-mini"


@pytest.mark.usefixtures("committed_db")
def test_a_second_provider_of_a_model_is_switched_on_by_an_operator(upstream: ScriptedUpstream) -> None:
    first, key = scripted_provider(upstream.url), f"shared-{uuid4().hex[:8]}"
    entry = scripted_model(first, key)
    second = scripted_provider(upstream.url, key=f"second-{uuid4().hex[:8]}")
    upstream.models = [key]
    with operator_context("test"):
        assert models_sync(provider=second) == ([], [key])
        assert models_sync(provider=second) == ([], [key])
    with operator_atomic("test"):
        routes = {route.provider_id: route for route in entry.routes.all()}
        assert (routes[first.pk].is_active, routes[second.pk].is_active) == (True, False)
        assert (routes[first.pk].listed_at is None, routes[second.pk].listed_at is None) == (True, False)


@pytest.mark.django_db
def test_list_prices_as_published() -> None:
    price = price_current(model_key="gpt-4o-mini")
    assert (price.input, price.cached_input, price.output) == (Decimal("0.15"), Decimal("0.075"), Decimal("0.6"))
    luna = price_current(model_key=DEFAULTS[0])
    assert (luna.input, luna.cached_input, luna.cache_write, luna.output) == tuple(
        map(Decimal, ("0.1", "0.01", "0.125", "0.5"))
    )
    haiku = price_current(model_key="claude-haiku-4-5")
    assert (haiku.cache_write, haiku.reasoning) == (Decimal("1.25"), haiku.output)


@pytest.mark.django_db
def test_a_refresh_changes_facts_and_keeps_what_operators_set() -> None:
    with operator_atomic("test"):
        before = len(prices_in_force())
        dearer = price_set(
            model_key="gpt-4o", input=Decimal(9), output=Decimal(9), effective_from=timezone.now(), source="contract"
        )
        ModelEntry.objects.filter(key="gpt-4o").update(is_active=False, context_window=1)
        Provider.objects.filter(key="openai").update(total_timeout_ms=77, is_active=False, name="old")
        assert catalogue_refresh() == len(MODELS)
        entry, provider = ModelEntry.objects.get(key="gpt-4o"), Provider.objects.get(key="openai")
        assert (entry.is_active, entry.context_window) == (False, 128_000)
        assert (provider.total_timeout_ms, provider.is_active, provider.name) == (77, False, "OpenAI")
        assert price_current(model_key="gpt-4o").id == dearer.id
        assert len(prices_in_force()) == before


@pytest.mark.usefixtures("committed_db")
def test_a_provider_is_asked_for_its_models_and_new_ones_stay_inactive(upstream: ScriptedUpstream) -> None:
    new = f"found-{uuid4().hex[:8]}"
    upstream.models = ["scripted", new]
    provider = scripted_provider(upstream.url)
    with operator_context("test"):
        assert models_sync(provider=provider) == ([new], ["scripted"])
        assert models_sync(provider=provider) == ([], sorted([new, "scripted"]))
    with operator_atomic("test"):
        route = ModelRoute.objects.select_related("entry").get(entry__key=new)
        assert (route.entry.is_active, route.provider_id, route.listed_at is None) == (False, provider.pk, False)
        assert AuditLog.objects.filter(action="models.sync", target_id=str(provider.pk)).count() == 2
        with pytest.raises(ModelNotFound):
            snapshot_load().model(new)
        arguments = ("--input", "1.5", "--output", "6", "--per-request", "0.01", "--per-image", "0.04")
        call_command("price_model", new, *arguments, stdout=StringIO())
        assert snapshot_load().model(new).candidates[0].upstream_name == new
        price = price_current(model_key=new)
        assert (price.input, price.per_request, price.per_image) == (Decimal("1.5"), Decimal("0.01"), Decimal("0.04"))


@pytest.mark.usefixtures("committed_db")
def test_the_commands_speak_plainly(upstream: ScriptedUpstream) -> None:
    out, new = StringIO(), f"found-{uuid4().hex[:8]}"
    upstream.models = [new]
    call_command("sync_models", "scripted", stdout=out)
    assert "scripted: 0 known, 1 new" in out.getvalue()
    assert f"price_model {new}" in out.getvalue()
    with pytest.raises(CommandError, match="OPENAI_API_KEY"):
        call_command("sync_models", "anthropic")
    with pytest.raises(CommandError, match="no such model"):
        call_command("price_model", "unheard-of", "--input", "1", "--output", "1", "--provider", "nobody")
    with upstream.down(), pytest.raises(CommandError, match="does not answer"):
        call_command("sync_models", "scripted")


@pytest.mark.usefixtures("committed_db")
def test_a_provider_that_is_not_set_up_is_not_asked() -> None:
    with operator_context("test"):
        with operator_atomic("test"):
            provider = Provider.objects.get(key="anthropic")
        with pytest.raises(ModelUnavailable):
            models_sync(provider=provider)


@pytest.mark.django_db
def test_pricing_a_known_model_switches_it_on() -> None:
    provider = scripted_provider("http://127.0.0.1:9/v1", key="priced")
    entry = scripted_model(provider, f"known-{uuid4().hex[:8]}")
    with operator_atomic("test"):
        ModelEntry.objects.filter(pk=entry.pk).update(is_active=False)
        model_price(model_key=entry.key, input_usd=Decimal(2), output_usd=Decimal(3), source="a list")
        entry.refresh_from_db()
        assert (entry.is_active, price_current(model_key=entry.key).output) == (True, Decimal(3))
