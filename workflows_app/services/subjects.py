"""What runs are about: a higher room names its things, and says what follows when one of their runs begins."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from django.db import transaction

from gateway_app.services.streams import stream_open
from workflows_app.contracts import Json, RunRef
from workflows_app.selectors import run_get
from workflows_app.services.controls import run_retry
from workflows_app.services.replays import run_replay


@dataclass(frozen=True)
class Subject:
    """The thing that a run is about, for people. ``url`` is its page's path."""

    title: str
    url: str


class SubjectRoom(Protocol):
    """What a room registers that starts runs about things of its own. Ids that it does not know are not its own."""

    def subjects(self, ids: Iterable[UUID]) -> Mapping[UUID, Subject]:
        """Return those of ``ids`` that are the room's and that the caller may see."""

    def replay(
        self, *, subject_id: UUID, run_id: UUID, seq: int, key: str, config_id: UUID | None, params: Json | None
    ) -> RunRef:
        """Replay a run of one of the room's things, which then stands as for any run that begins."""

    def retry(self, *, subject_id: UUID, run_id: UUID) -> RunRef:
        """Take a failed run of one of the room's things up again."""


_rooms: list[SubjectRoom] = []


def subject_room_register(room: SubjectRoom) -> None:
    """Add a room; called from its `AppConfig.ready`."""
    _rooms.append(room)


def subjects_named(ids: Iterable[UUID | None]) -> dict[UUID, Subject]:
    """Return titles and pages of the things that runs are about, as far as some room knows them."""
    wanted = {subject_id for subject_id in ids if subject_id is not None}
    named: dict[UUID, Subject] = {}
    for room in _rooms if wanted else ():
        named |= room.subjects(wanted)
    return named


@transaction.atomic
def replay_begin(
    *, run_id: UUID, seq: int, key: str, config_id: UUID | None = None, params: Json | None = None
) -> RunRef:
    """Replay a run from behind its event ``seq``, with a stream of its own; what it is about takes part in it.

    Raises what `run_replay` does, and what the room of the run's subject has against it.
    """
    run = run_get(run_id)
    room = _room_of(run.subject_id)
    if room is not None and run.subject_id is not None:
        return room.replay(
            subject_id=run.subject_id, run_id=run_id, seq=seq, key=key, config_id=config_id, params=params
        )
    stream_id = stream_open(kind="run", subject_id=run_id)
    return run_replay(run_id=run_id, seq=seq, key=key, config_id=config_id, params=params, stream_id=stream_id)


@transaction.atomic
def retry_begin(*, run_id: UUID) -> RunRef:
    """Take a failed run up again, with a new stream; what it is about takes part in it. Raises as `run_retry` does."""
    run = run_get(run_id)
    room = _room_of(run.subject_id)
    if room is not None and run.subject_id is not None:
        return room.retry(subject_id=run.subject_id, run_id=run_id)
    return run_retry(run_id=run_id, stream_id=stream_open(kind="run", subject_id=run_id))


def _room_of(subject_id: UUID | None) -> SubjectRoom | None:
    if subject_id is None:
        return None
    return next((room for room in _rooms if subject_id in room.subjects([subject_id])), None)
