"""Operators enter keys, routes and limits."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from accounts_app.models import AuditLog
from accounts_app.tenancy.context import operator_atomic
from billing_app.services.prices import price_set
from gateway_app.models import ModelEntry, ModelRoute, Provider, RateLimit
from gateway_app.services.limits import rate_limit_set
from gateway_app.services.secrets import credential_of
from tests.factories.accounts import Person, person

pytestmark = pytest.mark.django_db

SECRET = "sk-typed-into-a-form-4321"
PROVIDERS, MODELS, LIMITS = (f"/admin/gateway_app/{name}/" for name in ("provider", "modelentry", "ratelimit"))


@pytest.fixture
def operator() -> Client:
    return person(is_operator=True).client()


def _provider_form(**fields: Any) -> dict[str, Any]:
    limits = ("connect", "first_token", "between_tokens", "total")
    return {
        "key": f"p-{uuid4().hex[:12]}",
        "name": "Typed",
        "kind": "remote",
        "is_active": "on",
        "base_url": "https://api.example.com/v1",
        "priority": 50,
        "max_concurrency": 8,
        **{f"{name}_timeout_ms": 1_000 for name in limits},
        **fields,
    }


def _added(operator: Client, **fields: Any) -> Provider:
    form = _provider_form(**fields)
    assert operator.post(f"{PROVIDERS}add/", form).status_code == 302
    return Provider.objects.get(key=form["key"])


def test_a_key_goes_in_and_never_comes_out(operator: Client) -> None:
    provider = _added(operator, new_credential=SECRET)
    assert (credential_of(provider), provider.max_concurrency) == (SECRET, 8)
    page = operator.get(f"{PROVIDERS}{provider.pk}/change/").content.decode()
    assert "…4321" in page
    assert SECRET not in page
    assert provider.credential not in page
    assert SECRET not in operator.get(PROVIDERS).content.decode()
    assert SECRET not in operator.get(f"{PROVIDERS}{provider.pk}/history/").content.decode()
    with operator_atomic("test"):
        assert AuditLog.objects.filter(action="provider.credential_set", target_id=str(provider.pk)).count() == 1
        assert SECRET not in "".join(str(row.data) for row in AuditLog.objects.all())


def test_an_empty_field_keeps_the_key_and_a_tick_removes_it(operator: Client) -> None:
    provider = _added(operator, new_credential=SECRET)
    address = f"{PROVIDERS}{provider.pk}/change/"
    assert operator.post(address, _provider_form(name="Renamed")).status_code == 302
    provider.refresh_from_db()
    assert (provider.name, credential_of(provider)) == ("Renamed", SECRET)
    both = operator.post(address, _provider_form(new_credential="sk-x", remove_credential="on"))
    assert "Either a new key, or none." in both.content.decode()
    assert operator.post(address, _provider_form(remove_credential="on")).status_code == 302
    provider.refresh_from_db()
    assert (provider.credential, provider.credential_hint) == ("", "")


def test_a_stored_key_does_not_follow_to_another_address(operator: Client) -> None:
    provider = _added(operator, new_credential=SECRET)
    address, elsewhere = f"{PROVIDERS}{provider.pk}/change/", "https://collector.example.net/v1"
    page = operator.post(address, _provider_form(base_url=elsewhere))
    assert "enter the key again" in page.content.decode()
    provider.refresh_from_db()
    assert provider.base_url == "https://api.example.com/v1"
    assert operator.post(address, _provider_form(base_url=elsewhere, new_credential="sk-new-1")).status_code == 302
    provider.refresh_from_db()
    assert (provider.base_url, credential_of(provider)) == (elsewhere, "sk-new-1")


def test_a_key_that_is_refused_is_not_sent_back(operator: Client) -> None:
    page = operator.post(f"{PROVIDERS}add/", _provider_form(new_credential="sk-two words-4321"))
    assert page.status_code == 200
    assert "no spaces" in page.content.decode()
    assert "two words" not in page.content.decode()


@pytest.mark.parametrize("url", ["http://169.254.169.254/v1", "https://me:secret@api.example.com/v1"])
def test_a_base_url_that_could_never_be_a_providers_is_refused(operator: Client, url: str) -> None:
    page = operator.post(f"{PROVIDERS}add/", _provider_form(base_url=url))
    assert page.status_code == 200
    assert "errorlist" in page.content.decode()


def test_the_list_says_where_each_key_comes_from(operator: Client, settings: Any) -> None:
    settings.DEEPSEEK_API_KEY = "from-the-environment"
    page = operator.get(PROVIDERS).content.decode()
    assert "DEEPSEEK_API_KEY" in page
    assert "from-the-environment" not in page


def _model_form(entry: ModelEntry, routes: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    names = ("key", "name", "kind", "context_window", "max_output_tokens")
    rows = routes or []
    inline: dict[str, Any] = {"routes-TOTAL_FORMS": len(rows), "routes-INITIAL_FORMS": 0}
    for number, row in enumerate(rows):
        inline |= {f"routes-{number}-{name}": value for name, value in row.items()}
    return {name: getattr(entry, name) for name in names} | {"paths": ""} | inline | fields


def _entry(per_request: Decimal = Decimal(0)) -> ModelEntry:
    entry = ModelEntry.objects.create(key=f"m-{uuid4().hex[:12]}", name="m")
    with operator_atomic("test"):
        price_set(
            model_key=entry.key,
            input=Decimal(1),
            output=Decimal(1),
            per_request=per_request,
            effective_from=timezone.now(),
            source="a list",
        )
    return entry


def test_routes_are_edited_with_their_model(operator: Client) -> None:
    entry, first, second = _entry(), _added(operator), _added(operator)
    routes = [
        {"provider": first.pk, "upstream_name": "one", "weight": 3, "priority": "", "is_active": "on"},
        {"provider": second.pk, "upstream_name": "two", "weight": 1, "priority": 7, "is_active": "on"},
    ]
    address = f"{MODELS}{entry.pk}/change/"
    assert operator.post(address, _model_form(entry, routes, is_active="on")).status_code == 302
    ways = ModelRoute.objects.filter(entry=entry).select_related("provider").order_by("weight")
    assert [(way.upstream_name, way.rank, way.weight) for way in ways] == [("two", 7, 1), ("one", 50, 3)]
    page = operator.get(address).content.decode()
    assert 'value="one"' in page


def test_a_weight_of_nothing_is_refused(operator: Client) -> None:
    entry, provider = _entry(), _added(operator)
    routes = [{"provider": provider.pk, "upstream_name": "one", "weight": 0, "is_active": "on"}]
    page = operator.post(f"{MODELS}{entry.pk}/change/", _model_form(entry, routes))
    assert page.status_code == 200
    assert not ModelRoute.objects.filter(entry=entry).exists()


def test_a_fallback_is_another_model_of_the_same_kind(operator: Client) -> None:
    entry = _entry()
    address = f"{MODELS}{entry.pk}/change/"
    embedding = ModelEntry.objects.get(key="text-embedding-3-small")
    page = operator.post(address, _model_form(entry, fallback=embedding.pk)).content.decode()
    assert "A model of another kind cannot take its calls." in page
    page = operator.post(address, _model_form(entry, fallback=entry.pk)).content.decode()
    assert "A model cannot stand in for itself." in page
    cheaper = ModelEntry.objects.get(key="gpt-4o-mini")
    assert operator.post(address, _model_form(entry, fallback=cheaper.pk)).status_code == 302


def test_further_paths_need_a_price_per_request(operator: Client) -> None:
    unpriced, priced = _entry(), _entry(per_request=Decimal("0.01"))
    page = operator.post(f"{MODELS}{unpriced.pk}/change/", _model_form(unpriced, paths="audio/speech"))
    assert "Only a model with a price per request" in page.content.decode()
    address = f"{MODELS}{priced.pk}/change/"
    for wrong in ("/audio", "audio/../admin", "audio?x=1", "Audio"):
        assert operator.post(address, _model_form(priced, paths=wrong)).status_code == 200
    assert operator.post(address, _model_form(priced, paths="audio/speech,moderations")).status_code == 302
    priced.refresh_from_db()
    assert priced.paths == ["audio/speech", "moderations"]


def _limit_form(someone: Person, **fields: Any) -> dict[str, Any]:
    values = {"organization": someone.organization_id, "scope": "member", "subject_id": someone.id}
    return values | {"requests_per_minute": 60, "tokens_per_minute": ""} | fields


def test_an_operator_limits_a_member(operator: Client) -> None:
    someone = person()
    assert operator.post(f"{LIMITS}add/", _limit_form(someone)).status_code == 302
    with operator_atomic("test"):
        limit = RateLimit.objects.get(organization_id=someone.organization_id)
        assert (limit.scope, limit.subject_id, limit.requests_per_minute) == ("member", someone.id, 60)
    change = {"requests_per_minute": "", "tokens_per_minute": 5_000}
    assert operator.post(f"{LIMITS}{limit.pk}/change/", change).status_code == 302
    assert operator.post(f"{LIMITS}{limit.pk}/delete/", {"post": "yes"}).status_code == 302
    with operator_atomic("test"):
        assert not RateLimit.objects.filter(pk=limit.pk).exists()
        rows = AuditLog.objects.filter(target_id=str(limit.pk), action__startswith="rate").order_by("created_at")
        assert [row.action for row in rows] == ["rate_limit.set", "rate_limit.set", "rate_limit.remove"]
        assert rows[1].data["tokens_per_minute"] == 5_000


def test_an_operators_mistakes_are_told_at_the_field(operator: Client) -> None:
    someone, stranger = person(), person()
    for fields, words in (
        ({"subject_id": stranger.id}, "There is no such project, member or key."),
        ({"requests_per_minute": ""}, "Limit the requests, the tokens, or both."),
        ({"requests_per_minute": 0}, "errorlist"),
    ):
        page = operator.post(f"{LIMITS}add/", _limit_form(someone, **fields))
        assert page.status_code == 200, fields
        assert words in page.content.decode()


def test_many_limits_are_removed_one_by_one_each_audited(operator: Client) -> None:
    someone = person()
    with someone.at_work():
        limits = [
            rate_limit_set(scope="organization", requests_per_minute=1),
            rate_limit_set(scope="member", subject_id=someone.id, requests_per_minute=1),
        ]
    form = {"action": "delete_selected", "_selected_action": [limit.id for limit in limits], "post": "yes"}
    assert operator.post(LIMITS, form).status_code == 302
    with operator_atomic("test"):
        assert AuditLog.objects.filter(action="rate_limit.remove").count() == 2
