"""PostgreSQL or Redis away: a clear answer at once, and work as usual as soon as they are back."""

from typing import Any

import pytest
from django.db import close_old_connections
from django.test import Client

from tests.factories.accounts import PASSWORD, person
from tests.support.gate import Gate

pytestmark = pytest.mark.usefixtures("committed_db")


class Browser:
    """A client whose requests each end as in a server: the connection goes back to the pool."""

    def __init__(self, client: Client) -> None:
        self.client = client
        client.raise_request_exception = False

    def get(self, path: str) -> Any:
        try:
            return self.client.get(path)
        finally:
            close_old_connections()

    def post(self, path: str, form: dict[str, str]) -> Any:
        try:
            return self.client.post(path, form)
        finally:
            close_old_connections()


def unavailable(response: Any) -> bool:
    return response.status_code == 503 and int(response["Retry-After"]) > 0 and len(response["X-Trace-Id"]) == 32


def test_without_postgres_pages_and_api_say_that_it_is_back_in_a_moment(database_gate: Gate) -> None:
    owner = person()
    browser, api = Browser(owner.client()), Browser(owner.api())
    assert browser.get("/settings/keys/").status_code == 200
    database_gate.shut()
    page = browser.get("/settings/keys/")
    assert unavailable(page)
    assert page["X-Trace-Id"] in page.content.decode()
    answer = api.get("/api/keys/")
    assert unavailable(answer)
    assert answer.json()["error"]["code"] == "unavailable"
    assert answer.json()["error"]["trace_id"] == answer["X-Trace-Id"]


def test_without_postgres_the_not_found_page_still_shows(database_gate: Gate) -> None:
    browser = Browser(person().client())
    database_gate.shut()
    assert browser.get("/no-such-page/").status_code == 404
    assert browser.get("/api/no-such-thing/").status_code == 404


def test_when_postgres_is_back_the_very_next_request_works(database_gate: Gate) -> None:
    browser = Browser(person().client())
    assert browser.get("/settings/keys/").status_code == 200
    database_gate.shut()
    assert unavailable(browser.get("/settings/keys/"))
    database_gate.open()
    assert browser.get("/settings/keys/").status_code == 200


def test_a_restart_of_postgres_between_two_requests_is_not_noticed(database_gate: Gate) -> None:
    browser = Browser(person().client())
    assert browser.get("/settings/keys/").status_code == 200
    database_gate.shut()
    database_gate.open()
    assert browser.get("/settings/keys/").status_code == 200


def test_without_redis_signing_in_says_that_it_is_back_in_a_moment(redis_gate: Gate) -> None:
    owner = person(password=PASSWORD)
    browser = Browser(Client())
    redis_gate.shut()
    form = {"login": owner.user.email, "password": PASSWORD}
    assert unavailable(browser.post("/accounts/login/", form))
    redis_gate.open()
    assert browser.post("/accounts/login/", form).status_code == 302


def test_without_redis_the_settings_pages_still_work(redis_gate: Gate) -> None:
    browser = Browser(person().client())
    redis_gate.shut()
    assert browser.get("/settings/keys/").status_code == 200
    assert browser.get("/settings/organization/").status_code == 200
