"""The catalogue as the hot path sees it: frozen, in memory, checked by `gateway_open` through its revisions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.utils.translation import gettext as _

from billing_app.contracts import PriceRef
from billing_app.exceptions import ModelNotPriced
from billing_app.services.price_list import price_list
from gateway_app.models import ModelEntry
from gateway_app.services.routes import (
    Candidate,
    candidates_of,
    default_key,
    entries_load,
    no_provider,
    unknown_model,
)

CATALOGUE, PRICES = "catalogue", "prices"


@dataclass(frozen=True)
class ModelSnap:
    """A model that can be called now. ``kind``: chat, embedding, image or other; ``fallback_key`` empty: it has none.

    ``paths``: those below /v1 that reach it beside its kind's, at the price per request. ``created``: Unix seconds.
    ``candidates``: at least one, the lowest priority first.
    """

    key: str
    name: str
    kind: str
    context_window: int
    max_output_tokens: int
    is_reasoning: bool
    fallback_key: str
    paths: frozenset[str]
    candidates: tuple[Candidate, ...]
    created: int

    @property
    def owned_by(self) -> str:
        """The key of the provider that is asked first."""
        return self.candidates[0].endpoint.provider


@dataclass(frozen=True)
class Snapshot:
    """Models that can be called, by key; prices newest first: those to come, then the one in force.

    ``default_key`` empty: no provider is set up.
    """

    models: Mapping[str, ModelSnap]
    prices: Mapping[str, tuple[PriceRef, ...]]
    default_key: str
    catalogue_revision: int
    price_revision: int

    def model(self, key: str = "") -> ModelSnap:
        """Return a model, by default the default one.

        Raises ModelNotFound for one that is unknown, switched off or not of a provider that is set up, and
        ModelUnavailable when no provider is.
        """
        if not (key := key or self.default_key):
            raise no_provider()
        found = self.models.get(key)
        if found is None:
            raise unknown_model(key)
        return found

    def price(self, key: str, at: datetime) -> PriceRef:
        """Return the price of the model in force at ``at``, not long before the snapshot; raises ModelNotPriced."""
        for price in self.prices.get(key, ()):
            if price.effective_from is not None and price.effective_from <= at:
                return price
        raise ModelNotPriced(_("%(model)s has no price in force.") % {"model": key})


def snapshot_load() -> Snapshot:
    """Read the catalogue and the prices. At most five queries; needs a transaction.

    The revisions are read first: what changes while the rest is read makes the snapshot stale, never wrongly fresh.
    """
    revisions = _revisions()
    entries = entries_load()
    snaps = [snap for entry in entries if (snap := _snap(entry))]
    return Snapshot(
        models={snap.key: snap for snap in snaps},
        prices=price_list(),
        default_key=default_key(entries),
        catalogue_revision=revisions.get(CATALOGUE, 0),
        price_revision=revisions.get(PRICES, 0),
    )


def _snap(entry: ModelEntry) -> ModelSnap | None:
    candidates = candidates_of(entry)
    if not candidates:
        return None
    return ModelSnap(
        key=entry.key,
        name=entry.name,
        kind=entry.kind,
        context_window=entry.context_window,
        max_output_tokens=entry.max_output_tokens,
        is_reasoning=entry.is_reasoning,
        fallback_key=entry.fallback.key if entry.fallback else "",
        paths=frozenset(entry.paths),
        candidates=candidates,
        created=int(entry.created_at.timestamp()),
    )


def _revisions() -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, number FROM revisions WHERE name = ANY(%s)", [[CATALOGUE, PRICES]])
        return dict(cursor.fetchall())
