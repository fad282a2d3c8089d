"""Two-user replay: everything of A's that the API can name answers 404 to B."""

import pytest

from tests.factories.accounts import person
from tests.factories.replay import BODY_CASES, load_all, maker_for
from tests.support.routes import Route, all_routes

# Parameters that name something which everybody has.
SHARED_NAMES = {"workspace"}
METHODS = ("get", "post", "put", "patch", "delete")

load_all()
NAMING_ROUTES = [
    route for route in all_routes() if route.pattern.startswith("api/") and route.parameters.keys() - SHARED_NAMES
]


@pytest.mark.parametrize("route", NAMING_ROUTES, ids=str)
def test_every_route_that_names_an_object_has_a_maker(route: Route) -> None:
    assert maker_for(route.pattern), f"Register an @owned_object({route.pattern!r}) in tests/factories; see replay.py."


# Committed rows: an asynchronous view gives its connection back, and a test's frame with it.
@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("route", [route for route in NAMING_ROUTES if maker_for(route.pattern)], ids=str)
def test_a_stranger_gets_not_found_and_the_owner_does_not(route: Route) -> None:
    owner, stranger = person(), person()
    make = maker_for(route.pattern)
    assert make
    replay = make(owner)
    path, api = route.path(replay.ids), stranger.api()
    answers = {
        method: getattr(api, method)(path, dict(replay.body), content_type="application/json").status_code
        for method in METHODS[1:]
    }
    answers["get"] = api.get(path).status_code
    assert set(answers.values()) <= {404, 405}, answers
    assert 404 in answers.values()
    assert owner.api().get(path).status_code != 404


@pytest.mark.django_db
@pytest.mark.parametrize("route", sorted(BODY_CASES))
def test_a_stranger_cannot_refer_to_anothers_object_in_a_body(route: str) -> None:
    owner, stranger = person(), person()
    replay = BODY_CASES[route](owner)
    matching = next(candidate for candidate in all_routes() if candidate.pattern == route)
    answer = stranger.api().post(matching.path(replay.ids), dict(replay.body), content_type="application/json")
    assert answer.status_code == 404
