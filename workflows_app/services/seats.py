"""A worker process's threads, by whose runs they carry: one is always left to another organization."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.conf import settings


class Seat:
    """One thread's place. ``passed_over``: the organization that has all others and must not have this one too."""

    def __init__(self, seats: "Seats") -> None:
        self._seats = seats
        self.organization_id: UUID | None = None

    @property
    def passed_over(self) -> UUID | None:
        """The organization that may not have this seat."""
        return self._seats.crowding()

    def take(self, organization_id: UUID) -> None:
        """Note whose run is carried here."""
        self.organization_id = organization_id
        self._seats.add(organization_id, 1)


class Seats:
    """The seats of this process. With a single one there is nothing to keep free."""

    def __init__(self) -> None:
        self._taken: Counter[UUID] = Counter()
        self._lock = threading.Lock()

    def crowding(self) -> UUID | None:
        """Return the organization whose long runs have all seats but one, if there is one."""
        seats = settings.MODEL_WORKER_THREADS
        with self._lock:
            most = self._taken.most_common(1)
        return most[0][0] if most and 1 < seats <= most[0][1] + 1 else None

    def add(self, organization_id: UUID, number: int) -> None:
        """Count seats of an organization, up or down."""
        with self._lock:
            self._taken[organization_id] += number

    @contextmanager
    def seat(self) -> Iterator[Seat]:
        """Hold a place for the block."""
        seat = Seat(self)
        try:
            yield seat
        finally:
            if seat.organization_id is not None:
                self.add(seat.organization_id, -1)


SEATS = Seats()
