"""The catalogue in memory: what it holds, what makes it stale."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts_app.tenancy.context import operator_atomic
from billing_app.exceptions import ModelNotPriced
from billing_app.services.prices import price_set
from gateway_app.exceptions import ModelNotFound, ModelUnavailable
from gateway_app.models import ModelEntry, ModelRoute, Provider
from gateway_app.services.snapshot import snapshot_load
from tests.factories.gateway import scripted_model, scripted_provider

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_set_up(settings: Settings, db: None) -> None:
    """No key, no endpoint, no local model, and no rows of other tests."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "LOCAL_MODEL_URL", "DEEPSEEK_API_KEY"):
        setattr(settings, name, "")
    with operator_atomic("test"):
        Provider.objects.exclude(key__in=("openai", "anthropic", "deepseek", "local")).update(is_active=False)


@pytest.fixture
def entry() -> ModelEntry:
    """A priced model with one route, at provider ``first``."""
    provider = scripted_provider("http://127.0.0.1:9/v1", key="first")
    return scripted_model(provider, f"model-{uuid4().hex[:8]}")


def _route(entry: ModelEntry, key: str, **fields: object) -> ModelRoute:
    provider = scripted_provider("http://127.0.0.1:8/v1", key=key)
    return ModelRoute.objects.create(entry=entry, provider=provider, upstream_name=f"{key}-name", **fields)


def test_it_is_read_in_a_handful_of_queries(
    settings: Settings, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    settings.OPENAI_API_KEY = "sk-x"
    with django_assert_max_num_queries(5):
        snapshot = snapshot_load()
    assert len(snapshot.models) > 10
    settings.OPENAI_BASE_URL, settings.OPENAI_MODEL = "http://127.0.0.1:9/v1", "deepseek-chat"
    with django_assert_max_num_queries(5):
        assert set(snapshot_load().models) == {"deepseek-chat"}


def test_it_holds_what_can_be_called_now(settings: Settings) -> None:
    assert snapshot_load().models == {}
    settings.OPENAI_API_KEY = "sk-x"
    snapshot = snapshot_load()
    model = snapshot.model("gpt-4o")
    assert (model.kind, model.fallback_key, model.owned_by) == ("chat", "gpt-4o-mini", "openai")
    assert (model.context_window, model.max_output_tokens, model.is_reasoning) == (128_000, 16_384, False)
    assert snapshot.model().key == snapshot.default_key == "gpt-6-luna"
    assert snapshot.model("text-embedding-3-small").kind == "embedding"
    assert "deepseek-chat" not in snapshot.models
    assert "sk-x" not in repr(snapshot)


def test_it_refuses_as_the_router_does(settings: Settings) -> None:
    with pytest.raises(ModelUnavailable, match="OPENAI_API_KEY"):
        snapshot_load().model()
    with pytest.raises(ModelNotFound, match="unheard-of"):
        snapshot_load().model("unheard-of")
    settings.OPENAI_BASE_URL, settings.OPENAI_MODEL = "http://127.0.0.1:9/v1", "my-own-model"
    with pytest.raises(ModelNotFound, match="price_model my-own-model"):
        snapshot_load().model()


def test_every_route_that_is_set_up_is_a_candidate(entry: ModelEntry) -> None:
    _route(entry, "second", priority=5, weight=7)
    _route(entry, "off", is_active=False)
    silent = _route(entry, "silent")
    Provider.objects.filter(pk=silent.provider_id).update(is_active=False)
    Provider.objects.filter(key="second").update(max_concurrency=3)
    found = [
        (way.endpoint.provider, way.upstream_name, way.priority, way.weight, way.endpoint.max_concurrency)
        for way in snapshot_load().model(entry.key).candidates
    ]
    assert found == [("second", "second-name", 5, 7, 3), ("first", entry.key, 100, 1, 0)]


def test_a_route_without_priority_has_its_providers(entry: ModelEntry) -> None:
    _route(entry, "second")
    Provider.objects.filter(key="second").update(priority=1)
    assert [way.priority for way in snapshot_load().model(entry.key).candidates] == [1, 100]


def test_paths_and_fallback_come_with_the_model(entry: ModelEntry) -> None:
    ModelEntry.objects.filter(pk=entry.pk).update(
        paths=["audio/speech"], fallback=ModelEntry.objects.get(key="gpt-4o-mini")
    )
    model = snapshot_load().model(entry.key)
    assert (model.paths, model.fallback_key) == (frozenset({"audio/speech"}), "gpt-4o-mini")


def test_prices_to_come_are_known_and_count_from_their_moment() -> None:
    key, now = f"m-{uuid4().hex}", timezone.now()
    with operator_atomic("test"):
        for days, usd in ((-20, 1), (-10, 2), (10, 3), (20, 4)):
            moment = now + timedelta(days=days)
            price_set(model_key=key, input=Decimal(usd), output=Decimal(0), effective_from=moment, source="a list")
    snapshot = snapshot_load()
    assert [price.input for price in snapshot.prices[key]] == [4, 3, 2]
    assert [snapshot.price(key, now + timedelta(days=days)).input for days in (0, 11, 21)] == [2, 3, 4]
    with pytest.raises(ModelNotPriced, match=key):
        snapshot.price(key, now - timedelta(days=15))
    with pytest.raises(ModelNotPriced):
        snapshot.price("unheard-of", now)


def _change_provider(entry: ModelEntry) -> None:
    Provider.objects.filter(key="first").update(base_url="http://127.0.0.1:7/v1")


def _change_entry(entry: ModelEntry) -> None:
    ModelEntry.objects.filter(pk=entry.pk).update(is_active=False)


def _change_route(entry: ModelEntry) -> None:
    entry.routes.update(weight=9)


def _remove_route(entry: ModelEntry) -> None:
    entry.routes.all().delete()


@pytest.mark.parametrize("change", [_change_provider, _change_entry, _change_route, _remove_route])
def test_every_change_of_the_catalogue_makes_it_stale(entry: ModelEntry, change: Callable[[ModelEntry], None]) -> None:
    before = snapshot_load()
    change(entry)
    after = snapshot_load()
    assert after.catalogue_revision > before.catalogue_revision
    assert after.price_revision == before.price_revision


def test_a_new_price_makes_it_stale(entry: ModelEntry) -> None:
    before = snapshot_load()
    with operator_atomic("test"):
        price_set(
            model_key=entry.key, input=Decimal(1), output=Decimal(1), effective_from=timezone.now(), source="a list"
        )
    assert snapshot_load().price_revision > before.price_revision


def test_a_change_while_it_is_read_is_not_missed(entry: ModelEntry) -> None:
    changed: list[bool] = []

    def change_first(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        # Between the reading of the revisions and that of the models, another connection's change commits.
        if "gateway_models" in sql and not changed:
            changed.append(True)
            _change_route(entry)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(change_first):
        raced = snapshot_load()
    assert changed
    assert raced.catalogue_revision < snapshot_load().catalogue_revision
    assert raced.model(entry.key).candidates[0].weight == 9
