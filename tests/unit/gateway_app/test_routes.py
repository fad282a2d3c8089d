"""Which model writes, and where: by settings, switches and prices."""

import pytest
from pytest_django import Settings

from accounts_app.tenancy.context import operator_atomic
from billing_app.exceptions import ModelNotPriced
from billing_app.services.prices import price_current
from gateway_app import selectors
from gateway_app.exceptions import ModelNotFound, ModelUnavailable
from gateway_app.models import ModelEntry, ModelRoute, Provider
from gateway_app.services.routes import Endpoint
from gateway_app.services.snapshot import ModelSnap, snapshot_load

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_set_up(settings: Settings, db: None) -> None:
    """No key, no endpoint, no local model, and no rows of other tests."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL", "LOCAL_MODEL_URL", "DEEPSEEK_API_KEY"):
        setattr(settings, name, "")
    with operator_atomic("test"):
        Provider.objects.exclude(key__in=("openai", "anthropic", "deepseek", "local")).update(is_active=False)


def _model(key: str = "") -> ModelSnap:
    return snapshot_load().model(key)


def _endpoint(key: str = "") -> Endpoint:
    return _model(key).candidates[0].endpoint


def _callable() -> set[str]:
    return {card.key for card in selectors.model_list() if card.is_available and card.kind == "chat"}


def test_with_nothing_set_up_nothing_can_be_called() -> None:
    assert (_callable(), selectors.default_model_key(), selectors.local_model_notice()) == (set(), "", False)
    with pytest.raises(ModelUnavailable, match="OPENAI_API_KEY"):
        _model()
    with pytest.raises(ModelNotFound):
        _model("gpt-4o-mini")


def test_with_a_key_only_that_providers_models_are_active(settings: Settings) -> None:
    settings.OPENAI_API_KEY = "sk-x"
    model, endpoint = _model(), _endpoint()
    assert (model.key, endpoint.url) == ("gpt-6-luna", "https://api.openai.com/v1")
    assert endpoint.api_key == "sk-x"
    assert {"gpt-4o", "gpt-4.1", "o3"} <= _callable()
    assert {"deepseek-chat", "claude-haiku-4-5", "smollm2-135m-instruct"}.isdisjoint(_callable())
    with pytest.raises(ModelNotFound):
        _model("deepseek-chat")


def test_a_second_providers_key_adds_its_models(settings: Settings) -> None:
    settings.OPENAI_API_KEY, settings.DEEPSEEK_API_KEY = "sk-x", "ds-x"
    assert _endpoint("deepseek-chat").api_key == "ds-x"
    assert selectors.default_model_key() == "gpt-6-luna"


def test_the_local_model_writes_when_nothing_else_does(settings: Settings) -> None:
    settings.LOCAL_MODEL_URL = "http://127.0.0.1:9/v1"
    model, endpoint = _model(), _endpoint()
    assert (model.key, endpoint.url) == ("smollm2-135m-instruct", "http://127.0.0.1:9/v1")
    assert (_callable(), selectors.local_model_notice()) == ({"smollm2-135m-instruct"}, True)
    assert price_current(model_key=model.key).output > 0
    settings.OPENAI_API_KEY = "sk-x"
    assert (selectors.default_model_key(), selectors.local_model_notice()) == ("gpt-6-luna", False)
    assert _endpoint("smollm2-135m-instruct").provider == "local"


def test_the_setting_chooses_the_default(settings: Settings) -> None:
    settings.OPENAI_API_KEY, settings.OPENAI_MODEL = "sk-x", "gpt-4.1"
    assert (selectors.default_model_key(), _model().key) == ("gpt-4.1", "gpt-4.1")


def test_the_operators_choice_comes_before_ours(settings: Settings) -> None:
    settings.OPENAI_API_KEY = "sk-x"
    ModelEntry.objects.filter(key="gpt-4.1-nano").update(is_default=True)
    assert selectors.default_model_key() == "gpt-4.1-nano"
    ModelEntry.objects.filter(key="gpt-4.1-nano").update(is_active=False)
    assert selectors.default_model_key() == "gpt-6-luna"


def test_an_endpoint_of_ones_own_needs_no_key(settings: Settings) -> None:
    settings.OPENAI_BASE_URL = "http://127.0.0.1:9/v1"
    assert _endpoint().url == "http://127.0.0.1:9/v1"
    assert _endpoint().api_key == "none"


def test_an_endpoint_of_ones_own_serves_the_model_it_is_said_to(settings: Settings) -> None:
    settings.OPENAI_BASE_URL, settings.OPENAI_MODEL = "http://127.0.0.1:9/v1", "deepseek-chat"
    assert _endpoint().url == "http://127.0.0.1:9/v1"
    assert _callable() == {"deepseek-chat"}
    ModelRoute.objects.filter(entry__key="gpt-4o").update(listed_at="2026-11-22T00:00:00Z")
    assert _callable() == {"deepseek-chat", "gpt-4o"}  # the endpoint listed it itself


def test_a_model_without_price_is_inactive_and_the_remedy_is_told(settings: Settings) -> None:
    settings.OPENAI_BASE_URL, settings.OPENAI_MODEL = "http://127.0.0.1:9/v1", "my-own-model"
    with pytest.raises(ModelNotFound, match="price_model my-own-model"):
        _model()
    assert selectors.catalogue().default == "my-own-model"
    assert _callable() == set()
    with pytest.raises(ModelNotPriced):
        price_current(model_key="my-own-model")


def test_a_model_or_provider_that_is_switched_off_is_not_called(settings: Settings) -> None:
    settings.OPENAI_API_KEY = "sk-x"
    ModelEntry.objects.filter(key="gpt-4o").update(is_active=False)
    with pytest.raises(ModelNotFound, match="gpt-4o"):
        _model("gpt-4o")
    Provider.objects.filter(key="openai").update(is_active=False)
    with pytest.raises(ModelUnavailable):
        _model()
