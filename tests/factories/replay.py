"""What the two-user replay needs from each room: someone's own object for every API route that names one.

A room registers a maker for each of its routes with an id in the address:

    @owned_object("api/things/<uuid:thing_id>/")
    def thing(owner: Person) -> Replay:
        with owner.at_work():
            return Replay({"thing_id": thing_create(...).id}, body={"note": "…"})

``tests/architecture/test_tenancy_replay.py`` then sends every method to it with a stranger's key and expects 404. A
route without a maker fails that test. A route whose *body* or query names an id registers with `named_in_body`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import tests.factories
from tests.factories.accounts import Person


@dataclass(frozen=True)
class Replay:
    """The address's ids, and a body that would be valid if the ids were the caller's own."""

    ids: Mapping[str, object] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)


Maker = Callable[[Person], Replay]
MAKERS: dict[str, Maker] = {}
BODY_CASES: dict[str, Maker] = {}


def owned_object(*routes: str) -> Callable[[Maker], Maker]:
    """Register the maker of an object of ``owner`` for routes as Django writes them, with or without the last slash."""

    def register(maker: Maker) -> Maker:
        MAKERS.update({route.rstrip("/"): maker for route in routes})
        return maker

    return register


def named_in_body(route: str) -> Callable[[Maker], Maker]:
    """Register a POST body that names objects of ``owner``: a stranger who sends it to ``route`` must get 404."""

    def register(maker: Maker) -> Maker:
        BODY_CASES[route] = maker
        return maker

    return register


def maker_for(pattern: str) -> Maker | None:
    """Return the maker for a route's pattern."""
    return MAKERS.get(pattern.rstrip("/"))


def load_all() -> None:
    """Import every module of factories, so that each has registered its makers."""
    for module in iter_modules(tests.factories.__path__):
        import_module(f"tests.factories.{module.name}")
