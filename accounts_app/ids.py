"""Ids in the order of their making (UUIDv7, RFC 9562): a table's newest rows lie together, and its months apart."""

import os
import secrets
import threading
import time
from datetime import datetime
from uuid import UUID

_RANDOM_BITS = 74
# A millisecond begins with the highest bit free, so that half of the room is left to count up in.
_SEED_BITS = _RANDOM_BITS - 1
_STEP_BITS = 32
_LOW_BITS = 62
_VERSION_7 = 0x7 << 76
_VARIANT = 0x2 << 62


class _Clock:
    """The last id made by this process. Within a millisecond (or a clock set back) the random part counts up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ms = 0
        self._random = 0

    def next(self) -> tuple[int, int]:
        with self._lock:
            now = time.time_ns() // 1_000_000
            if now > self._ms:
                self._ms, self._random = now, secrets.randbits(_SEED_BITS)
            else:
                # By a random step: the next id is not to be guessed from one that is known.
                self._random += 1 + secrets.randbits(_STEP_BITS)
                if self._random >> _RANDOM_BITS:
                    self._ms, self._random = self._ms + 1, secrets.randbits(_SEED_BITS)
            return self._ms, self._random

    def forget(self) -> None:
        """Begin anew in a forked child, which would count on from the same number as its parent."""
        self.__init__()  # type: ignore[misc]


_clock = _Clock()
os.register_at_fork(after_in_child=_clock.forget)


def uuid7() -> UUID:
    """Return a new id that is greater than every one made before by this process, whichever thread asks.

    48 bits of Unix time in ms, then 74 random ones.
    """
    return _assembled(*_clock.next())


def uuid7_floor(moment: datetime) -> UUID:
    """Return the smallest UUIDv7 of the millisecond of ``moment`` (aware): where a range of ids begins."""
    if moment.tzinfo is None:
        raise ValueError("A moment without a time zone is no moment.")
    return _assembled(int(moment.timestamp() * 1000), 0)


def _assembled(ms: int, random: int) -> UUID:
    high, low = random >> _LOW_BITS, random & ((1 << _LOW_BITS) - 1)
    return UUID(int=ms << 80 | _VERSION_7 | high << 64 | _VARIANT | low)
