"""Ids that sort by the time of their making."""

import os
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from accounts_app import ids
from accounts_app.ids import uuid7, uuid7_floor


def test_an_id_is_a_version_7_uuid_of_this_millisecond() -> None:
    before, made, after = datetime.now(UTC), uuid7(), datetime.now(UTC)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert uuid7_floor(before) <= made < uuid7_floor(after + timedelta(milliseconds=2))


def test_ids_of_one_process_only_ever_grow() -> None:
    made = [uuid7() for _ in range(50_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_threads_share_the_order() -> None:
    made: list[list[UUID]] = [[] for _ in range(8)]

    def work(mine: list[UUID]) -> None:
        mine.extend(uuid7() for _ in range(5_000))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in made)
    assert len({each for mine in made for each in mine}) == 40_000


def test_a_clock_set_back_does_not_set_ids_back(monkeypatch: pytest.MonkeyPatch) -> None:
    first = uuid7()
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert uuid7() > first


def test_a_full_millisecond_goes_on_in_the_next() -> None:
    clock = ids._Clock()
    ms, _ = clock.next()
    clock._ms, clock._random = ms + 1000, (1 << ids._RANDOM_BITS) - 1
    assert clock.next()[0] == ms + 1001


def test_a_forked_child_does_not_count_on_from_its_parent() -> None:
    uuid7()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, b"fresh" if ids._clock._ms == 0 else b"stale")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 5) == b"fresh"
    os.close(reader)
    os.close(writer)


def test_the_floor_is_the_smallest_id_of_its_moment() -> None:
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    assert str(uuid7_floor(moment)) == "01a19467-e800-7000-8000-000000000000"
    assert uuid7_floor(datetime.now(UTC)) <= uuid7() < uuid7_floor(datetime.now(UTC) + timedelta(seconds=60))


def test_the_floor_of_a_moment_is_the_same_in_every_time_zone() -> None:
    east = datetime(2026, 11, 1, 8, tzinfo=timezone(timedelta(hours=8)))
    assert uuid7_floor(east) == uuid7_floor(datetime(2026, 11, 1, tzinfo=UTC))


def test_the_floor_wants_a_time_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        uuid7_floor(datetime(2026, 11, 1))  # noqa: DTZ001
