"""Events are the same wherever the reads were cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_app.wire import sse
from gateway_app.wire.sse import EventFilter, Malformed, event_bytes, json_object

_LINE = st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"").replace(b"\r", b""))
_EVENT = st.lists(
    st.tuples(st.sampled_from([b"data: ", b"data:", b"event: ", b": ", b"id: ", b"retry: "]), _LINE).map(b"".join),
    min_size=1,
    max_size=3,
)


@st.composite
def _reads(draw: st.DrawFn) -> list[bytes]:
    end = draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    events = draw(st.lists(_EVENT, max_size=6))
    whole = b"".join(end.join(event) + end + end for event in events)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    return [whole[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def _everything(payload: bytes, event: bytes) -> bool:
    return True


def _filtered(reads: list[bytes]) -> tuple[list[bytes], bytes]:
    seen: list[bytes] = []

    def take(payload: bytes, event: bytes) -> bool:
        seen.append(payload)
        return b"x" not in payload

    events = EventFilter(take)
    # What ends with a single carriage return is whole only when the next byte is known.
    relayed = b"".join([events.feed(data) for data in [*reads, b"\n"]])
    return seen, relayed


@given(_reads())
def test_cuts_make_no_difference(reads: list[bytes]) -> None:
    assert _filtered(reads) == _filtered([b"".join(reads)])


@given(_reads())
def test_what_is_relayed_is_read_as_the_same_events(reads: list[bytes]) -> None:
    seen, relayed = _filtered(reads)
    again, twice = _filtered([relayed])
    assert again == [payload for payload in seen if b"x" not in payload]
    assert twice == relayed


def test_usual_read_is_handed_on_without_a_copy() -> None:
    data = b'data: {"a":1}\n\ndata: {"b":2}\n\n'
    assert EventFilter(_everything).feed(data) is data


def test_comments_ids_and_retries_are_left_out() -> None:
    data = b": ping\n\nid: 7\nevent: a\ndata: 1\n\nretry: 5\n\nevent: b\n\n"
    assert EventFilter(_everything).feed(data) == b"event: a\ndata: 1\n\n"


def test_character_may_be_cut_in_two() -> None:
    data = 'data: {"a":"中"}\n\n'.encode()
    seen: list[bytes] = []

    def take(payload: bytes, event: bytes) -> bool:
        seen.append(payload)
        return True

    events = EventFilter(take)
    assert [events.feed(data[:13]), events.feed(data[13:])] == [b"", data]
    assert json_object(seen[0]) == {"a": "中"}


def test_event_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LONGEST", 100)
    events = EventFilter(_everything)
    assert [events.feed(b"data: 1234567890") for _ in range(6)] == [b""] * 6
    with pytest.raises(Malformed):
        events.feed(b"data: 1234567890")


@pytest.mark.parametrize("payload", [b"", b"x", b"[]", b"1", b'{"a":1', b'{"a":1} x', b"[" * 100_000])
def test_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(Malformed):
        json_object(payload)


def test_event_is_written_on_one_line() -> None:
    assert event_bytes({"a": "x\ny中"}, event="error") == 'event: error\ndata: {"a":"x\\ny中"}\n\n'.encode()
