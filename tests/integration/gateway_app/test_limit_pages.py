"""Rate limits for people and programs: set, seen, changed, removed."""

import uuid
from typing import Any

import pytest
from django.test import Client

from accounts_app.services.api_keys import api_key_create
from gateway_app.models import RateLimit
from gateway_app.services.limits import rate_limit_set
from tests.factories.accounts import Person, person, team

pytestmark = pytest.mark.django_db
PAGE = "/wallet/limits/"


def limit_of(somebody: Person) -> uuid.UUID:
    with somebody.at_work():
        return rate_limit_set(scope="organization", requests_per_minute=60).id


def test_a_limit_is_set_shown_changed_and_removed() -> None:
    ada = person()
    client = ada.client()
    assert "No rate limits yet" in client.get(PAGE).content.decode()
    with ada.at_work():
        key_id = api_key_create(name="nightly report").id
    form = {"subject": f"key:{key_id}", "requests_per_minute": "60", "tokens_per_minute": ""}
    assert client.post(f"{PAGE}new/", form).status_code == 302
    ((limit, name),) = client.get(PAGE).context["limits"]
    assert (name, limit.requests_per_minute, limit.tokens_per_minute) == ("nightly report", 60, None)
    address = f"{PAGE}{limit.pk}/"
    assert 'value="60"' in client.get(address).content.decode()
    assert client.post(address, {"tokens_per_minute": "90000"}).status_code == 302
    assert "90,000" in client.get(PAGE).content.decode()
    assert "Remove this limit?" in client.get(f"{address}remove/").content.decode()
    assert client.post(f"{address}remove/").status_code == 302
    with ada.at_work():
        assert not RateLimit.objects.filter(organization_id=ada.organization_id).exists()


@pytest.mark.parametrize("figures", [{}, {"requests_per_minute": "0"}, {"tokens_per_minute": "many"}])
def test_a_limit_that_limits_nothing_is_refused(figures: dict[str, str]) -> None:
    answer = person().client().post(f"{PAGE}new/", {"subject": "organization", **figures})
    assert answer.status_code == 400
    assert answer.context["form"].errors


def test_members_see_limits_and_change_none() -> None:
    owner, member = team("member")
    limit_id = limit_of(owner)
    client = member.client()
    assert client.get(PAGE).status_code == 200
    for address in (f"{PAGE}new/", f"{PAGE}{limit_id}/", f"{PAGE}{limit_id}/remove/"):
        assert client.post(address, {"subject": "organization", "requests_per_minute": "1"}).status_code == 403


def test_limits_of_others_are_not_found() -> None:
    limit_id = limit_of(person())
    client = person().client()
    for address in (f"{PAGE}{limit_id}/", f"{PAGE}{limit_id}/remove/"):
        assert client.get(address).status_code == 404
        assert client.post(address, {"requests_per_minute": "1"}).status_code == 404


def api(client: Client, method: str, address: str = "", body: dict[str, Any] | None = None) -> Any:
    return getattr(client, method)(f"/api/rate-limits{address}", body, content_type="application/json")


def test_programs_set_read_change_and_remove_limits() -> None:
    ada = person()
    client = ada.api()
    made = api(client, "post", body={"scope": "organization", "requests_per_minute": 100})
    assert made.status_code == 201, made.content
    limit = made.json()
    assert (limit["subject_id"], limit["requests_per_minute"]) == (str(ada.organization_id), 100)
    address = f"/{limit['id']}"
    changed = api(client, "patch", address, {"tokens_per_minute": 5000})
    assert (changed.json()["requests_per_minute"], changed.json()["tokens_per_minute"]) == (100, 5000)
    assert [row["id"] for row in client.get("/api/rate-limits").json()["results"]] == [limit["id"]]
    assert api(client, "patch", address, {"requests_per_minute": None, "tokens_per_minute": None}).status_code == 400
    assert api(client, "delete", address).status_code == 204
    assert api(client, "get", address).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"scope": "planet", "requests_per_minute": 1},
        {"scope": "organization"},
        {"scope": "organization", "requests_per_minute": 0},
        {"scope": "organization", "requests_per_minute": 2**40},
        {"scope": "key", "requests_per_minute": 5},
    ],
)
def test_programs_are_told_what_is_wrong(body: dict[str, Any]) -> None:
    answer = api(person().api(), "post", body=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_input"
