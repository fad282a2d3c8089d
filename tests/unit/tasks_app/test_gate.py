"""TASKS_ENABLED=false closes every entry of this room."""

from uuid import uuid4

import pytest
from django.test import override_settings
from django.urls import URLPattern, URLResolver, reverse

from tasks_app.api.urls import urlpatterns as api_patterns
from tasks_app.web.urls import urlpatterns as web_patterns
from tests.factories.accounts import person

pytestmark = pytest.mark.django_db


def walk(patterns: list[URLPattern | URLResolver], namespace: str = "") -> list[tuple[str, set[str]]]:
    """Return name and arguments of every address below ``patterns``."""
    found: list[tuple[str, set[str]]] = []
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            found += walk(pattern.url_patterns, f"{pattern.namespace}:")
        else:
            found.append((f"{namespace}{pattern.name}", set(pattern.pattern.converters)))
    return found


def some(arguments: set[str]) -> dict[str, object]:
    """Return a value of its kind for each argument: ids that nothing has, but for numbers and the kinds of a file."""
    plain: dict[str, object] = {"seq": 1, "kind": "json"}
    return {argument: plain.get(argument) or uuid4() for argument in arguments}


ENTRIES = [entry for entry in walk(api_patterns) + walk(web_patterns) if entry[0] != "tasks:home"]


def test_walk_finds_every_entry() -> None:
    assert len(ENTRIES) == 16 + 18


@override_settings(TASKS_ENABLED=False)
@pytest.mark.parametrize(("name", "arguments"), ENTRIES)
def test_every_entry_is_closed(name: str, arguments: set[str]) -> None:
    ada = person()
    path = reverse(name, kwargs=some(arguments))
    for client in (ada.api(), ada.client()):
        for method in ("get", "post"):
            response = getattr(client, method)(
                path, content_type="application/json", headers={"Accept": "application/json"}
            )
            assert response.status_code == 404
            assert response.json()["error"]["code"] == "not_found"
            assert response.json()["error"]["trace_id"]


@override_settings(TASKS_ENABLED=False)
def test_navigation_hides_the_tasks() -> None:
    page = person().client().get("/wallet/").content.decode()
    assert "/dashboard/" not in page


@pytest.mark.parametrize(("name", "arguments"), ENTRIES)
def test_every_entry_is_open_otherwise(name: str, arguments: set[str]) -> None:
    path = reverse(name, kwargs=some(arguments))
    response = person().client().get(path)
    # Unknown ids and wrong methods are answered by the view itself.
    assert response.status_code in (200, 404, 405)
