from gateway_app.services.streams.events import StreamEvent, clean, merged


def _delta(seq: int, step: str, offset: int, text: str) -> StreamEvent:
    data = {"step": step, "offset": offset, "text": text}
    return StreamEvent(seq=seq, type="delta", at="2026-01-01T00:00:00+00:00", data=data, first=seq)


def test_neighbouring_deltas_of_a_step_become_one() -> None:
    whole = list(merged([_delta(1, "a", 0, "你好"), _delta(2, "a", 2, "😀"), _delta(3, "a", 3, "!")]))
    assert [(event.first, event.seq, event.data["text"]) for event in whole] == [(1, 3, "你好😀!")]


def test_deltas_of_different_steps_stay_apart() -> None:
    whole = list(
        merged([_delta(1, "a", 0, "x"), _delta(2, "b", 0, "y"), _delta(3, "b", 1, "z"), _delta(4, "a", 1, "w")])
    )
    assert [(event.first, event.seq) for event in whole] == [(1, 1), (2, 3), (4, 4)]


def test_a_delta_that_does_not_follow_is_not_merged() -> None:
    assert len(list(merged([_delta(1, "a", 0, "old"), _delta(2, "a", 0, "new")]))) == 2


def test_an_event_survives_its_row() -> None:
    event = _delta(7, "a", 3, "\U0001f600")
    assert StreamEvent.from_row(event.row()) == event


def test_characters_that_the_database_cannot_hold_are_replaced_one_for_one() -> None:
    dirty = {"text": "a\0b\ud83dc😀", "list": ["\0"], "n": 1}
    assert clean(dirty) == {"text": "a\ufffdb\ufffdc😀", "list": ["\ufffd"], "n": 1}
