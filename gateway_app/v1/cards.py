"""Who calls, and what there is to call: kept by this process for a while, checked in Postgres by every hold.

So a revoked key, a new price or a switched-off model holds at once in every process: the hold answers that what was
decided by is old, and both are read again.
"""

import hashlib
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts_app.contracts import KeyCard
from accounts_app.exceptions import DependencyDown, NotAuthenticated
from accounts_app.services.cards import key_card
from accounts_app.tenancy.context import NOBODY, bound
from gateway_app.services.limits import LimitRule, limit_rules
from gateway_app.services.pipeline import connection_release
from gateway_app.services.snapshot import Snapshot, snapshot_load
from gateway_app.v1.shelf import Shelf

# Cards are read by threads, each with a connection of Django's pool.
_LOADS_AT_ONCE = 4
_LOADS_WAITING = 500
_MOST_CARDS = 10_000
# A refusal drawn from what was read longer ago than this is checked again.
_FRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Caller:
    """A key's card and the limits on it."""

    card: KeyCard
    limits: tuple[LimitRule, ...]


def _crowded() -> DependencyDown:
    return DependencyDown("Too many unknown keys are being checked. Try again in a moment.")


_cards: Shelf[bytes, Caller] = Shelf(
    seconds=lambda: settings.GATEWAY_CARD_SECONDS,
    size=_MOST_CARDS,
    at_once=_LOADS_AT_ONCE,
    waiting=_LOADS_WAITING,
    crowded=_crowded,
)
_snapshots: Shelf[str, Snapshot] = Shelf(
    seconds=lambda: settings.GATEWAY_CARD_SECONDS, size=1, at_once=1, waiting=1, crowded=_crowded
)
_CATALOGUE = "catalogue"


class Standing:
    """What one request is decided by: its caller and the catalogue."""

    __slots__ = ("_key", "_secret", "caller", "snapshot")

    caller: Caller
    snapshot: Snapshot

    def __init__(self, secret: str) -> None:
        self._secret = secret
        # The secret itself is not kept.
        self._key = hashlib.sha256(secret.encode()).digest()

    async def read(self) -> None:
        """Take both as they were read not long ago; raises NotAuthenticated for a key that is not good any more."""
        self.caller = await _cards.get(self._key, self._load_caller)
        expires_at = self.caller.card.expires_at
        if expires_at is not None and expires_at <= timezone.now():
            raise NotAuthenticated("This API key is unknown, expired or revoked.")
        self.snapshot = await _snapshots.get(_CATALOGUE, _load_snapshot)

    async def renew(self) -> None:
        """Read both anew, unless that was done since `read`."""
        self.caller = await _cards.renewed(self._key, self.caller, self._load_caller)
        self.snapshot = await _snapshots.renewed(_CATALOGUE, self.snapshot, _load_snapshot)

    @property
    def may_be_old(self) -> bool:
        """Whether a refusal drawn from it may be one of yesterday's."""
        return max(_cards.age(self._key), _snapshots.age(_CATALOGUE)) > _FRESH_SECONDS

    async def _load_caller(self) -> Caller:
        return await sync_to_async(_read_caller, thread_sensitive=False)(self._secret)


def forget() -> None:
    """Forget all cards and the catalogue, as a new process."""
    _cards.clear()
    _snapshots.clear()


async def _load_snapshot() -> Snapshot:
    return await sync_to_async(_read_snapshot, thread_sensitive=False)()


def _read_caller(secret: str) -> Caller:
    try:
        card = key_card(secret)
        # After the card: limits may be newer than its revision, never older.
        with bound(card.tenant), transaction.atomic():
            return Caller(card, limit_rules(card))
    finally:
        connection_release()


def _read_snapshot() -> Snapshot:
    try:
        with bound(NOBODY), transaction.atomic():
            return snapshot_load()
    finally:
        connection_release()
